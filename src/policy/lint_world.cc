#include <algorithm>

#include "policy/internal/lint.h"

namespace weir::policy {
namespace {

constexpr std::size_t kShownNames = 2;
/// That Calico gives to every namespace.
constexpr const char* kNamespaceNameLabel = "pcns.projectcalico.org/name";

void put(model::LabelSet& labels, const std::string& key, std::string_view value) {
  if (!labels.has(key)) labels.pairs.push_back(key + "=" + std::string(value));
  std::sort(labels.pairs.begin(), labels.pairs.end());
}

void put_prefixed(model::LabelSet& labels, const char* prefix, const model::LabelSet& from) {
  for (const std::string& pair : from.pairs) labels.pairs.push_back(prefix + pair);
  std::sort(labels.pairs.begin(), labels.pairs.end());
}

std::string key_of(const std::string& namespace_name, const std::string& name) { return namespace_name + "/" + name; }

}  // namespace

std::string object_name(const model::NetworkPolicy& policy) {
  return std::string(policy.staged == model::StagedAction::kNone ? "" : "StagedKubernetes") + "NetworkPolicy " +
         key_of(policy.namespace_name, policy.name);
}

std::string object_name(const model::AdminPolicy& policy) {
  using Kind = model::AdminPolicy::Kind;
  return (policy.kind == Kind::kAdmin      ? "AdminNetworkPolicy "
          : policy.kind == Kind::kBaseline ? "BaselineAdminNetworkPolicy "
                                           : "ClusterNetworkPolicy ") +
         policy.name;
}

std::string object_name(const model::CalicoPolicy& policy) {
  const bool staged = policy.staged != model::StagedAction::kNone;
  if (!policy.namespace_name) return std::string(staged ? "Staged" : "") + "GlobalNetworkPolicy " + policy.name;
  // Kubernetes has a NetworkPolicy too.
  return std::string(staged ? "StagedNetworkPolicy " : "NetworkPolicy.projectcalico.org ") +
         key_of(*policy.namespace_name, policy.name);
}

std::string object_name(const model::CiliumPolicy& policy) {
  return policy.namespace_name ? "CiliumNetworkPolicy " + key_of(*policy.namespace_name, policy.name)
                               : "CiliumClusterwideNetworkPolicy " + policy.name;
}

std::string LintUnit::rule_path(Direction direction, std::int32_t rule) const {
  return std::string(direction == Direction::kEgress ? "spec.egress[" : "spec.ingress[") + std::to_string(rule) + "]";
}

bool any(const PodSet& set) { return std::find(set.begin(), set.end(), true) != set.end(); }

bool overlap(const PodSet& a, const PodSet& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] && b[i]) return true;
  }
  return false;
}

bool holds_all(const PodSet& a, const PodSet& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (b[i] && !a[i]) return false;
  }
  return true;
}

LintWorld::LintWorld(const LintInputs& inputs) : inputs_(inputs) {
  add_pods();
  add_others();
  rank_tiers();
  add_units();
}

void LintWorld::add_pods() {
  std::map<std::string, const model::LabelSet*> namespaces, accounts;
  for (const auto& info : inputs_.policies.namespaces) namespaces[info->name] = &info->labels;
  for (const auto& info : inputs_.policies.service_accounts) {
    accounts[key_of(info->namespace_name, info->name)] = &info->labels;
  }
  for (const model::Endpoint* pod : inputs_.pods) {
    if (pod->host_network) continue;
    model::LabelSet labels = *pod->labels;
    put(labels, kNamespaceLabel, pod->namespace_name);
    put(labels, kServiceAccountLabel, pod->service_account);
    put(labels, kOrchestratorLabel, "k8s");
    put(labels, kNamespaceNameLabel, pod->namespace_name);
    const auto info = namespaces.find(pod->namespace_name);
    if (info != namespaces.end()) {
      put_prefixed(labels, kNamespacePrefix, *info->second);
    } else {
      put(labels, std::string(kNamespacePrefix) + "kubernetes.io/metadata.name", pod->namespace_name);
    }
    const auto account = accounts.find(key_of(pod->namespace_name, pod->service_account));
    if (account != accounts.end()) put_prefixed(labels, kServiceAccountPrefix, *account->second);
    know(labels);
    pods_.push_back(pod);
    pod_labels_.push_back(std::move(labels));
  }
}

void LintWorld::add_others() {
  for (const auto& info : inputs_.policies.namespaces) {
    model::LabelSet labels;
    put(labels, kNamespaceLabel, info->name);
    put(labels, kNamespaceNameLabel, info->name);
    put_prefixed(labels, kNamespacePrefix, info->labels);
    know(labels);
  }
  for (const auto& set : inputs_.policies.network_sets) {
    model::LabelSet labels = set->labels;
    if (!set->namespace_name.empty()) {
      put(labels, kNamespaceLabel, set->namespace_name);
      put(labels, kNamespaceNameLabel, set->namespace_name);
      for (const auto& info : inputs_.policies.namespaces) {
        if (info->name == set->namespace_name) put_prefixed(labels, kNamespacePrefix, info->labels);
      }
    }
    know(labels);
    other_labels_.push_back(std::move(labels));
  }
  for (const auto& host : inputs_.policies.host_endpoints) {
    know(host->labels);
    other_labels_.push_back(host->labels);
  }
  for (const auto& node : inputs_.policies.nodes) {
    know(node->labels);
    node_labels_.push_back(node->labels);
  }
}

void LintWorld::know(const model::LabelSet& labels) {
  for (const std::string& pair : labels.pairs) {
    const std::size_t equals = pair.find('=');
    known_[pair.substr(0, equals)].insert(pair.substr(equals + 1));
  }
}

void LintWorld::rank_tiers() {
  std::map<std::string, double> orders{{"kube-admin", 1'000}, {"default", 1'000'000}, {"kube-baseline", 10'000'000}};
  for (const auto& tier : inputs_.policies.tiers) orders[tier->name] = tier->order.value_or(kNoOrder);
  orders.try_emplace("default", 1'000'000);
  std::vector<std::pair<double, std::string>> sorted;
  sorted.reserve(orders.size());
  for (const auto& [name, order] : orders) sorted.emplace_back(order, name);
  std::sort(sorted.begin(), sorted.end());
  for (auto& [order, name] : sorted) tiers_.push_back(std::move(name));
}

std::size_t LintWorld::tier_rank(const std::string& tier) const {
  const auto found = std::find(tiers_.begin(), tiers_.end(), tier);
  return found == tiers_.end() ? std::string::npos : static_cast<std::size_t>(found - tiers_.begin());
}

void LintWorld::add_units() {
  const auto add = [&](const auto& policy, bool unordered, std::array<const char*, kDirections> far_name) {
    for (Policy& lowered : lower(policy, TraceNames::kKind)) {
      if (lowered.staged == model::StagedAction::kDelete || lowered.staged == model::StagedAction::kIgnore) continue;
      units_.push_back({std::move(lowered), object_name(policy), unordered, far_name});
    }
  };
  for (const auto& policy : inputs_.policies.network_policies) add(*policy, true, {"to", "from"});
  for (const auto& policy : inputs_.policies.admin_policies) add(*policy, false, {"to", "from"});
  for (const auto& policy : inputs_.policies.calico_policies) add(*policy, false, {"destination", "source"});
  for (const auto& policy : inputs_.policies.cilium_policies) add(*policy, true, {"to", "from"});
  std::stable_sort(units_.begin(), units_.end(), [&](const LintUnit& a, const LintUnit& b) {
    const std::size_t tier_a = tier_rank(a.policy.tier), tier_b = tier_rank(b.policy.tier);
    return std::tie(tier_a, a.policy.order, a.policy.tie) < std::tie(tier_b, b.policy.order, b.policy.tie);
  });
}

const PodSet& LintWorld::selected(const EntitySelector& selector) const {
  const auto [entry, fresh] = selected_.try_emplace(selector.canonical());
  if (!fresh) return entry->second;
  entry->second.assign(pods_.size(), false);
  if (selector.over == EntitySelector::Over::kNodes) return entry->second;
  for (std::size_t i = 0; i < pods_.size(); ++i) entry->second[i] = selector.selector.matches(pod_labels_[i]);
  return entry->second;
}

bool LintWorld::selects_any(const EntitySelector& selector) const {
  const auto matches = [&](const model::LabelSet& labels) { return selector.selector.matches(labels); };
  if (selector.over == EntitySelector::Over::kNodes) {
    return std::any_of(node_labels_.begin(), node_labels_.end(), matches);
  }
  if (any(selected(selector))) return true;
  return selector.over == EntitySelector::Over::kEndpoints &&
         std::any_of(other_labels_.begin(), other_labels_.end(), matches);
}

PodSet LintWorld::pods_of(const std::optional<PeerSet>& peers) const {
  if (!peers) return PodSet(pods_.size(), true);
  PodSet all(pods_.size(), false);
  for (const EntitySelector& selector : peers->entities) {
    const PodSet& some = selected(selector);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = all[i] || some[i];
  }
  return all;
}

std::string LintWorld::names(const PodSet& set) const {
  std::string text;
  std::size_t count = 0;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (!set[i] || ++count > kShownNames) continue;
    text += (text.empty() ? "" : ", ") + key_of(pods_[i]->namespace_name, pods_[i]->name);
  }
  return count > kShownNames ? text + " and " + std::to_string(count - kShownNames) + " more" : text;
}

const std::set<std::string, std::less<>>* LintWorld::values_of(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : &found->second;
}

}  // namespace weir::policy
