#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "cluster/object_kind.h"
#include "model/admin_policy.h"
#include "model/calico_policy.h"
#include "model/cilium_policy.h"
#include "model/endpoint.h"
#include "model/labels.h"
#include "model/network_policy.h"
#include "model/policy_set.h"

/// Kubernetes and Calico objects, as far as flow logs need them: what a manifest reader yields and the ledger eats.
/// Times are nanoseconds since the Unix epoch; kNoTime where the object has none.
namespace weir::cluster {

inline constexpr std::int64_t kNoTime = std::numeric_limits<std::int64_t>::min();

/// The ownerReference with `controller: true`.
struct OwnerRef {
  std::string kind;
  std::string name;
  friend bool operator==(const OwnerRef&, const OwnerRef&) = default;
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
  friend bool operator==(const ObjectMeta&, const ObjectMeta&) = default;
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
  friend bool operator==(const Pod&, const Pod&) = default;
};

struct Namespace {
  model::NamespaceInfo info;
  std::int64_t created_ns = kNoTime;
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

struct Node {
  ObjectMeta meta;
  /// InternalIP and ExternalIP addresses, and those of the network plugin's tunnels (from its annotations).
  std::vector<IpAddress> addresses;
  friend bool operator==(const Node&, const Node&) = default;
};

struct ServicePort {
  std::string name;
  std::uint16_t port = 0;
  /// 0 if there is none.
  std::uint16_t node_port = 0;
  std::uint8_t protocol = 6;
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

struct Service {
  ObjectMeta meta;
  /// clusterIP None: clients reach its endpoints directly.
  bool headless = false;
  std::vector<IpAddress> cluster_ips;
  /// externalIPs, and the load balancer's ingress addresses.
  std::vector<IpAddress> external_ips;
  std::vector<ServicePort> ports;
  friend bool operator==(const Service&, const Service&) = default;
};

/// An EndpointSlice or an Endpoints object.
struct ServiceBackends {
  /// Every address serves every port.
  struct Subset {
    std::vector<IpAddress> addresses;
    /// Those that want no new connections: not ready, or about to go.
    std::vector<IpAddress> not_ready;
    /// `port` is the target port; `name` is that of the service port.
    std::vector<ServicePort> ports;
    friend bool operator==(const Subset&, const Subset&) = default;
  };
  std::string namespace_name;
  /// Of the object itself.
  std::string name;
  /// Empty: a slice of no service.
  std::string service;
  bool from_slice = true;
  std::int64_t created_ns = kNoTime;
  std::vector<Subset> subsets;
  friend bool operator==(const ServiceBackends&, const ServiceBackends&) = default;
};

/// ReplicaSet, Deployment, Job, CronJob, StatefulSet or DaemonSet: what an owner chain goes through.
struct Workload {
  std::string kind;
  ObjectMeta meta;
  friend bool operator==(const Workload&, const Workload&) = default;
};

/// Calico NetworkSet or GlobalNetworkSet.
struct NetworkSet {
  /// namespace_name is empty for a global one.
  ObjectMeta meta;
  std::vector<IpPrefix> nets;
  /// allowedEgressDomains.
  std::vector<std::string> domains;
  friend bool operator==(const NetworkSet&, const NetworkSet&) = default;
};

/// An object that has a say in verdicts and in nothing else.
struct PolicyObject {
  /// Elements of one CiliumNetworkPolicy.
  using CiliumPolicies = std::vector<model::CiliumPolicy>;
  using Spec = std::variant<std::monostate, model::NetworkPolicy, model::AdminPolicy, model::CalicoPolicy, model::Tier,
                            model::Profile, model::WorkloadEndpoint, model::HostEndpoint, model::ServiceAccountInfo,
                            CiliumPolicies>;
  ObjectKind kind = ObjectKind::kNetworkPolicy;
  /// Of the object itself; the namespace is empty for cluster-scoped ones.
  std::string namespace_name;
  std::string name;
  std::int64_t created_ns = kNoTime;
  /// As the kind wants it; monostate where only the name is known, of an object that went.
  Spec spec;
  friend bool operator==(const PolicyObject&, const PolicyObject&) = default;
};

/// Everything that manifests said, in the order read. Two objects of one kind, namespace and name (and uid): both are
/// here, the later one counts.
struct ClusterObjects {
  std::vector<Pod> pods;
  std::vector<Namespace> namespaces;
  std::vector<Node> nodes;
  std::vector<Service> services;
  std::vector<ServiceBackends> backends;
  std::vector<Workload> workloads;
  std::vector<PolicyObject> policies;
  std::vector<NetworkSet> network_sets;
};

}  // namespace weir::cluster
