#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/policy_trace.h"

/// How the policies of one end came to their verdict, for people. See Engine::explain().
namespace weir::policy {

/// What of a rule did not hold: the term as the policy's text calls it ("peer", "ports", "source.notNets"), and in
/// words what it wanted.
struct FailedTerm {
  std::string name, wanted;
};

struct RuleStory {
  /// As in the object.
  std::int32_t index = 0;
  /// For display; may be empty.
  std::string name;
  model::Action action = model::Action::kAllow;
  /// Empty: it matches.
  std::vector<FailedTerm> failed;
};

struct PolicyStory {
  /// As in traces.
  std::string name;
  /// It is not enforced.
  bool staged = false;
  /// In order, up to the one that decided.
  std::vector<RuleStory> rules;
  /// Its last rule decided the tier.
  bool decided = false;
};

/// A tier in which policies apply to the end, or its profiles.
struct TierStory {
  /// "__PROFILE__" for profiles.
  std::string name;
  /// In order, up to the one that decided.
  std::vector<PolicyStory> policies;
  /// Those behind it, which were not asked.
  std::size_t not_asked = 0;
  /// What the tier did: its rule's or its default's; absent: nothing, the next tier is asked.
  std::optional<model::Action> outcome;
};

struct Explanation {
  /// False: no policy can apply to that end.
  bool managed = false;
  model::Action action = model::Action::kAllow;
  /// In order, up to the one that decided.
  std::vector<TierStory> tiers;
};

}  // namespace weir::policy
