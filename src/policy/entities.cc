#include "policy/internal/entities.h"

#include <algorithm>

namespace weir::policy {
namespace {

using Pairs = std::vector<std::string>;

// Text made of lengths and texts is unambiguous whatever the texts hold.
void append_text(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

std::string_view key_of(std::string_view pair) { return pair.substr(0, pair.find('=')); }

/// Labels that a pod cannot set itself.
bool is_reserved(std::string_view key) {
  return key.starts_with(kNamespacePrefix) || key.starts_with(kServiceAccountPrefix) || key == kNamespaceLabel ||
         key == kServiceAccountLabel || key == kOrchestratorLabel;
}

/// Earlier pairs win over later ones of the same key.
model::LabelSet label_set(Pairs pairs) {
  std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return key_of(a) < key_of(b); });
  pairs.erase(
      std::unique(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return key_of(a) == key_of(b); }),
      pairs.end());
  std::sort(pairs.begin(), pairs.end());
  return {std::move(pairs)};
}

void add_prefixed(const model::LabelSet& labels, std::string_view prefix, Pairs& pairs) {
  for (const std::string& pair : labels.pairs) pairs.push_back(std::string(prefix) + pair);
}

/// Whether two lists hold the same objects in the same order.
template <typename T>
bool same(const model::SharedList<T>& a, const model::SharedList<T>& b) {
  return a == b;
}

}  // namespace

std::uint32_t Entities::intern(const EntitySelector& selector) {
  const auto next = static_cast<std::uint32_t>(selectors_.size());
  const auto [known, added] = selector_numbers_.try_emplace(selector.canonical(), next);
  if (!added) return known->second;
  selectors_.push_back({selector, false, {}});
  if (selector.over == EntitySelector::Over::kNodes) return next;
  for (std::string& key : selector.selector.label_keys()) {
    accounts_matter_ |= key == kServiceAccountLabel || key.starts_with(kServiceAccountPrefix);
    new_words_ |= label_keys_.insert(std::move(key)).second;
  }
  return next;
}

std::uint32_t Entities::port_name(const PortName& name) {
  const auto next = static_cast<std::uint32_t>(port_names_.size());
  const auto [known, added] = port_names_.try_emplace(std::to_string(name.protocol) + name.name, next);
  new_words_ |= added;
  return known->second;
}

Result<Entities::Change> Entities::refresh(const model::PolicySet& set, std::span<const model::Endpoint* const> pods,
                                           std::vector<PodCode>& codes) {
  Change change;
  const bool groups = !same(set.namespaces, set_.namespaces) || !same(set.service_accounts, set_.service_accounts);
  const bool profiles = !same(set.profiles, set_.profiles) || !same(set.workload_endpoints, set_.workload_endpoints);
  change.owners = groups || profiles || !same(set.network_sets, set_.network_sets) || !same(set.nodes, set_.nodes) ||
                  !same(set.host_endpoints, set_.host_endpoints);
  change.rebuilt = new_words_ || profiles;
  // Until all went well, the next refresh starts anew.
  new_words_ = true;
  set_ = set;
  if (groups || change.rebuilt) {
    namespace_infos_.clear();
    account_infos_.clear();
    for (const auto& info : set_.namespaces) namespace_infos_[info->name] = info.get();
    for (const auto& info : set_.service_accounts) account_infos_[info->namespace_name + "/" + info->name] = info.get();
  }
  if (change.rebuilt) {
    TRY(rebuild(pods, codes));
  } else {
    if (groups) relabel_groups(change);
    TRY(move_pods(pods, codes, change));
  }
  if (change.owners) rebuild_owners();
  new_words_ = false;
  return change;
}

Status Entities::rebuild(std::span<const model::Endpoint* const> pods, std::vector<PodCode>& codes) {
  overrides_.clear();
  profiles_.clear();
  for (const auto& endpoint : set_.workload_endpoints) {
    overrides_[endpoint->namespace_name + "/" + endpoint->pod] = endpoint.get();
  }
  for (const auto& profile : set_.profiles) {
    profiles_[profile->name] = profile.get();
    accounts_matter_ |= profile->name.starts_with("ksa.");
  }
  namespaces_.clear();
  namespace_numbers_.clear();
  accounts_.assign(1, {});
  account_numbers_.clear();
  profile_lists_.clear();
  profile_numbers_.clear();
  identities_.assign(1, {});
  every_identity_.clear();
  identity_numbers_.clear();
  with_pair_.clear();
  with_key_.clear();
  for (SelectorEntry& entry : selectors_) {
    entry.evaluated = false;
    entry.members.clear();
  }
  codes.clear();
  pods_.assign(pods.size(), nullptr);
  pod_indices_.assign(pods.size(), -1);
  for (std::size_t i = 0; i < pods.size(); ++i) TRY(place(i, pods[i], codes));
  return {};
}

Status Entities::place(std::size_t position, const model::Endpoint* pod, std::vector<PodCode>& codes) {
  if (pod->pod_index < 0) {
    return invalid_argument("policy: " + pod->namespace_name + "/" + pod->name + " has no pod index");
  }
  const auto index = static_cast<std::size_t>(pod->pod_index);
  if (index >= codes.size()) codes.resize(index + 1);
  if (codes[index].endpoint != nullptr) {
    return invalid_argument("policy: " + pod->namespace_name + "/" + pod->name + " has the pod index of " +
                            codes[index].endpoint->name);
  }
  codes[index] = {pod, pod->host_network ? kNoPod : identity_of(*pod)};
  pods_[position] = pod;
  pod_indices_[position] = pod->pod_index;
  return {};
}

Status Entities::move_pods(std::span<const model::Endpoint* const> pods, std::vector<PodCode>& codes, Change& change) {
  const auto before = static_cast<std::uint32_t>(identities_.size());
  std::vector<std::size_t> moved;
  for (std::size_t i = 0; i < std::max(pods.size(), pods_.size()); ++i) {
    if (i < pods.size() && i < pods_.size() && pods[i] == pods_[i]) continue;
    if (i < pods_.size() && pod_indices_[i] >= 0) codes[static_cast<std::size_t>(pod_indices_[i])] = {};
    if (i < pods.size()) moved.push_back(i);
  }
  pods_.resize(pods.size());
  pod_indices_.resize(pods.size());
  for (const std::size_t i : moved) TRY(place(i, pods[i], codes));
  for (auto number = before; number < identities_.size(); ++number) {
    reconsider(number);
    change.identities.push_back(number);
  }
  return {};
}

void Entities::relabel_groups(Change& change) {
  const auto relabel = [&](Group& group, Pairs pairs) {
    if (group.pairs == pairs) return;
    group.pairs = std::move(pairs);
    for (const std::uint32_t number : group.identities) {
      identities_[number].labels = effective(identities_[number]);
      index(number);
      reconsider(number);
      change.identities.push_back(number);
    }
  };
  for (Group& group : namespaces_) relabel(group, namespace_pairs(group.name));
  for (std::size_t i = 1; i < accounts_.size(); ++i) {
    relabel(accounts_[i], account_pairs(accounts_[i].namespace_name, accounts_[i].name));
  }
}

Pairs Entities::namespace_pairs(const std::string& name) const {
  Pairs all, pairs;
  const auto found = namespace_infos_.find(name);
  if (found != namespace_infos_.end()) {
    add_prefixed(found->second->labels, kNamespacePrefix, all);
  } else {
    all.push_back(std::string(kNamespacePrefix) + "kubernetes.io/metadata.name=" + name);
  }
  all.push_back(std::string(kNamespacePrefix) + "projectcalico.org/name=" + name);
  for (std::string& pair : all) {
    if (label_keys_.contains(key_of(pair))) pairs.push_back(std::move(pair));
  }
  return pairs;
}

Pairs Entities::account_pairs(const std::string& namespace_name, const std::string& name) const {
  Pairs all, pairs;
  const auto found = account_infos_.find(namespace_name + "/" + name);
  if (found != account_infos_.end()) add_prefixed(found->second->labels, kServiceAccountPrefix, all);
  all.push_back(std::string(kServiceAccountPrefix) + "projectcalico.org/name=" + name);
  for (std::string& pair : all) {
    if (label_keys_.contains(key_of(pair))) pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::uint32_t Entities::namespace_of(const std::string& name) {
  const auto [known, added] = namespace_numbers_.try_emplace(name, static_cast<std::uint32_t>(namespaces_.size()));
  if (added) namespaces_.push_back({"", name, namespace_pairs(name), {}});
  return known->second;
}

std::uint32_t Entities::account_of(const std::string& namespace_name, const std::string& name) {
  if (!accounts_matter_) return 0;
  const auto next = static_cast<std::uint32_t>(accounts_.size());
  const auto [known, added] = account_numbers_.try_emplace(namespace_name + "/" + name, next);
  if (added) accounts_.push_back({namespace_name, name, account_pairs(namespace_name, name), {}});
  return known->second;
}

std::uint32_t Entities::profiles_of(const model::Endpoint& pod) {
  ProfileList list;
  const std::string of_namespace = "kns." + pod.namespace_name;
  const std::string of_account = "ksa." + pod.namespace_name + "." + pod.service_account;
  const auto override = overrides_.empty() ? overrides_.end() : overrides_.find(pod.namespace_name + "/" + pod.name);
  if (override != overrides_.end()) {
    list.names = override->second->profiles;
    const auto has = [&](const std::string& name) {
      return std::find(list.names.begin(), list.names.end(), name) != list.names.end();
    };
    list.of_namespace = has(of_namespace);
    list.of_account = has(of_account);
  } else {
    list.names.push_back(of_namespace);
    if (!profiles_.empty() && profiles_.contains(of_account)) list.names.push_back(of_account);
  }
  std::string key(1, static_cast<char>('0' + (list.of_namespace ? 1 : 0) + (list.of_account ? 2 : 0)));
  for (const std::string& name : list.names) append_text(key, name);
  const auto next = static_cast<std::uint32_t>(profile_lists_.size());
  const auto [known, added] = profile_numbers_.try_emplace(std::move(key), next);
  if (added) profile_lists_.push_back(std::move(list));
  return known->second;
}

std::vector<NamedPortCode> Entities::named_ports(const model::Endpoint& pod) const {
  std::vector<NamedPortCode> ports;
  if (port_names_.empty()) return ports;
  for (const model::NamedPort& port : pod.named_ports) {
    const auto known = port_names_.find(std::to_string(port.protocol) + port.name);
    if (known != port_names_.end()) ports.push_back({known->second, port.port, port.protocol});
  }
  std::sort(ports.begin(), ports.end(),
            [](const auto& a, const auto& b) { return std::pair(a.name, a.port) < std::pair(b.name, b.port); });
  return ports;
}

std::uint32_t Entities::identity_of(const model::Endpoint& pod) {
  Identity identity;
  identity.namespace_number = namespace_of(pod.namespace_name);
  identity.account = account_of(pod.namespace_name, pod.service_account);
  identity.profiles = profiles_of(pod);
  std::string key = std::to_string(identity.namespace_number) + ',' + std::to_string(identity.account) + ',' +
                    std::to_string(identity.profiles) + ',';
  for (const std::string& pair : pod.labels->pairs) {
    const std::string_view label = key_of(pair);
    if (!label_keys_.contains(label) || is_reserved(label)) continue;
    append_text(key, pair);
    identity.own.pairs.push_back(pair);
  }
  identity.named_ports = named_ports(pod);
  for (const NamedPortCode& port : identity.named_ports) {
    key += '#' + std::to_string(port.name) + ',' + std::to_string(port.port);
  }
  const auto number = static_cast<std::uint32_t>(identities_.size());
  const auto [known, added] = identity_numbers_.try_emplace(std::move(key), number);
  if (!added) return known->second;
  identity.labels = effective(identity);
  namespaces_[identity.namespace_number].identities.push_back(number);
  accounts_[identity.account].identities.push_back(number);
  every_identity_.push_back(number);
  identities_.push_back(std::move(identity));
  index(number);
  return number;
}

model::LabelSet Entities::effective(const Identity& identity) const {
  const ProfileList& profiles = profile_lists_[identity.profiles];
  Pairs pairs = identity.own.pairs;
  const auto add = [&](const std::string& key, const std::string& value) {
    if (label_keys_.contains(key)) pairs.push_back(key + "=" + value);
  };
  add(kNamespaceLabel, namespaces_[identity.namespace_number].name);
  add(kOrchestratorLabel, "k8s");
  if (identity.account != 0) add(kServiceAccountLabel, accounts_[identity.account].name);
  for (const std::string& name : profiles.names) {
    const auto profile = profiles_.find(name);
    if (profile == profiles_.end()) continue;
    for (const std::string& pair : profile->second->labels_to_apply.pairs) {
      if (label_keys_.contains(key_of(pair))) pairs.push_back(pair);
    }
  }
  const auto inherit = [&](const Pairs& more) { pairs.insert(pairs.end(), more.begin(), more.end()); };
  if (profiles.of_namespace) inherit(namespaces_[identity.namespace_number].pairs);
  if (profiles.of_account) inherit(accounts_[identity.account].pairs);
  return label_set(std::move(pairs));
}

void Entities::index(std::uint32_t number) {
  for (const std::string& pair : identities_[number].labels.pairs) {
    with_pair_[pair].push_back(number);
    with_key_[std::string(key_of(pair))].push_back(number);
  }
}

void Entities::reconsider(std::uint32_t number) {
  for (SelectorEntry& entry : selectors_) {
    if (!entry.evaluated || entry.selector.over == EntitySelector::Over::kNodes) continue;
    const auto at = std::lower_bound(entry.members.begin(), entry.members.end(), number);
    const bool was = at != entry.members.end() && *at == number;
    const bool is = entry.selector.selector.matches(identities_[number].labels);
    if (is && !was) entry.members.insert(at, number);
    if (!is && was) entry.members.erase(at);
  }
}

}  // namespace weir::policy
