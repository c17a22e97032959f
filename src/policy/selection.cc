// Entities: whom a selector selects, and the owners of addresses that are no pods.

#include <algorithm>
#include <limits>

#include "policy/internal/entities.h"

namespace weir::policy {
namespace {

using Node = model::Selector::Node;
using Kind = model::Selector::Kind;
using Numbers = std::vector<std::uint32_t>;
using NumbersByText = TextMap<Numbers>;

/// A superset of what a selector selects, from an index of labels.
class Candidates {
 public:
  static constexpr std::size_t kAnyone = std::numeric_limits<std::size_t>::max();

  Candidates(const NumbersByText& with_pair, const NumbersByText& with_key)
      : with_pair_(with_pair), with_key_(with_key) {}

  /// How many, with repetitions; kAnyone if the index cannot tell.
  std::size_t count(const Node& node) const {
    switch (node.kind) {
      case Kind::kEquals:
      case Kind::kIn: {
        std::size_t sum = 0;
        for (const std::string& value : node.values) sum += pairs(node.label, value).size();
        return sum;
      }
      case Kind::kHas:
      case Kind::kContains:
      case Kind::kStartsWith:
      case Kind::kEndsWith:
        return find(with_key_, node.label).size();
      case Kind::kAnd:
        return count(best(node));
      case Kind::kOr: {
        std::size_t sum = 0;
        for (const Node& child : node.children) {
          const std::size_t one = count(child);
          if (one == kAnyone) return kAnyone;
          sum += one;
        }
        return sum;
      }
      default:
        return kAnyone;
    }
  }

  /// Only where count() is not kAnyone.
  void collect(const Node& node, Numbers& out) const {
    const auto add = [&](const Numbers& numbers) { out.insert(out.end(), numbers.begin(), numbers.end()); };
    switch (node.kind) {
      case Kind::kEquals:
      case Kind::kIn:
        for (const std::string& value : node.values) add(pairs(node.label, value));
        break;
      case Kind::kAnd:
        collect(best(node), out);
        break;
      case Kind::kOr:
        for (const Node& child : node.children) collect(child, out);
        break;
      default:
        add(find(with_key_, node.label));
        break;
    }
  }

 private:
  const Numbers& find(const NumbersByText& index, const std::string& text) const {
    const auto found = index.find(text);
    return found == index.end() ? nobody_ : found->second;
  }
  const Numbers& pairs(const std::string& key, const std::string& value) const {
    return find(with_pair_, key + "=" + value);
  }
  const Node& best(const Node& node) const {
    return *std::min_element(node.children.begin(), node.children.end(),
                             [&](const Node& a, const Node& b) { return count(a) < count(b); });
  }

  const NumbersByText &with_pair_, &with_key_;
  Numbers nobody_;
};

}  // namespace

void Entities::evaluate(SelectorEntry& entry) {
  entry.evaluated = true;
  entry.members.clear();
  if (entry.selector.over == EntitySelector::Over::kNodes) return;
  const Candidates candidates(with_pair_, with_key_);
  const Node& root = entry.selector.selector.root();
  Numbers collected;
  const bool anyone = candidates.count(root) == Candidates::kAnyone;
  if (!anyone) {
    candidates.collect(root, collected);
    std::sort(collected.begin(), collected.end());
    collected.erase(std::unique(collected.begin(), collected.end()), collected.end());
  }
  for (const std::uint32_t number : anyone ? every_identity_ : collected) {
    if (entry.selector.selector.matches(identities_[number].labels)) entry.members.push_back(number);
  }
}

const std::vector<std::uint32_t>& Entities::members(std::uint32_t selector) {
  SelectorEntry& entry = selectors_[selector];
  if (!entry.evaluated) evaluate(entry);
  return entry.members;
}

std::vector<std::uint32_t> Entities::owners_of(std::uint32_t selector) const {
  std::vector<std::uint32_t> result;
  const EntitySelector& by = selectors_[selector].selector;
  for (std::uint32_t i = 0; i < owners_.size(); ++i) {
    if (owners_[i].over == by.over && by.selector.matches(owners_[i].labels)) result.push_back(i);
  }
  return result;
}

model::LabelSet Entities::host_labels(const model::PolicySet& set, const model::HostEndpoint& host) {
  std::vector<std::string> pairs = host.labels.pairs;
  const auto has = [&](const std::string& pair) {
    const std::string_view key = std::string_view(pair).substr(0, pair.find('='));
    return model::LabelSet(host.labels).has(key);
  };
  for (const std::string& name : host.profiles) {
    for (const auto& profile : set.profiles) {
      if (profile->name != name) continue;
      for (const std::string& pair : profile->labels_to_apply.pairs) {
        if (!has(pair)) pairs.push_back(pair);
      }
    }
  }
  std::sort(pairs.begin(), pairs.end());
  return {std::move(pairs)};
}

void Entities::rebuild_owners() {
  owners_.clear();
  for (const auto& network_set : set_.network_sets) {
    Owner owner;
    owner.labels = network_set->labels;
    if (!network_set->namespace_name.empty()) {
      const std::string& name = network_set->namespace_name;
      std::vector<std::string>& pairs = owner.labels.pairs;
      pairs.push_back(std::string(kNamespaceLabel) + "=" + name);
      const auto found = namespace_infos_.find(name);
      if (found != namespace_infos_.end()) {
        for (const std::string& pair : found->second->labels.pairs) pairs.push_back(kNamespacePrefix + pair);
      } else {
        pairs.push_back(std::string(kNamespacePrefix) + "kubernetes.io/metadata.name=" + name);
      }
      pairs.push_back(std::string(kNamespacePrefix) + "projectcalico.org/name=" + name);
      std::sort(pairs.begin(), pairs.end());
    }
    owner.nets = network_set->nets;
    owner.domains = network_set->domains;
    owners_.push_back(std::move(owner));
  }
  const auto prefixes = [](const std::vector<IpAddress>& ips) {
    std::vector<IpPrefix> result;
    for (const IpAddress& ip : ips) result.push_back({ip, 128});
    return result;
  };
  for (const auto& host : set_.host_endpoints) {
    owners_.push_back({EntitySelector::Over::kEndpoints, host_labels(set_, *host), prefixes(host->expected_ips), {}});
  }
  for (const auto& node : set_.nodes) {
    owners_.push_back({EntitySelector::Over::kNodes, node->labels, prefixes(node->addresses), {}});
  }
}

}  // namespace weir::policy
