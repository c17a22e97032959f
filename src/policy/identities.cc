#include "policy/internal/identities.h"

#include <algorithm>

namespace weir::policy {
namespace {

// Text made of lengths and texts is unambiguous whatever the texts hold.
void append_text(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

void append_selector(std::string& out, const model::LabelSelector* selector) {
  if (selector == nullptr) {
    out += '-';
    return;
  }
  out += '{';
  for (const auto& [key, value] : selector->match_labels) {
    append_text(out, key);
    append_text(out, value);
  }
  for (const model::LabelSelector::Requirement& requirement : selector->match_expressions) {
    out += '(';
    out += std::to_string(static_cast<int>(requirement.op));
    append_text(out, requirement.key);
    for (const std::string& value : requirement.values) append_text(out, value);
    out += ')';
  }
  out += '}';
}

std::string canonical(const PodSelector& selector) {
  std::string text;
  if (selector.namespace_name) append_text(text, *selector.namespace_name);
  append_selector(text, selector.namespaces);
  append_selector(text, selector.pods);
  return text;
}

std::string_view key_of(std::string_view pair) { return pair.substr(0, pair.find('=')); }

}  // namespace

Identities::Identities(const std::vector<Tier>& tiers) : identities_(1) {
  for (const Tier& tier : tiers) {
    for (const Policy& policy : tier.policies) {
      learn(policy.subject.pods);
      for (const auto& rules : policy.rules) {
        if (!rules) continue;
        for (const Rule& rule : *rules) {
          for (const PodSelector& pods : rule.pods) learn(pods.pods);
          for (const PortName& name : rule.port_names) {
            port_names_.try_emplace({name.name, name.protocol}, static_cast<std::uint32_t>(port_names_.size()));
          }
        }
      }
    }
  }
}

void Identities::learn(const model::LabelSelector* selector) {
  if (selector == nullptr) return;
  for (const auto& [key, value] : selector->match_labels) label_keys_.insert(key);
  for (const auto& requirement : selector->match_expressions) label_keys_.insert(requirement.key);
}

void Identities::add_namespace(const std::string& name, const model::LabelSet* labels) {
  if (!namespace_numbers_.try_emplace(name, static_cast<std::uint32_t>(namespaces_.size())).second) return;
  namespaces_.push_back({name, {}, {}});
  if (labels != nullptr) {
    namespaces_.back().labels = *labels;
  } else {
    namespaces_.back().labels.pairs.push_back("kubernetes.io/metadata.name=" + name);
  }
}

Status Identities::add_pods(const std::vector<model::NamespaceInfo>& namespaces,
                            const std::vector<const model::Endpoint*>& pods, std::vector<PodCode>& codes) {
  for (const model::NamespaceInfo& info : namespaces) add_namespace(info.name, &info.labels);
  for (const model::Endpoint* pod : pods) {
    const std::string name = pod->namespace_name + "/" + pod->name;
    if (pod->pod_index < 0) return invalid_argument("policy: " + name + " has no pod index");
    const auto index = static_cast<std::size_t>(pod->pod_index);
    if (index >= codes.size()) codes.resize(index + 1);
    if (codes[index].endpoint != nullptr) {
      return invalid_argument("policy: " + name + " has the pod index of " + codes[index].endpoint->name);
    }
    codes[index] = {pod, pod->host_network ? kNoPod : identity_of(*pod)};
  }
  return {};
}

std::vector<NamedPortCode> Identities::named_ports(const model::Endpoint& pod) const {
  std::vector<NamedPortCode> ports;
  for (const model::NamedPort& port : pod.named_ports) {
    const auto known = port_names_.find({port.name, port.protocol});
    if (known != port_names_.end()) ports.push_back({known->second, port.port, port.protocol});
  }
  std::sort(ports.begin(), ports.end(),
            [](const auto& a, const auto& b) { return std::pair(a.name, a.port) < std::pair(b.name, b.port); });
  return ports;
}

std::uint32_t Identities::identity_of(const model::Endpoint& pod) {
  std::string key;
  append_text(key, pod.namespace_name);
  std::vector<std::string_view> pairs;
  for (const std::string& pair : pod.labels->pairs) {
    if (!label_keys_.contains(key_of(pair))) continue;
    pairs.push_back(pair);
    append_text(key, pair);
  }
  std::vector<NamedPortCode> ports = named_ports(pod);
  for (const NamedPortCode& port : ports) key += '#' + std::to_string(port.name) + ',' + std::to_string(port.port);

  const auto number = static_cast<std::uint32_t>(identities_.size());
  const auto [known, added] = identity_numbers_.try_emplace(std::move(key), number);
  if (!added) return known->second;
  add_namespace(pod.namespace_name, nullptr);
  const std::uint32_t namespace_index = namespace_numbers_.at(pod.namespace_name);
  identities_.push_back({namespace_index, pod.labels, std::move(ports)});
  namespaces_[namespace_index].identities.push_back(number);
  every_identity_.push_back(number);
  for (const std::string_view pair : pairs) with_label_[std::string(pair)].push_back(number);
  return number;
}

std::span<const std::uint32_t> Identities::candidates(const PodSelector& selector) const {
  std::span<const std::uint32_t> best = every_identity_;
  if (selector.namespace_name) {
    const auto found = namespace_numbers_.find(*selector.namespace_name);
    if (found == namespace_numbers_.end()) return {};
    best = namespaces_[found->second].identities;
  }
  if (selector.pods == nullptr) return best;
  for (const auto& [key, value] : selector.pods->match_labels) {
    std::string pair = key;
    pair.append("=").append(value);
    const auto found = with_label_.find(pair);
    if (found == with_label_.end()) return {};
    if (found->second.size() < best.size()) best = found->second;
  }
  return best;
}

const std::vector<bool>& Identities::namespaces_matching(const model::LabelSelector& selector) {
  std::string key;
  append_selector(key, &selector);
  const auto [known, added] = selected_namespaces_.try_emplace(std::move(key));
  if (added) {
    for (const Namespace& one : namespaces_) known->second.push_back(selector.matches(one.labels));
  }
  return known->second;
}

const std::vector<std::uint32_t>& Identities::select(const PodSelector& selector) {
  const auto [known, added] = selected_.try_emplace(canonical(selector));
  std::vector<std::uint32_t>& selected = known->second;
  if (!added) return selected;
  const std::vector<bool>* in_namespaces =
      selector.namespaces != nullptr ? &namespaces_matching(*selector.namespaces) : nullptr;
  for (const std::uint32_t number : candidates(selector)) {
    const Identity& identity = identities_[number];
    if (selector.namespace_name && namespace_name(identity) != *selector.namespace_name) continue;
    if (in_namespaces != nullptr && !(*in_namespaces)[identity.namespace_index]) continue;
    if (selector.pods != nullptr && !selector.pods->matches(*identity.labels)) continue;
    selected.push_back(number);
  }
  return selected;
}

}  // namespace weir::policy
