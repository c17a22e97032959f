#include "synthetic_cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/hash.h"

namespace weir::bench {
namespace {

constexpr std::size_t kNamespaces = 10;

std::string namespace_of(std::size_t workload) {
  return workload == kDnsWorkload ? "kube-system" : fmt::format("team-{}", workload % kNamespaces);
}

/// Kubernetes' alphabet of generated name suffixes.
std::string suffix(std::uint64_t hash, int length) {
  constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  std::string text;
  for (int i = 0; i < length; ++i, hash /= 27) text.push_back(kAlphabet[hash % 27]);
  return text;
}

std::string replica_set_name(const Workload& workload) {
  return fmt::format("{}-{}", workload.name, suffix(hash_bytes(workload.name.data(), workload.name.size()), 9));
}

IpAddress pod_v6(std::size_t pod) {
  std::uint8_t bytes[16] = {0xFD, 0, 0, 0x10};
  bytes[14] = static_cast<std::uint8_t>((pod + 1) >> 8);
  bytes[15] = static_cast<std::uint8_t>(pod + 1);
  return IpAddress::v6(bytes);
}

/// Appends the objects of a Kubernetes List, one a line.
class ManifestWriter {
 public:
  explicit ManifestWriter(OutputFile file) : file_(std::move(file)) {
    file_.buffer() += R"({"apiVersion":"v1","kind":"List","items":[)";
  }
  /// `body`: the members after metadata, with a leading comma, or nothing.
  void add(std::string_view api, std::string_view kind, std::string_view metadata, std::string_view body = "") {
    fmt::format_to(std::back_inserter(file_.buffer()),
                   "{}\n{{\"apiVersion\":\"{}\",\"kind\":\"{}\",\"metadata\":{{{}}}{}}}", first_ ? "" : ",", api, kind,
                   metadata, body);
    first_ = false;
  }
  Status close() {
    file_.buffer() += "\n]}\n";
    return file_.close();
  }

 private:
  OutputFile file_;
  bool first_ = true;
};

std::string named(std::string_view name, std::string_view namespace_name) {
  return fmt::format(R"("name":"{}","namespace":"{}")", name, namespace_name);
}

std::string owned_by(std::string_view kind, std::string_view name) {
  return fmt::format(
      R"(,"ownerReferences":[{{"apiVersion":"apps/v1","kind":"{}","name":"{}","uid":"{}","controller":true}}])", kind,
      name, name);
}

void write_pod(ManifestWriter& out, const SyntheticCluster& cluster, const Pod& pod) {
  const Workload& workload = cluster.workloads[pod.workload];
  const std::string owner = replica_set_name(workload);
  out.add("v1", "Pod",
          fmt::format(R"({},"generateName":"{}-","labels":{{"app":"{}","pod-template-hash":"{}"}}{})",
                      named(pod.name, workload.namespace_name), owner, workload.name,
                      owner.substr(workload.name.size() + 1), owned_by("ReplicaSet", owner)),
          fmt::format(R"(,"spec":{{"nodeName":"{}","containers":[{{"name":"app","image":"app","ports":[)"
                      R"({{"name":"main","containerPort":{},"protocol":"TCP"}}]}}]}},)"
                      R"("status":{{"phase":"Running","podIP":"{}","podIPs":[{{"ip":"{}"}},{{"ip":"{}"}}]}})",
                      node_name(pod.node), workload.port, pod.v4.to_string(), pod.v4.to_string(), pod.v6.to_string()));
}

void write_workload(ManifestWriter& out, const SyntheticCluster& cluster, const Workload& workload) {
  const std::string meta = named(workload.name, workload.namespace_name);
  const std::string labels = fmt::format(R"(,"labels":{{"app":"{}"}})", workload.name);
  out.add("apps/v1", "Deployment", meta + labels, fmt::format(R"(,"spec":{{"replicas":{}}})", workload.pods.size()));
  out.add("apps/v1", "ReplicaSet",
          named(replica_set_name(workload), workload.namespace_name) + labels + owned_by("Deployment", workload.name));
  const bool dns = workload.port == 53;
  out.add(
      "v1", "Service", meta + labels,
      fmt::format(R"(,"spec":{{"type":"ClusterIP","clusterIP":"{0}","clusterIPs":["{0}"],"selector":{{"app":"{1}"}},)"
                  R"("ports":[{{"name":"main","port":{2},"targetPort":{2},"protocol":"{3}"}}]}})",
                  workload.service_ip.to_string(), workload.name, workload.port, dns ? "UDP" : "TCP"));
  std::string endpoints;
  for (const std::size_t index : workload.pods) {
    const Pod& pod = cluster.pods[index];
    endpoints += fmt::format(R"({}{{"addresses":["{}"],"conditions":{{"ready":true}},"nodeName":"{}",)"
                             R"("targetRef":{{"kind":"Pod","name":"{}","namespace":"{}"}}}})",
                             endpoints.empty() ? "" : ",", pod.v4.to_string(), node_name(pod.node), pod.name,
                             workload.namespace_name);
  }
  out.add("discovery.k8s.io/v1", "EndpointSlice",
          fmt::format(R"({},"labels":{{"kubernetes.io/service-name":"{}"}})",
                      named(workload.name + "-1", workload.namespace_name), workload.name),
          fmt::format(R"(,"addressType":"IPv4","ports":[{{"name":"main","port":{},"protocol":"{}"}}],"endpoints":[{}])",
                      workload.port, dns ? "UDP" : "TCP", endpoints));
}

std::string peers_of(const SyntheticCluster& cluster, const Workload& workload) {
  if (workload.open_to_world) return R"({"ipBlock":{"cidr":"0.0.0.0/0"}},{"ipBlock":{"cidr":"::/0"}})";
  if (workload.port == 53) return R"({"namespaceSelector":{}})";
  if (workload.admits_all_apps) return R"({"namespaceSelector":{"matchLabels":{"tier":"apps"}}})";
  std::string peers;
  for (const std::size_t caller : workload.allowed_callers) {
    const Workload& from = cluster.workloads[caller];
    peers += fmt::format(R"({}{{"namespaceSelector":{{"matchLabels":{{"kubernetes.io/metadata.name":"{}"}}}},)"
                         R"("podSelector":{{"matchLabels":{{"app":"{}"}}}}}})",
                         peers.empty() ? "" : ",", from.namespace_name, from.name);
  }
  return peers;
}

void write_workload_policy(ManifestWriter& out, const SyntheticCluster& cluster, const Workload& workload) {
  const bool dns = workload.port == 53;
  const std::string ports =
      dns ? R"({"protocol":"UDP","port":53},{"protocol":"TCP","port":53})"
          : fmt::format(R"({{"protocol":"TCP","port":{}}},{{"protocol":"TCP","port":{}}})", workload.port, kClosedPort);
  const std::string peers = peers_of(cluster, workload);
  if (peers.empty()) return;  // an empty "from" would admit everybody; the default deny is what is meant
  out.add("networking.k8s.io/v1", "NetworkPolicy", named("allow-" + workload.name, workload.namespace_name),
          fmt::format(R"(,"spec":{{"podSelector":{{"matchLabels":{{"app":"{}"}}}},"policyTypes":["Ingress"],)"
                      R"("ingress":[{{"from":[{}],"ports":[{}]}}]}})",
                      workload.name, peers, ports));
}

void write_namespace(ManifestWriter& out, const std::string& name) {
  out.add("v1", "Namespace",
          fmt::format(R"("name":"{0}","labels":{{"kubernetes.io/metadata.name":"{0}","tier":"{1}"}})", name,
                      name == "kube-system" ? "system" : "apps"));
  out.add("networking.k8s.io/v1", "NetworkPolicy", named("default-deny", name),
          R"(,"spec":{"podSelector":{},"policyTypes":["Ingress"]})");
  out.add("networking.k8s.io/v1", "NetworkPolicy", named("egress-in-cluster", name),
          R"(,"spec":{"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{}}]}]})");
}

}  // namespace

std::string node_name(std::size_t node) { return fmt::format("node-{}", node); }

SyntheticCluster make_cluster(const ClusterShape& shape) {
  SyntheticCluster cluster;
  std::size_t placed_elsewhere = 0;
  for (std::size_t w = 0; w < shape.workloads; ++w) {
    Workload workload;
    workload.name = w == kDnsWorkload ? "coredns" : fmt::format("app-{}", w);
    workload.namespace_name = namespace_of(w);
    workload.port = w == kDnsWorkload ? std::uint16_t{53} : static_cast<std::uint16_t>(8100 + w % 50);
    workload.service_ip = IpAddress::v4(0x0A600000U + 10 + static_cast<std::uint32_t>(w));
    const std::string owner = replica_set_name(workload);
    for (std::size_t r = 0; r < shape.replicas; ++r) {
      const std::size_t index = cluster.pods.size();
      const bool on_first = w >= 1 && w <= shape.workloads_on_first && r < shape.replicas_on_first;
      Pod pod;
      pod.workload = w;
      pod.name = fmt::format("{}-{}", owner, suffix(mix64(index, 7), 5));
      pod.node = on_first ? 0 : 1 + placed_elsewhere++ / shape.pods_per_node;
      pod.v4 = IpAddress::v4(0x0A400000U + static_cast<std::uint32_t>(pod.node << 8 | (index % 250 + 2)));
      pod.v6 = pod_v6(index);
      cluster.nodes = std::max(cluster.nodes, pod.node + 1);
      workload.pods.push_back(index);
      cluster.pods.push_back(std::move(pod));
    }
    cluster.workloads.push_back(std::move(workload));
  }
  return cluster;
}

Status write_manifests(const SyntheticCluster& cluster, const std::string& path) {
  TRY_ASSIGN(OutputFile file, OutputFile::open(path));
  ManifestWriter out(std::move(file));
  write_namespace(out, "kube-system");
  for (std::size_t i = 0; i < kNamespaces; ++i) write_namespace(out, fmt::format("team-{}", i));
  for (std::size_t i = 0; i < cluster.nodes; ++i) {
    out.add("v1", "Node", fmt::format(R"("name":"{}")", node_name(i)),
            fmt::format(R"(,"spec":{{"podCIDR":"10.64.{}.0/24"}},)"
                        R"("status":{{"addresses":[{{"type":"InternalIP","address":"192.168.100.{}"}}]}})",
                        i, i + 10));
  }
  for (const Workload& workload : cluster.workloads) {
    write_workload(out, cluster, workload);
    write_workload_policy(out, cluster, workload);
  }
  for (const Pod& pod : cluster.pods) write_pod(out, cluster, pod);
  return out.close();
}

}  // namespace weir::bench
