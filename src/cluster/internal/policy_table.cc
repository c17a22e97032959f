#include "cluster/internal/policy_table.h"

#include <algorithm>
#include <tuple>
#include <type_traits>

namespace weir::cluster {
namespace {

/// Calls `use` with the namespace and name of each service that a policy's rules name.
template <typename Use>
void each_service(const model::CalicoPolicy& policy, Use use) {
  const auto of_rules = [&](const std::vector<model::CalicoRule>& rules) {
    for (const model::CalicoRule& rule : rules) {
      for (const auto* entity : {&rule.source, &rule.destination}) {
        if (!entity->service) continue;
        const std::string& named = entity->service->namespace_name;
        use(named.empty() ? policy.namespace_name.value_or("") : named, entity->service->name);
      }
    }
  };
  of_rules(policy.ingress);
  of_rules(policy.egress);
}

template <typename Use>
void each_service(const model::CiliumPolicy& policy, Use use) {
  if (!policy.egress) return;
  for (const model::CiliumRule& rule : *policy.egress) {
    if (!rule.services) continue;
    for (const model::CiliumService& service : *rule.services) {
      use(service.namespace_name.empty() ? policy.namespace_name.value_or("") : service.namespace_name, service.name);
    }
  }
}

std::string element_key(const std::string& key, std::size_t index) { return key + "#" + std::to_string(index); }

}  // namespace

template <typename T>
bool PolicyTable::store(Timeline<T>& line, const std::string& key, T object, std::int64_t created_ns,
                        const ObjectChange& change) {
  const std::int64_t start = begin_of(created_ns, change.time_ns, change.live);
  if (!line.put(key, std::move(object), start, change.time_ns)) return false;
  changes_.insert(start);
  if (change.time_ns != kNoTime) changes_.insert(change.time_ns);
  return true;
}

bool PolicyTable::ended(bool changed, std::int64_t time_ns) {
  if (changed && time_ns != kNoTime) changes_.insert(time_ns);
  return changed;
}

bool PolicyTable::put(const PolicyObject& object, const ObjectChange& change) {
  const std::string key = object_key(object);
  const auto put_in = [&](auto& line, const auto& spec) { return store(line, key, spec, object.created_ns, change); };
  const bool changed = std::visit(
      [&](const auto& spec) {
        using Spec = std::decay_t<decltype(spec)>;
        if constexpr (std::is_same_v<Spec, model::NetworkPolicy>) return put_in(network_policies_, spec);
        if constexpr (std::is_same_v<Spec, model::AdminPolicy>) return put_in(admin_policies_, spec);
        if constexpr (std::is_same_v<Spec, model::CalicoPolicy>) return put_in(calico_policies_, spec);
        if constexpr (std::is_same_v<Spec, model::Tier>) return put_in(tiers_, spec);
        if constexpr (std::is_same_v<Spec, model::Profile>) return put_in(profiles_, spec);
        if constexpr (std::is_same_v<Spec, model::WorkloadEndpoint>) return put_in(workload_endpoints_, spec);
        if constexpr (std::is_same_v<Spec, model::HostEndpoint>) return put_in(host_endpoints_, spec);
        if constexpr (std::is_same_v<Spec, model::ServiceAccountInfo>) return put_in(service_accounts_, spec);
        if constexpr (std::is_same_v<Spec, PolicyObject::CiliumPolicies>) return store_cilium(key, object, change);
        return false;
      },
      object.spec);
  if (changed) name_services(object);
  return changed;
}

bool PolicyTable::store_cilium(const std::string& key, const PolicyObject& object, const ObjectChange& change) {
  const auto& policies = std::get<PolicyObject::CiliumPolicies>(object.spec);
  bool changed = false;
  for (std::size_t i = 0; i < policies.size(); ++i) {
    changed |= store(cilium_policies_, element_key(key, i), policies[i], object.created_ns, change);
  }
  return remove_cilium(key, policies.size(), change.time_ns) || changed;
}

bool PolicyTable::remove_cilium(const std::string& key, std::size_t from, std::int64_t time_ns) {
  bool changed = false;
  while (cilium_policies_.remove(element_key(key, from++), time_ns)) changed = true;
  return ended(changed, time_ns);
}

bool PolicyTable::put(const Namespace& object, const ObjectChange& change) {
  return store(namespaces_, object_key(object), object.info, object.created_ns, change);
}

bool PolicyTable::put(const Node& node, const ObjectChange& change) {
  return store(nodes_, object_key(node), model::NodeInfo{node.meta.name, node.meta.labels, node.addresses},
               node.meta.created_ns, change);
}

bool PolicyTable::put(const NetworkSet& set, const ObjectChange& change) {
  return store(network_sets_, object_key(set),
               model::NetworkSetInfo{set.meta.namespace_name, set.meta.name, set.meta.labels, set.nets, set.domains},
               set.meta.created_ns, change);
}

bool PolicyTable::remove(const ClusterObject& object, const ObjectChange& change) {
  const std::string key = object_key(object);
  const std::int64_t time = change.time_ns;
  if (const auto* policy = std::get_if<PolicyObject>(&object)) return remove_policy(*policy, key, time);
  if (std::holds_alternative<Namespace>(object)) return ended(namespaces_.remove(key, time), time);
  if (std::holds_alternative<Node>(object)) return ended(nodes_.remove(key, time), time);
  return ended(network_sets_.remove(key, time), time);
}

bool PolicyTable::remove_policy(const PolicyObject& object, const std::string& key, std::int64_t time_ns) {
  const auto from = [&](auto& line) { return ended(line.remove(key, time_ns), time_ns); };
  switch (object.kind) {
    case ObjectKind::kNetworkPolicy:
    case ObjectKind::kStagedKubernetesNetworkPolicy:
      return from(network_policies_);
    case ObjectKind::kAdminNetworkPolicy:
    case ObjectKind::kBaselineAdminNetworkPolicy:
    case ObjectKind::kClusterNetworkPolicy:
      return from(admin_policies_);
    case ObjectKind::kCalicoNetworkPolicy:
    case ObjectKind::kGlobalNetworkPolicy:
    case ObjectKind::kStagedNetworkPolicy:
    case ObjectKind::kStagedGlobalNetworkPolicy:
      return from(calico_policies_);
    case ObjectKind::kTier:
      return from(tiers_);
    case ObjectKind::kProfile:
      return from(profiles_);
    case ObjectKind::kWorkloadEndpoint:
      return from(workload_endpoints_);
    case ObjectKind::kHostEndpoint:
      return from(host_endpoints_);
    case ObjectKind::kServiceAccount:
      return from(service_accounts_);
    case ObjectKind::kCiliumNetworkPolicy:
    case ObjectKind::kCiliumClusterwideNetworkPolicy:
      return remove_cilium(key, 0, time_ns);
    default:
      return false;
  }
}

void PolicyTable::name_services(const PolicyObject& object) {
  const std::size_t before = named_services_.size();
  const auto name = [&](const std::string& namespace_name, const std::string& service) {
    named_services_.emplace(namespace_name, service);
  };
  if (const auto* calico = std::get_if<model::CalicoPolicy>(&object.spec)) each_service(*calico, name);
  if (const auto* cilium = std::get_if<PolicyObject::CiliumPolicies>(&object.spec)) {
    for (const model::CiliumPolicy& policy : *cilium) each_service(policy, name);
  }
  if (named_services_.size() != before) now_.services = services_at(kForever - 1);
}

bool PolicyTable::services_changed(const ObjectChange& change) {
  if (named_services_.empty()) return false;
  auto services = services_at(kForever - 1);
  const auto same = [](const auto& a, const auto& b) { return *a == *b; };
  if (std::equal(services.begin(), services.end(), now_.services.begin(), now_.services.end(), same)) return false;
  now_.services = std::move(services);
  return ended(true, change.time_ns);
}

model::SharedList<model::ServiceEndpoints> PolicyTable::services_at(std::int64_t time_ns) const {
  model::SharedList<model::ServiceEndpoints> list;
  for (const auto& [namespace_name, name] : named_services_) {
    model::ServiceEndpoints endpoints{namespace_name, name, {}, services_.endpoints_at(namespace_name, name, time_ns)};
    if (!endpoints.subsets.empty()) {
      list.push_back(std::make_shared<const model::ServiceEndpoints>(std::move(endpoints)));
    }
  }
  return list;
}

model::PolicySet PolicyTable::at(std::int64_t time_ns) const {
  model::PolicySet set;
  network_policies_.at(time_ns, set.network_policies);
  admin_policies_.at(time_ns, set.admin_policies);
  calico_policies_.at(time_ns, set.calico_policies);
  cilium_policies_.at(time_ns, set.cilium_policies);
  tiers_.at(time_ns, set.tiers);
  profiles_.at(time_ns, set.profiles);
  workload_endpoints_.at(time_ns, set.workload_endpoints);
  host_endpoints_.at(time_ns, set.host_endpoints);
  namespaces_.at(time_ns, set.namespaces);
  service_accounts_.at(time_ns, set.service_accounts);
  nodes_.at(time_ns, set.nodes);
  network_sets_.at(time_ns, set.network_sets);
  set.services = services_at(time_ns);
  return set;
}

std::int64_t PolicyTable::since(std::int64_t time_ns) const {
  const auto after = changes_.upper_bound(time_ns);
  return after == changes_.begin() ? kNoTime : *std::prev(after);
}

void PolicyTable::forget(std::int64_t time_ns) {
  std::apply([&](auto&... lines) { (lines.forget(time_ns), ...); },
             std::tie(network_policies_, admin_policies_, calico_policies_, cilium_policies_, tiers_, profiles_,
                      workload_endpoints_, host_endpoints_, namespaces_, service_accounts_, nodes_, network_sets_));
  // The last one before stays: what has held since then still does.
  const auto first = changes_.lower_bound(time_ns);
  if (first != changes_.begin()) changes_.erase(changes_.begin(), std::prev(first));
}

}  // namespace weir::cluster
