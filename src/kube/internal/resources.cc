#include "kube/internal/resources.h"

#include <array>
#include <string_view>
#include <utility>

namespace weir::kube {

using cluster::ObjectKind;

namespace {

/// Of policy APIs that a cluster may do without.
struct PolicyResource {
  ObjectKind kind;
  std::string_view name;
};
/// Calico's API server holds the same objects as its storage. What it makes up by itself, and nobody stores, is not
/// asked for: the profiles of namespaces, and the endpoints of pods.
constexpr std::array<PolicyResource, 7> kCalicoPolicies{{
    {ObjectKind::kTier, "tiers"},
    {ObjectKind::kCalicoNetworkPolicy, "networkpolicies"},
    {ObjectKind::kGlobalNetworkPolicy, "globalnetworkpolicies"},
    {ObjectKind::kStagedNetworkPolicy, "stagednetworkpolicies"},
    {ObjectKind::kStagedGlobalNetworkPolicy, "stagedglobalnetworkpolicies"},
    {ObjectKind::kStagedKubernetesNetworkPolicy, "stagedkubernetesnetworkpolicies"},
    {ObjectKind::kHostEndpoint, "hostendpoints"},
}};
struct PlacedResource {
  ObjectKind kind;
  std::string_view path;
};
constexpr std::array<PlacedResource, 5> kOtherPolicies{{
    {ObjectKind::kAdminNetworkPolicy, "policy.networking.k8s.io/v1alpha1/adminnetworkpolicies"},
    {ObjectKind::kBaselineAdminNetworkPolicy, "policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies"},
    {ObjectKind::kClusterNetworkPolicy, "policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"},
    {ObjectKind::kCiliumNetworkPolicy, "cilium.io/v2/ciliumnetworkpolicies"},
    {ObjectKind::kCiliumClusterwideNetworkPolicy, "cilium.io/v2/ciliumclusterwidenetworkpolicies"},
}};
/// Most clusters have one or two of these APIs: the others are looked for less often.
constexpr int kAbsentPatience = 10;

}  // namespace

std::vector<Resource> resources_of(const ApiClientOptions& options) {
  ReflectorTimes times;
  times.first_retry = options.first_retry;
  times.last_retry = options.last_retry;
  times.refused_retry = options.refused_retry;
  times.watch = options.watch_time;
  std::vector<Resource> resources;
  const auto add = [&](int stage, ObjectKind kind, std::string name, std::vector<std::string> paths,
                       std::string field_selector = {}) {
    ReflectorOptions reflector;
    reflector.kind = kind;
    reflector.name = std::move(name);
    reflector.paths = std::move(paths);
    reflector.field_selector = std::move(field_selector);
    reflector.optional = kind == ObjectKind::kNetworkSet || kind == ObjectKind::kGlobalNetworkSet;
    reflector.metadata_only = kind == ObjectKind::kReplicaSet || kind == ObjectKind::kJob;
    reflector.page_size = options.page_size;
    reflector.times = times;
    resources.push_back({std::move(reflector), stage});
  };
  add(0, ObjectKind::kNamespace, "namespaces", {"/api/v1/namespaces"});
  add(0, ObjectKind::kNode, "nodes", {"/api/v1/nodes"});
  add(0, ObjectKind::kReplicaSet, "replicasets", {"/apis/apps/v1/replicasets"});
  add(0, ObjectKind::kJob, "jobs", {"/apis/batch/v1/jobs"});
  add(0, ObjectKind::kService, "services", {"/api/v1/services"});
  add(0, ObjectKind::kNetworkPolicy, "networkpolicies", {"/apis/networking.k8s.io/v1/networkpolicies"});
  // Where Calico's own API server runs, both hold the same objects.
  for (const auto& [kind, name] : {std::pair{ObjectKind::kNetworkSet, "networksets"},
                                   std::pair{ObjectKind::kGlobalNetworkSet, "globalnetworksets"}}) {
    add(0, kind, name,
        {std::string("/apis/crd.projectcalico.org/v1/") + name, std::string("/apis/projectcalico.org/v3/") + name});
  }
  add(0, ObjectKind::kServiceAccount, "serviceaccounts", {"/api/v1/serviceaccounts"});
  const auto add_policies = [&](ObjectKind kind, std::string name, std::vector<std::string> paths) {
    add(0, kind, std::move(name), std::move(paths));
    resources.back().options.optional = true;
    resources.back().options.times.refused_retry *= kAbsentPatience;
  };
  for (const auto& [kind, name] : kCalicoPolicies) {
    const std::string plural(name);
    add_policies(kind, plural + ".projectcalico.org",
                 {"/apis/crd.projectcalico.org/v1/" + plural, "/apis/projectcalico.org/v3/" + plural});
  }
  for (const auto& [kind, path] : kOtherPolicies) {
    add_policies(kind, std::string(path.substr(path.rfind('/') + 1)), {"/apis/" + std::string(path)});
  }
  add(1, ObjectKind::kEndpointSlice, "endpointslices", {"/apis/discovery.k8s.io/v1/endpointslices"});
  // A pod without a node has no address yet: when it gets its node, its kubelet is told as we are. The name of a node
  // needs no escaping (RFC 1123); `=` and `!` within the parameter do.
  if (options.node.empty()) {
    add(1, ObjectKind::kPod, "pods", {"/api/v1/pods"}, "spec.nodeName%21%3D");
  } else {
    add(1, ObjectKind::kPod, "pods of this node", {"/api/v1/pods"}, "spec.nodeName%3D" + options.node);
    if (options.other_nodes_pods) {
      add(1, ObjectKind::kPod, "pods of other nodes", {"/api/v1/pods"},
          "spec.nodeName%21%3D%2Cspec.nodeName%21%3D" + options.node);
    }
  }
  return resources;
}

}  // namespace weir::kube
