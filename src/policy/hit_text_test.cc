#include "policy/hit_text.h"

#include <gtest/gtest.h>

namespace weir::policy {
namespace {

using model::Action;
using model::HitKind;

TEST(HitText, IsWhatTheEngineWouldWrite) {
  const struct {
    HitKind kind;
    const char* id;
    Action action;
    std::int32_t rule;
    const char *documented, *by_kind;
  } cases[] = {
      {HitKind::kPolicyRule, "knp/shop/web", Action::kAllow, 2, "default|shop/knp.default.web|allow|2",
       "default|knp:shop/web|allow|2"},
      {HitKind::kPolicyRule, "np/shop/knp.default.web", Action::kAllow, 0, "default|shop/knp.default.web|allow|0",
       "default|knp:shop/web|allow|0"},
      {HitKind::kPolicyRule, "np/shop/security.base", Action::kPass, 1, "security|shop/security.base|pass|1",
       "security|np:shop/base|pass|1"},
      {HitKind::kPolicyRule, "gnp/deny-bad", Action::kDeny, 0, "default|default.deny-bad|deny|0",
       "default|gnp:deny-bad|deny|0"},
      {HitKind::kPolicyRule, "sgnp/security.try", Action::kDeny, 0, "security|staged:security.try|deny|0",
       "security|sgnp:try|deny|0"},
      {HitKind::kProfileRule, "kns.shop", Action::kAllow, 0, "__PROFILE__|__PROFILE__.kns.shop|allow|0",
       "__PROFILE__|pro:kns.shop|allow|0"},
      {HitKind::kTierEnd, "default", Action::kDeny, -1, "default|__NO_MATCH__|deny|-1",
       "default|eot:__NO_MATCH__|deny|-1"},
      {HitKind::kNoProfile, "", Action::kDeny, -1, "__PROFILE__|__NO_MATCH__|deny|-1",
       "__PROFILE__|pro:__NO_MATCH__|deny|-1"},
  };
  for (const auto& c : cases) {
    model::PolicyHit hit;
    hit.kind = c.kind;
    hit.id = c.id;
    hit.action = c.action;
    hit.rule = c.rule;
    EXPECT_EQ(hit_text(hit, TraceNames::kDocumented), c.documented);
    EXPECT_EQ(hit_text(hit, TraceNames::kKind), c.by_kind);
  }
}

}  // namespace
}  // namespace weir::policy
