#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/internal/lowered.h"
#include "policy/lint.h"

namespace weir::policy {

/// A policy under examination: its object, and what it means.
struct LintUnit {
  Policy policy;
  /// "NetworkPolicy shop/web".
  std::string object;
  /// Kubernetes NetworkPolicies allow what any of them allows: their order means nothing.
  bool unordered = false;
  /// What its rules call the far end, by Direction.
  std::array<const char*, kDirections> far_name{"to", "from"};

  bool staged() const { return policy.staged != model::StagedAction::kNone; }
  std::string rule_path(Direction direction, std::int32_t rule) const;
};

/// "NetworkPolicy shop/web".
std::string object_name(const model::NetworkPolicy& policy);
std::string object_name(const model::AdminPolicy& policy);
std::string object_name(const model::CalicoPolicy& policy);
std::string object_name(const model::CiliumPolicy& policy);

/// Sets of pods, by their place among LintWorld::pods().
using PodSet = std::vector<bool>;
bool any(const PodSet& set);
bool overlap(const PodSet& a, const PodSet& b);
/// Whether `a` holds all of `b`.
bool holds_all(const PodSet& a, const PodSet& b);

/// Everybody that selectors can select, and every policy.
class LintWorld {
 public:
  explicit LintWorld(const LintInputs& inputs);

  /// Those that policies can be for.
  const std::vector<const model::Endpoint*>& pods() const { return pods_; }
  const std::vector<LintUnit>& units() const { return units_; }
  const LintInputs& inputs() const { return inputs_; }
  /// Where policies of the tier stand among all; std::string::npos: no such tier.
  std::size_t tier_rank(const std::string& tier) const;

  const PodSet& selected(const EntitySelector& selector) const;
  /// Whether it selects any pod, network set, host endpoint or node.
  bool selects_any(const EntitySelector& selector) const;
  /// The pods of a peer set; absent: all of them.
  PodSet pods_of(const std::optional<PeerSet>& peers) const;
  /// "shop/web-0, shop/web-1 and 7 more".
  std::string names(const PodSet& set) const;

  /// Values that somebody has of the label; null: nobody has it.
  const std::set<std::string, std::less<>>* values_of(const std::string& key) const;
  const std::map<std::string, std::set<std::string, std::less<>>>& known_labels() const { return known_; }

 private:
  void add_units();
  void add_pods();
  void add_others();
  void know(const model::LabelSet& labels);
  void rank_tiers();

  const LintInputs& inputs_;
  std::vector<LintUnit> units_;
  std::vector<const model::Endpoint*> pods_;
  std::vector<model::LabelSet> pod_labels_, other_labels_, node_labels_;
  std::map<std::string, std::set<std::string, std::less<>>> known_;
  std::vector<std::string> tiers_;
  mutable std::map<std::string, PodSet> selected_;
};

/// Findings in the order of the checks.
using Findings = std::vector<Finding>;

void lint_objects(const LintWorld& world, Findings& findings);
void lint_selectors(const LintWorld& world, Findings& findings);
void lint_rules(const LintWorld& world, Findings& findings);
void lint_traffic(const LintWorld& world, Findings& findings);
Status lint_dns(const LintWorld& world, Findings& findings);

/// Letters to insert, remove, replace or swap to make one text of the other; `limit` + 1 where it is more.
int edit_distance(std::string_view a, std::string_view b, int limit);

}  // namespace weir::policy
