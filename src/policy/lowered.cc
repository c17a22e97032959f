#include "policy/internal/lowered.h"

#include <algorithm>

namespace weir::policy {
namespace {

using Node = model::Selector::Node;
using Kind = model::Selector::Kind;

// Text made of lengths and texts is unambiguous whatever the texts hold.
void append_text(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

void append_addresses(std::string& out, const AddressSet& set) {
  for (const IpPrefix& prefix : set.include) out += '+' + prefix.to_string();
  for (const IpPrefix& prefix : set.except) out += '-' + prefix.to_string();
  out += ';';
}

void add_prefix(Node& node, const std::string& prefix) {
  if (!node.label.empty()) node.label.insert(0, prefix);
  for (Node& child : node.children) add_prefix(child, prefix);
}

}  // namespace

std::string EntitySelector::canonical() const { return std::to_string(static_cast<int>(over)) + selector.canonical(); }

std::string PeerSet::canonical() const {
  std::string text;
  text += outside_only ? 'o' : '-';
  text += no_nodes ? 'n' : '-';
  for (const EntitySelector& selector : entities) append_text(text, selector.canonical());
  text += '|';
  for (const AddressSet& set : addresses) append_addresses(text, set);
  text += '|';
  for (const ServiceKey& service : services) {
    append_text(text, service.namespace_name);
    append_text(text, service.name);
  }
  text += '|';
  for (const std::string& domain : domains) append_text(text, domain);
  return text;
}

model::Selector all_of(std::vector<model::Selector> selectors) {
  Node all{Kind::kAnd, {}, {}, {}};
  for (model::Selector& selector : selectors) {
    if (!selector.is_all()) all.children.push_back(selector.root());
  }
  if (all.children.empty()) return {};
  if (all.children.size() == 1) return model::Selector(std::move(all.children[0]));
  return model::Selector(std::move(all));
}

model::Selector label_equals(std::string key, std::string value) {
  return model::Selector(Node{Kind::kEquals, std::move(key), {std::move(value)}, {}});
}

model::Selector to_selector(const model::LabelSelector& selector, const std::string& key_prefix) {
  std::vector<model::Selector> parts;
  for (const auto& [key, value] : selector.match_labels) parts.push_back(label_equals(key_prefix + key, value));
  for (const auto& requirement : selector.match_expressions) {
    using Op = model::LabelSelector::Operator;
    const std::string key = key_prefix + requirement.key;
    std::vector<std::string> values = requirement.values;
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    switch (requirement.op) {
      case Op::kIn:
        parts.emplace_back(Node{Kind::kIn, key, std::move(values), {}});
        break;
      case Op::kNotIn:
        parts.emplace_back(Node{Kind::kNotIn, key, std::move(values), {}});
        break;
      case Op::kExists:
        parts.emplace_back(Node{Kind::kHas, key, {}, {}});
        break;
      case Op::kDoesNotExist:
        parts.emplace_back(Node{Kind::kNot, {}, {}, {Node{Kind::kHas, key, {}, {}}}});
        break;
    }
  }
  return all_of(std::move(parts));
}

model::Selector prefixed(const model::Selector& selector, const std::string& key_prefix) {
  Node root = selector.root();
  add_prefix(root, key_prefix);
  return model::Selector(std::move(root));
}

std::string profile_trace_name(const std::string& profile, TraceNames names) {
  if (profile.empty()) return names == TraceNames::kKind ? "pro:__NO_MATCH__" : "__NO_MATCH__";
  return (names == TraceNames::kKind ? "pro:" : "__PROFILE__.") + profile;
}

}  // namespace weir::policy
