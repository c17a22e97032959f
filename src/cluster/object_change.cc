#include "cluster/object_change.h"

#include <string_view>

namespace weir::cluster {
namespace {

std::string key(std::string_view kind, std::string_view namespace_name, std::string_view name) {
  std::string text(kind);
  return text.append("/").append(namespace_name).append("/").append(name);
}

struct KeyOf {
  bool with_uid;
  std::string operator()(const Pod& pod) const {
    std::string text = key("Pod", pod.meta.namespace_name, pod.meta.name);
    return with_uid && !pod.meta.uid.empty() ? text + "/" + pod.meta.uid : text;
  }
  std::string operator()(const Namespace& object) const { return key("Namespace", "", object.info.name); }
  std::string operator()(const Node& node) const { return key("Node", "", node.meta.name); }
  std::string operator()(const Service& service) const {
    return key("Service", service.meta.namespace_name, service.meta.name);
  }
  std::string operator()(const ServiceBackends& part) const {
    return key(part.from_slice ? "EndpointSlice" : "Endpoints", part.namespace_name, part.name);
  }
  std::string operator()(const Workload& workload) const {
    return key(workload.kind, workload.meta.namespace_name, workload.meta.name);
  }
  std::string operator()(const PolicyObject& object) const {
    // Two kinds are called NetworkPolicy.
    const bool calico = object.kind == ObjectKind::kCalicoNetworkPolicy;
    return key(calico ? "Calico NetworkPolicy" : to_string(object.kind), object.namespace_name, object.name);
  }
  std::string operator()(const NetworkSet& set) const {
    return key("NetworkSet", set.meta.namespace_name, set.meta.name);
  }
};

template <typename T>
void move_all(std::vector<T>& from, std::vector<ClusterObject>& to) {
  for (T& object : from) to.emplace_back(std::move(object));
}

}  // namespace

std::string object_key(const ClusterObject& object, bool with_uid) { return std::visit(KeyOf{with_uid}, object); }

std::vector<ClusterObject> flatten(ClusterObjects objects) {
  std::vector<ClusterObject> all;
  move_all(objects.namespaces, all);
  move_all(objects.workloads, all);
  move_all(objects.nodes, all);
  move_all(objects.pods, all);
  move_all(objects.services, all);
  move_all(objects.backends, all);
  move_all(objects.policies, all);
  move_all(objects.network_sets, all);
  return all;
}

}  // namespace weir::cluster
