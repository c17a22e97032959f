#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/endpoint.h"
#include "model/labels.h"
#include "model/network_policy.h"

/// Kubernetes and Calico objects, as far as flow logs need them: what a manifest reader yields and the ledger eats.
/// Times are nanoseconds since the Unix epoch; kNoTime where the object has none.
namespace weir::cluster {

inline constexpr std::int64_t kNoTime = std::numeric_limits<std::int64_t>::min();

/// The ownerReference with `controller: true`.
struct OwnerRef {
  std::string kind;
  std::string name;
};

struct ObjectMeta {
  /// "default" where a namespaced object names none; empty for cluster-scoped objects.
  std::string namespace_name;
  std::string name;
  std::string generate_name;
  std::string uid;
  model::LabelSet labels;
  std::optional<OwnerRef> controller;
  std::int64_t created_ns = kNoTime;
  /// When a deleted object goes for good: the API server's time, its grace period included.
  std::int64_t deleted_ns = kNoTime;
};

struct Pod {
  ObjectMeta meta;
  std::string node;
  /// "default" where the pod names none.
  std::string service_account;
  bool host_network = false;
  std::vector<model::NamedPort> named_ports;
  std::vector<IpAddress> ips;
  /// Phase Succeeded or Failed: its addresses are free again.
  bool finished = false;
  std::int64_t started_ns = kNoTime;
  /// When its last container ended; kNoTime if that is unknown.
  std::int64_t finished_ns = kNoTime;
};

struct Node {
  ObjectMeta meta;
  /// InternalIP and ExternalIP addresses, and those of the network plugin's tunnels (from its annotations).
  std::vector<IpAddress> addresses;
};

struct ServicePort {
  std::string name;
  std::uint16_t port = 0;
  /// 0 if there is none.
  std::uint16_t node_port = 0;
  std::uint8_t protocol = 6;
};

struct Service {
  ObjectMeta meta;
  /// clusterIP None: clients reach its endpoints directly.
  bool headless = false;
  std::vector<IpAddress> cluster_ips;
  /// externalIPs, and the load balancer's ingress addresses.
  std::vector<IpAddress> external_ips;
  std::vector<ServicePort> ports;
};

/// An EndpointSlice, or one subset of an Endpoints object: every address serves every port.
struct ServiceBackends {
  std::string namespace_name;
  std::string service;
  bool from_slice = true;
  std::vector<IpAddress> addresses;
  /// `port` is the target port; `name` is that of the service port.
  std::vector<ServicePort> ports;
};

/// ReplicaSet, Deployment, Job, CronJob, StatefulSet or DaemonSet: what an owner chain goes through.
struct Workload {
  std::string kind;
  ObjectMeta meta;
};

/// Calico NetworkSet or GlobalNetworkSet.
struct NetworkSet {
  /// namespace_name is empty for a global one.
  ObjectMeta meta;
  std::vector<IpPrefix> nets;
};

/// Everything that manifests said, in the order read. Two objects of one kind, namespace and name (and uid): both are
/// here, the later one counts.
struct ClusterObjects {
  std::vector<Pod> pods;
  std::vector<model::NamespaceInfo> namespaces;
  std::vector<Node> nodes;
  std::vector<Service> services;
  std::vector<ServiceBackends> backends;
  std::vector<Workload> workloads;
  std::vector<model::NetworkPolicy> network_policies;
  std::vector<NetworkSet> network_sets;
};

}  // namespace weir::cluster
