#include "cluster/internal/identity.h"

namespace weir::cluster {
namespace {

/// Owners of owners that we follow: ReplicaSet to Deployment, Job to CronJob, and what stands in for those.
constexpr int kMaxHops = 4;

bool strip_suffix(std::string& name, std::string_view suffix) {
  if (suffix.empty() || name.size() <= suffix.size() + 1 || !name.ends_with(suffix)) return false;
  if (name[name.size() - suffix.size() - 1] != '-') return false;
  name.resize(name.size() - suffix.size() - 1);
  return true;
}

}  // namespace

std::string IdentityMaker::owner_key(std::string_view kind, std::string_view namespace_name, std::string_view name) {
  std::string key(kind);
  return key.append("/").append(namespace_name).append("/").append(name);
}

bool IdentityMaker::put_workload(const Workload& workload) {
  const std::string key = owner_key(workload.kind, workload.meta.namespace_name, workload.meta.name);
  const auto [it, fresh] = controllers_.try_emplace(key, workload.meta.controller);
  if (fresh) return true;
  if (it->second == workload.meta.controller) return false;
  it->second = workload.meta.controller;
  return true;
}

bool IdentityMaker::remove_workload(const Workload& workload) {
  return controllers_.erase(owner_key(workload.kind, workload.meta.namespace_name, workload.meta.name)) > 0;
}

WorkloadName IdentityMaker::workload_of(std::string_view namespace_name, std::string_view name,
                                        const model::LabelSet& labels, const OwnerRef& controller) const {
  if (controller.kind.empty()) return {std::string(name), "Pod"};
  OwnerRef owner = controller;
  if (owner.kind == "Node") {
    // A static pod: the kubelet appends its node's name, one pod a node.
    std::string own(name);
    strip_suffix(own, owner.name);
    return {std::move(own), "Pod"};
  }
  for (int hop = 0; hop < kMaxHops && in_a_chain(owner); ++hop) {
    const auto found = controllers_.find(owner_key(owner.kind, namespace_name, owner.name));
    if (found == controllers_.end()) {
      // The Deployment controller names a ReplicaSet after itself and the hash that it also sets as a label.
      const std::string_view hash = labels.find("pod-template-hash");
      if (owner.kind == "ReplicaSet" && strip_suffix(owner.name, hash)) owner.kind = "Deployment";
      break;
    }
    if (!found->second) break;
    owner = *found->second;
  }
  return {std::move(owner.name), std::move(owner.kind)};
}

model::Endpoint IdentityMaker::pod(const Pod& pod) {
  WorkloadName workload =
      workload_of(pod.meta.namespace_name, pod.meta.name, pod.meta.labels, pod.meta.controller.value_or(OwnerRef{}));
  model::Endpoint endpoint;
  endpoint.type = model::EndpointType::kWorkload;
  endpoint.namespace_name = pod.meta.namespace_name;
  endpoint.name = pod.meta.name;
  const std::string name_aggr = pod.meta.generate_name.empty() ? pod.meta.name : pod.meta.generate_name + "*";
  endpoint.group = groups_.intern(
      {endpoint.type, endpoint.namespace_name, name_aggr, std::move(workload.name), std::move(workload.kind)});
  endpoint.labels = labels_.intern(pod.meta.labels);
  endpoint.ips = pod.ips;
  endpoint.named_ports = pod.named_ports;
  endpoint.service_account = pod.service_account;
  endpoint.node = pod.node;
  endpoint.host_network = pod.host_network;
  return endpoint;
}

const model::EndpointGroup* IdentityMaker::pod_group(const model::Endpoint& pod, const OwnerRef& controller) {
  WorkloadName workload = workload_of(pod.namespace_name, pod.name, *pod.labels, controller);
  return groups_.intern(
      {pod.type, pod.namespace_name, pod.group->name_aggr, std::move(workload.name), std::move(workload.kind)});
}

model::Endpoint IdentityMaker::network_set(const NetworkSet& set) {
  model::Endpoint endpoint;
  endpoint.type = model::EndpointType::kNetworkSet;
  if (!set.meta.namespace_name.empty()) endpoint.namespace_name = set.meta.namespace_name;
  endpoint.name = set.meta.name;
  endpoint.group = groups_.intern({endpoint.type, endpoint.namespace_name, endpoint.name, "-", "-"});
  endpoint.labels = labels_.intern(set.meta.labels);
  return endpoint;
}

model::Endpoint IdentityMaker::host(const Node& node) {
  model::Endpoint endpoint;
  endpoint.type = model::EndpointType::kHost;
  endpoint.name = node.meta.name;
  endpoint.node = node.meta.name;
  endpoint.group = groups_.intern({endpoint.type, "-", node.meta.name, "-", "-"});
  endpoint.labels = labels_.intern(node.meta.labels);
  endpoint.ips = node.addresses;
  return endpoint;
}

model::Endpoint IdentityMaker::address(const char* group) {
  model::Endpoint endpoint;
  endpoint.group = groups_.intern({endpoint.type, "-", group, "-", "-"});
  endpoint.labels = labels_.intern({});
  return endpoint;
}

}  // namespace weir::cluster
