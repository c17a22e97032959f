#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace weir::bench {

/// A Deployment of the generated cluster and the Service in front of it.
struct Workload {
  std::string name;
  std::string namespace_name;
  /// TCP port it serves; 53 (UDP too) for the cluster's DNS.
  std::uint16_t port = 0;
  /// Its policy lets every pod of an application namespace in; else only the allowed callers.
  bool admits_all_apps = true;
  std::vector<std::size_t> allowed_callers;
  /// Its policy lets any address in, on its port.
  bool open_to_world = false;
  /// Indices of its pods.
  std::vector<std::size_t> pods;
  IpAddress service_ip;
};

struct Pod {
  std::string name;
  std::size_t workload = 0;
  std::size_t node = 0;
  IpAddress v4, v6;
};

/// The cluster that the generators speak of: dual-stack pods of equally sized Deployments, each with a Service and an
/// ingress policy; a default deny in each namespace; egress allowed inside the cluster only.
/// Workload 0 is the cluster's DNS.
struct SyntheticCluster {
  std::vector<Workload> workloads;
  std::vector<Pod> pods;
  std::size_t nodes = 1;
};

/// A port that every ingress policy admits and nobody listens on: connections to it are refused.
inline constexpr std::uint16_t kClosedPort = 8081;
/// A port that no policy admits.
inline constexpr std::uint16_t kForbiddenPort = 9200;
inline constexpr std::size_t kDnsWorkload = 0;

/// The first `replicas_on_first` pods of workloads 1 to `workloads_on_first` run on node 0, all others on the nodes
/// after it, `pods_per_node` each.
struct ClusterShape {
  std::size_t workloads = 100;
  std::size_t replicas = 5;
  std::size_t workloads_on_first = 10;
  std::size_t replicas_on_first = 3;
  std::size_t pods_per_node = 30;
};
SyntheticCluster make_cluster(const ClusterShape& shape);

std::string node_name(std::size_t node);

/// Writes the cluster as one Kubernetes List in JSON: Namespaces, Nodes, Deployments, ReplicaSets, Pods, Services,
/// EndpointSlices and NetworkPolicies.
Status write_manifests(const SyntheticCluster& cluster, const std::string& path);

}  // namespace weir::bench
