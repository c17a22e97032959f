// Checks of rules against the rules before them: what can never be reached.
//
// A rule covers another if whatever matches the other matches it too, by what they say: no pod and no address is asked,
// so that it stays true whatever comes. Only whether the policies are for the same pods is a matter of the pods of now.

#include <algorithm>

#include "policy/internal/lint.h"

namespace weir::policy {
namespace {

using Node = model::Selector::Node;
using Kind = model::Selector::Kind;

/// More pairs of policies than that are not compared: their clusters are for programs, not for people.
constexpr std::size_t kMaxComparedUnits = 4'000;

/// The parts of a conjunction, as text.
std::vector<std::string> conditions(const model::Selector& selector) {
  std::vector<std::string> texts;
  if (selector.is_all()) return texts;
  if (selector.root().kind != Kind::kAnd) return {selector.canonical()};
  for (const Node& child : selector.root().children) texts.push_back(model::Selector(child).canonical());
  std::sort(texts.begin(), texts.end());
  return texts;
}

bool covers(const EntitySelector& a, const EntitySelector& b) {
  const bool wider =
      a.over == b.over || (a.over == EntitySelector::Over::kEndpoints && b.over == EntitySelector::Over::kPods);
  if (!wider) return false;
  const auto wanted = conditions(a.selector), given = conditions(b.selector);
  return std::includes(given.begin(), given.end(), wanted.begin(), wanted.end());
}

bool covers(const IpPrefix& a, const IpPrefix& b) {
  return a.is_v4() == b.is_v4() && a.length <= b.length && a.contains(b.address);
}

bool disjoint(const IpPrefix& a, const IpPrefix& b) { return !covers(a, b) && !covers(b, a); }

bool covers(const AddressSet& a, const AddressSet& b) {
  const auto in_a = [&](const IpPrefix& prefix) {
    return std::any_of(a.include.begin(), a.include.end(), [&](const IpPrefix& wide) { return covers(wide, prefix); });
  };
  if (!std::all_of(b.include.begin(), b.include.end(), in_a)) return false;
  // What the first leaves out, the second must leave out or never have had.
  return std::all_of(a.except.begin(), a.except.end(), [&](const IpPrefix& hole) {
    const auto also = [&](const IpPrefix& other) { return covers(other, hole); };
    const auto apart = [&](const IpPrefix& other) { return disjoint(other, hole); };
    return std::any_of(b.except.begin(), b.except.end(), also) ||
           std::all_of(b.include.begin(), b.include.end(), apart);
  });
}

bool covers(const PeerSet& a, const PeerSet& b) {
  if ((a.outside_only && !b.outside_only) || (a.no_nodes && !b.no_nodes)) return false;
  const auto each = [](const auto& of_b, const auto& of_a, const auto& holds) {
    return std::all_of(of_b.begin(), of_b.end(), [&](const auto& one) {
      return std::any_of(of_a.begin(), of_a.end(), [&](const auto& wide) { return holds(wide, one); });
    });
  };
  const auto equal = [](const auto& x, const auto& y) { return x == y; };
  return each(b.entities, a.entities, [](const auto& x, const auto& y) { return covers(x, y); }) &&
         each(b.addresses, a.addresses, [](const auto& x, const auto& y) { return covers(x, y); }) &&
         each(b.services, a.services, equal) && each(b.domains, a.domains, equal);
}

bool covers_traffic(const Rule& a, const Rule& b) {
  TrafficSet rest = b.traffic;
  rest.subtract(a.traffic);
  if (!rest.empty()) return false;
  return std::all_of(b.port_names.begin(), b.port_names.end(), [&](const PortName& name) {
    TrafficSet protocol = TrafficSet::protocol(name.protocol);
    protocol.subtract(a.traffic);
    const auto same = [&](const PortName& other) { return other.protocol == name.protocol && other.name == name.name; };
    return protocol.empty() || std::any_of(a.port_names.begin(), a.port_names.end(), same);
  });
}

/// Whether `a` is a condition of peers, and `b` the same one.
bool same_check(const Check& a, const Check& b) {
  const bool peers = a.kind == Check::Kind::kSource || a.kind == Check::Kind::kDest;
  return peers && a.kind == b.kind && a.negate == b.negate && a.peers.canonical() == b.peers.canonical();
}

bool covers(const Rule& a, const Rule& b) {
  if (a.conditional) return false;
  if (a.peers && (!b.peers || !covers(*a.peers, *b.peers))) return false;
  return covers_traffic(a, b) && std::all_of(a.checks.begin(), a.checks.end(), [&](const Check& one) {
           return std::any_of(b.checks.begin(), b.checks.end(),
                              [&](const Check& other) { return same_check(one, other); });
         });
}

std::string action_words(model::Action action) {
  return action == model::Action::kAllow ? "allows" : action == model::Action::kDeny ? "denies" : "passes";
}

/// Who makes a rule needless.
struct Cover {
  const LintUnit* unit = nullptr;
  const Rule* rule = nullptr;
};

class RuleLint {
 public:
  RuleLint(const LintWorld& world, Findings& findings) : world_(world), findings_(findings) {}

  void run() {
    const auto& units = world_.units();
    for (std::size_t i = 0; i < units.size(); ++i) {
      for (const Direction direction : {Direction::kEgress, Direction::kIngress}) check(i, direction);
    }
  }

 private:
  void check(std::size_t number, Direction direction) {
    const LintUnit& unit = world_.units()[number];
    const auto& rules = unit.policy.rules[static_cast<std::size_t>(direction)];
    if (!rules || rules->empty() || !unit.policy.pods) return;
    std::vector<Cover> covers_of;
    for (std::size_t i = 0; i < rules->size(); ++i) covers_of.push_back(find_cover(number, direction, i));
    const auto other_policy = [&](const Cover& cover) { return cover.rule != nullptr && cover.unit != &unit; };
    const bool shadowed = std::all_of(covers_of.begin(), covers_of.end(), other_policy);
    if (shadowed && !unit.unordered) return tell_shadowed(unit, direction, covers_of[0]);
    if (shadowed && !covers_of[0].unit->unordered) return tell_shadowed(unit, direction, covers_of[0]);
    for (std::size_t i = 0; i < rules->size(); ++i) {
      if (covers_of[i].rule != nullptr) tell_rule(unit, direction, (*rules)[i], covers_of[i]);
    }
  }

  Cover find_cover(std::size_t number, Direction direction, std::size_t index) {
    const auto& units = world_.units();
    const LintUnit& unit = units[number];
    const auto& rules = *unit.policy.rules[static_cast<std::size_t>(direction)];
    const Rule& rule = rules[index];
    for (std::size_t i = 0; i < rules.size(); ++i) {
      // Of two rules of an unordered policy that cover each other, the second is the needless one.
      const bool before = i < index || (unit.unordered && i > index && !covers(rule, rules[i]));
      if (before && covers(rules[i], rule)) return {&unit, &rules[i]};
    }
    if (world_.pods().empty() || units.size() > kMaxComparedUnits) return {};
    const PodSet& pods = world_.selected(unit.policy.subject);
    if (!any(pods)) return {};
    return find_before(number, direction, rule, pods);
  }

  /// In policies that are asked before for all of the pods.
  Cover find_before(std::size_t number, Direction direction, const Rule& rule, const PodSet& pods) {
    const auto& units = world_.units();
    const LintUnit& unit = units[number];
    // A tier in which some rule may pass is left before its other rules are asked.
    std::string passing_tier;
    for (std::size_t i = 0; i < number; ++i) {
      const LintUnit& before = units[i];
      const auto& rules = before.policy.rules[static_cast<std::size_t>(direction)];
      if (!rules || !before.policy.pods || (before.staged() && !unit.staged())) continue;
      const bool same_tier = before.policy.tier == unit.policy.tier;
      if (same_tier && before.unordered && unit.unordered) continue;
      if (before.policy.tier == passing_tier && !same_tier) continue;
      const bool for_all = holds_all(world_.selected(before.policy.subject), pods);
      for (const Rule& other : *rules) {
        const bool ends = same_tier || other.action != model::Action::kPass;
        if (for_all && ends && covers(other, rule)) return {&before, &other};
        if (other.action == model::Action::kPass) passing_tier = before.policy.tier;
        if (before.policy.tier == passing_tier && !same_tier) break;
      }
    }
    return {};
  }

  static std::string where(const LintUnit& unit, Direction direction, const Cover& cover) {
    return (cover.unit == &unit ? "" : cover.unit->object + " ") + cover.unit->rule_path(direction, cover.rule->index);
  }

  void tell_shadowed(const LintUnit& unit, Direction direction, const Cover& cover) {
    findings_.push_back({Severity::kWarning, "shadowed-policy", unit.object,
                         direction == Direction::kEgress ? "spec.egress" : "spec.ingress",
                         "no rule is ever reached: for every pod that it selects, " + where(unit, direction, cover) +
                             " " + action_words(cover.rule->action) + " before it",
                         "put it before that policy, or remove it"});
  }

  void tell_rule(const LintUnit& unit, Direction direction, const Rule& rule, const Cover& cover) {
    const std::string by = where(unit, direction, cover);
    if (unit.unordered && cover.unit->unordered) {
      findings_.push_back({Severity::kInfo, "redundant-rule", unit.object, unit.rule_path(direction, rule.index),
                           "what it allows, " + by + " allows too", "remove it"});
      return;
    }
    findings_.push_back(
        {Severity::kWarning, "unreachable-rule", unit.object, unit.rule_path(direction, rule.index),
         "it is never reached: " + by + " " + action_words(cover.rule->action) + " whatever it would match, before it",
         "put it before that rule, or remove it"});
  }

  const LintWorld& world_;
  Findings& findings_;
};

}  // namespace

void lint_rules(const LintWorld& world, Findings& findings) { RuleLint(world, findings).run(); }

}  // namespace weir::policy
