// The walk of one end's program, told rule by rule.

#include <string_view>

#include "policy/internal/explain.h"

namespace weir::policy {
namespace {

/// A field of "tier|policy|action|rule".
std::string_view field(std::string_view hit, int number) {
  for (; number > 0; --number) hit.remove_prefix(hit.find('|') + 1);
  return hit.substr(0, hit.find('|'));
}

RuleStory tell_rule(const Compiled& code, const RuleCode& compiled, const Rule& rule, const Facts& facts,
                    Direction direction) {
  return {rule.index, rule.name, compiled.action, failed_terms(code, compiled, rule, facts, direction)};
}

/// The policy behind one element of a tier. `decided`: the rule that decided the tier.
PolicyStory tell_policy(const Compiler& compiler, std::uint32_t number, const RuleCode* decided, const Facts& facts,
                        Direction direction) {
  const Compiled& code = compiler.code();
  const Policy& policy = *compiler.origin(number).policy;
  PolicyStory story;
  story.name = policy.name;
  story.staged = policy.staged != model::StagedAction::kNone;
  const Span rules = code.policies[number];
  for (std::uint32_t r = 0; r < rules.count && !story.decided; ++r) {
    const RuleCode& compiled = code.rules[rules.first + r];
    const Rule& rule = (*policy.rules[static_cast<std::size_t>(direction)])[r];
    story.rules.push_back(tell_rule(code, compiled, rule, facts, direction));
    story.decided = &compiled == decided;
  }
  return story;
}

TierStory tell_tier(const Compiler& compiler, const TierCode& tier, const Facts& facts, Direction direction) {
  const Compiled& code = compiler.code();
  std::uint8_t ignored = kExact;
  const RuleCode* decided = first_match(code, tier, facts, direction, ignored);
  TierStory story;
  for (std::uint32_t p = tier.policies.first; p < tier.policies.end(); ++p) {
    story.policies.push_back(tell_policy(compiler, code.policy_refs[p], decided, facts, direction));
    if (!story.policies.back().decided) continue;
    story.not_asked = tier.policies.end() - p - 1;
    break;
  }
  story.name = compiler.origin(code.policy_refs[tier.policies.first]).policy->tier;
  if (decided != nullptr) {
    story.outcome = decided->action;
  } else if (tier.default_hit != kNoHit) {
    story.outcome = tier.default_action;
  }
  return story;
}

/// Profiles have no lowered form to tell of: only what they did.
TierStory tell_profiles(const Compiled& code, const TierCode& tier, const Facts& facts, Direction direction) {
  std::uint8_t ignored = kExact;
  const RuleCode* decided = first_match(code, tier, facts, direction, ignored);
  TierStory story;
  story.outcome = decided != nullptr ? decided->action : tier.default_action;
  const std::uint32_t hit = decided != nullptr ? decided->hit : tier.default_hit;
  if (hit == kNoHit) return story;
  const std::string_view text = code.hits[hit].text;
  story.name = field(text, 0);
  PolicyStory& policy = story.policies.emplace_back();
  policy.name = field(text, 1);
  if (decided == nullptr) return story;
  policy.decided = true;
  policy.rules.push_back({std::stoi("0" + std::string(field(text, 3))), "", decided->action, {}});
  return story;
}

}  // namespace

Explanation explain_side(const Compiler& compiler, const Facts& facts, Direction direction, Scope scope) {
  const Compiled& code = compiler.code();
  const End& subject = direction == Direction::kEgress ? facts.source : facts.dest;
  Explanation told;
  if (subject.identity == kNoPod) return told;
  told.managed = true;
  const IdentityCode& identity = code.identities[subject.identity];
  const auto at = static_cast<std::size_t>(direction);
  const Span tiers = code.programs[identity.programs[static_cast<std::size_t>(scope)][at]];
  for (std::uint32_t i = tiers.first; i < tiers.end(); ++i) {
    const TierStory& tier = told.tiers.emplace_back(tell_tier(compiler, code.tiers[i], facts, direction));
    if (!tier.outcome || *tier.outcome == model::Action::kPass) continue;
    told.action = *tier.outcome;
    return told;
  }
  told.tiers.push_back(tell_profiles(code, code.tiers[identity.profiles[at]], facts, direction));
  told.action = *told.tiers.back().outcome;
  return told;
}

}  // namespace weir::policy
