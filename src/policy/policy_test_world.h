#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "model/endpoint.h"
#include "policy/engine.h"

/// Hand-made clusters for tests and benchmarks of this module.
namespace weir::policy {

/// Owns what EngineInputs and Query point at, and objects that tests change.
class World {
 public:
  void add_namespace(const std::string& name, std::vector<std::string> labels = {}) {
    labels.push_back("kubernetes.io/metadata.name=" + name);
    std::sort(labels.begin(), labels.end());
    namespaces.push_back({name, {std::move(labels)}});
  }

  /// `labels`: "key=value", in any order. `ips`: texts.
  model::Endpoint* add_pod(const std::string& namespace_name, const std::string& name, std::vector<std::string> labels,
                           const std::vector<std::string>& ips) {
    std::sort(labels.begin(), labels.end());
    labels_.push_back({std::move(labels)});
    model::Endpoint& pod = pods_.emplace_back();
    pod.type = model::EndpointType::kWorkload;
    pod.namespace_name = namespace_name;
    pod.name = name;
    pod.group = &group_;
    pod.labels = &labels_.back();
    for (const std::string& ip : ips) pod.ips.push_back(IpAddress::parse(ip).value());
    pod.pod_index = static_cast<std::int32_t>(pods_.size()) - 1;
    return &pod;
  }

  std::deque<model::Endpoint>& pods() { return pods_; }
  std::size_t pod_count() const { return pods_.size(); }

  /// What an engine is made of: copies of the objects as they are now.
  EngineInputs inputs() const {
    EngineInputs result;
    model::PolicySet& set = result.policies;
    share(network_policies, set.network_policies);
    share(admin_policies, set.admin_policies);
    share(calico_policies, set.calico_policies);
    share(cilium_policies, set.cilium_policies);
    share(tiers, set.tiers);
    share(profiles, set.profiles);
    share(workload_endpoints, set.workload_endpoints);
    share(host_endpoints, set.host_endpoints);
    share(namespaces, set.namespaces);
    share(service_accounts, set.service_accounts);
    share(nodes, set.nodes);
    share(network_sets, set.network_sets);
    share(services, set.services);
    for (const model::Endpoint& pod : pods_) result.pods.push_back(&pod);
    return result;
  }

  /// The same, but objects that are as they were in `before` are the same objects.
  EngineInputs inputs_after(const EngineInputs& before) const {
    EngineInputs result = inputs();
    model::PolicySet& set = result.policies;
    keep(before.policies.network_policies, set.network_policies);
    keep(before.policies.admin_policies, set.admin_policies);
    keep(before.policies.calico_policies, set.calico_policies);
    keep(before.policies.cilium_policies, set.cilium_policies);
    keep(before.policies.tiers, set.tiers);
    keep(before.policies.profiles, set.profiles);
    keep(before.policies.workload_endpoints, set.workload_endpoints);
    keep(before.policies.host_endpoints, set.host_endpoints);
    keep(before.policies.namespaces, set.namespaces);
    keep(before.policies.service_accounts, set.service_accounts);
    keep(before.policies.nodes, set.nodes);
    keep(before.policies.network_sets, set.network_sets);
    keep(before.policies.services, set.services);
    return result;
  }

  std::vector<model::NetworkPolicy> network_policies;
  std::vector<model::AdminPolicy> admin_policies;
  std::vector<model::CalicoPolicy> calico_policies;
  std::vector<model::CiliumPolicy> cilium_policies;
  std::vector<model::Tier> tiers;
  std::vector<model::Profile> profiles;
  std::vector<model::WorkloadEndpoint> workload_endpoints;
  std::vector<model::HostEndpoint> host_endpoints;
  std::vector<model::NamespaceInfo> namespaces;
  std::vector<model::ServiceAccountInfo> service_accounts;
  std::vector<model::NodeInfo> nodes;
  std::vector<model::NetworkSetInfo> network_sets;
  std::vector<model::ServiceEndpoints> services;

 private:
  template <typename T>
  static void share(const std::vector<T>& objects, model::SharedList<T>& list) {
    for (const T& object : objects) list.push_back(std::make_shared<const T>(object));
  }

  template <typename T>
  static void keep(const model::SharedList<T>& before, model::SharedList<T>& list) {
    for (std::shared_ptr<const T>& object : list) {
      for (const std::shared_ptr<const T>& known : before) {
        if (*known == *object) object = known;
      }
    }
  }

  model::EndpointGroup group_;
  std::deque<model::LabelSet> labels_;
  std::deque<model::Endpoint> pods_;
};

/// Seeded choices.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  /// 0 to `sides` - 1.
  std::size_t roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>(0, sides - 1)(engine_); }
  bool one_in(std::size_t sides) { return roll(sides) == 0; }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[roll(from.size())];
  }
  template <typename T>
  T& pick_one(std::vector<T>& from) {
    return from[roll(from.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace weir::policy
