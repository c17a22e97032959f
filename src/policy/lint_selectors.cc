// Checks of selectors: whom they select, and labels that somebody almost has.

#include <algorithm>
#include <functional>
#include <optional>

#include "policy/internal/lint.h"

namespace weir::policy {
namespace {

using Kind = model::Selector::Kind;
using Node = model::Selector::Node;

/// Shorter words differ by a letter without being meant alike.
constexpr std::size_t kShortestWord = 4;
constexpr std::size_t kLongWord = 8;

std::string without_digits(std::string_view text) {
  std::string letters;
  std::copy_if(text.begin(), text.end(), std::back_inserter(letters), [](char c) { return c < '0' || c > '9'; });
  return letters;
}

/// Whether one is likely to be a slip for the other. "prod1" and "prod2" are not.
bool alike(std::string_view a, std::string_view b) {
  if (a == b || std::min(a.size(), b.size()) < kShortestWord) return false;
  const int limit = std::min(a.size(), b.size()) < kLongWord ? 1 : 2;
  return edit_distance(a, b, limit) <= limit && without_digits(a) != without_digits(b);
}

/// A label as the object's author writes it.
std::string label_words(std::string_view key) {
  if (key.starts_with(kNamespacePrefix)) return "namespace label '" + std::string(key.substr(5)) + "'";
  if (key.starts_with(kServiceAccountPrefix)) return "service account label '" + std::string(key.substr(5)) + "'";
  return "label '" + std::string(key) + "'";
}

bool same_prefix(std::string_view a, std::string_view b) {
  for (const std::string_view prefix : {kNamespacePrefix, kServiceAccountPrefix}) {
    if (a.starts_with(prefix) != b.starts_with(prefix)) return false;
  }
  return true;
}

template <typename Use>
void each_comparison(const Node& node, const Use& use) {
  if (!node.label.empty()) use(node);
  for (const Node& child : node.children) each_comparison(child, use);
}

/// One selector of a policy, and where it stands.
struct Place {
  const LintUnit& unit;
  std::string path;
  const EntitySelector& selector;
};

class SelectorLint {
 public:
  SelectorLint(const LintWorld& world, Findings& findings) : world_(world), findings_(findings) {}

  void run() {
    for (const LintUnit& unit : world_.units()) {
      check({unit, "spec", unit.policy.subject}, true);
      for (const Direction direction : {Direction::kEgress, Direction::kIngress}) {
        const auto& rules = unit.policy.rules[static_cast<std::size_t>(direction)];
        if (!rules) continue;
        for (const Rule& rule : *rules) check_rule(unit, direction, rule);
      }
    }
  }

 private:
  void check_rule(const LintUnit& unit, Direction direction, const Rule& rule) {
    const std::string path = unit.rule_path(direction, rule.index) + ".";
    if (rule.peers) {
      const std::string far = unit.far_name[static_cast<std::size_t>(direction)];
      for (const EntitySelector& selector : rule.peers->entities) check({unit, path + far, selector}, false);
    }
    for (const Check& one : rule.checks) {
      for (const EntitySelector& selector : one.peers.entities) {
        check({unit, path + one.term, selector}, false, !one.negate);
      }
    }
  }

  void check(const Place& place, bool subject, bool wants_somebody = true) {
    const bool typo = check_labels(place);
    if (typo || !wants_somebody || world_.selects_any(place.selector)) return;
    findings_.push_back({Severity::kWarning, "selects-nothing", place.unit.object, place.path,
                         "nobody is selected by " + place.selector.selector.canonical(),
                         subject ? "select pods by labels that they have, or remove the policy"
                                 : "select by labels that somebody has, or remove it"});
  }

  /// Whether a label is probably misspelt.
  bool check_labels(const Place& place) {
    bool found = false;
    each_comparison(place.selector.selector.root(), [&](const Node& node) {
      const auto* values = world_.values_of(node.label);
      if (values == nullptr) {
        found |= check_key(place, node.label);
        return;
      }
      const bool exact = node.kind == Kind::kEquals || node.kind == Kind::kNotEquals || node.kind == Kind::kIn ||
                         node.kind == Kind::kNotIn;
      if (!exact) return;
      for (const std::string& value : node.values) found |= check_value(place, node.label, value, *values);
    });
    return found;
  }

  bool check_key(const Place& place, const std::string& key) {
    for (const auto& [known, values] : world_.known_labels()) {
      if (!same_prefix(key, known) || !alike(key, known)) continue;
      return typo(place, "nobody has the " + label_words(key) + ", but there is the " + label_words(known));
    }
    return false;
  }

  bool check_value(const Place& place, const std::string& key, const std::string& value,
                   const std::set<std::string, std::less<>>& values) {
    if (values.contains(value)) return false;
    for (const std::string& known : values) {
      if (!alike(value, known)) continue;
      return typo(place,
                  "nobody has '" + value + "' as the " + label_words(key) + ", but somebody has '" + known + "'");
    }
    return false;
  }

  bool typo(const Place& place, std::string what) {
    findings_.push_back({Severity::kWarning, "label-typo", place.unit.object, place.path, std::move(what),
                         "write it as it is, if that is meant"});
    return true;
  }

  const LintWorld& world_;
  Findings& findings_;
};

}  // namespace

void lint_selectors(const LintWorld& world, Findings& findings) {
  if (world.pods().empty()) return;
  SelectorLint(world, findings).run();
}

}  // namespace weir::policy
