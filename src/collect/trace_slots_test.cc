#include "collect/trace_slots.h"

#include <gtest/gtest.h>

namespace weir::collect {
namespace {

using model::Action;
using model::HitKind;
using model::PolicyHit;
using Added = TraceSlots::Added;

/// "allow knp/shop/web 0"; kind by the words "rule" (default), "profile", "end", "none".
PolicyHit hit(Action action, const std::string& id, std::int32_t rule, HitKind kind = HitKind::kPolicyRule) {
  PolicyHit h;
  h.action = action;
  h.id = id;
  h.rule = rule;
  h.kind = kind;
  h.bytes = 60;
  return h;
}
PolicyHit tier_end(Action action, const std::string& id) { return hit(action, id, -1, HitKind::kTierEnd); }
PolicyHit profile(Action action, const std::string& id) { return hit(action, id, 0, HitKind::kProfileRule); }

/// "allow knp/shop/web|0, …"
std::string shown(const TraceSlots& trace) {
  std::vector<TraceHit> path;
  trace.path(path);
  std::string out;
  for (const TraceHit& h : path) {
    if (!out.empty()) out += ", ";
    out += std::string(model::to_string(h.action)) + " " + std::string(h.id) + "|" + std::to_string(h.rule);
  }
  return out;
}

class TraceSlotsTest : public ::testing::Test {
 protected:
  // Places: tier1: gnp/first, gnp/second and its end 0; tier2: sgnp/trial 1, its end 2; default: sknp/shop/new 3,
  // knp/shop/web and the end 4; profiles 5.
  SlotTable table_{{{"tier1", {{"gnp/first"}, {"gnp/second"}}},
                    {"tier2", {{"sgnp/trial", true}}},
                    {"default", {{"sknp/shop/new", true}, {"knp/shop/web"}}}},
                   {"kns.shop", "ksa.shop.web"}};
  TraceSlots trace_;

  Added add(const PolicyHit& h) { return trace_.add(table_, h); }
};

TEST_F(TraceSlotsTest, D1AnEmptyTraceIsDirtyAndHasNoPath) {
  EXPECT_TRUE(trace_.dirty());
  EXPECT_FALSE(trace_.has_verdict());
  std::vector<TraceHit> path(3);
  EXPECT_FALSE(trace_.path(path));
  EXPECT_TRUE(path.empty());
  EXPECT_FALSE(trace_.has_deny());
}

TEST_F(TraceSlotsTest, D2AnAllowAtPlace0IsTheWholePath) {
  EXPECT_EQ(add(hit(Action::kAllow, "gnp/first", 0)), Added::kNew);
  EXPECT_TRUE(trace_.has_verdict());
  EXPECT_EQ(trace_.action(), Action::kAllow);
  EXPECT_EQ(shown(trace_), "allow gnp/first|0");
}

TEST_F(TraceSlotsTest, D3AnotherRuleInAPlaceIsDifferentAndChangesNothingUntilItReplaces) {
  add(hit(Action::kAllow, "gnp/first", 0));
  trace_.clear_dirty();
  const PolicyHit others[] = {hit(Action::kDeny, "gnp/first", 0), hit(Action::kAllow, "gnp/first", 1),
                              hit(Action::kAllow, "gnp/second", 0), hit(Action::kPass, "gnp/first", 0)};
  for (const PolicyHit& other : others) {
    EXPECT_EQ(add(other), Added::kDifferent);
    EXPECT_EQ(shown(trace_), "allow gnp/first|0");
    EXPECT_FALSE(trace_.dirty());
    EXPECT_EQ(trace_.packets(), 1u);
  }
  trace_.replace(table_, others[0]);
  EXPECT_TRUE(trace_.dirty());
  EXPECT_EQ(trace_.action(), Action::kDeny);
  EXPECT_EQ(shown(trace_), "deny gnp/first|0");
}

TEST_F(TraceSlotsTest, D4AVerdictAtAnotherEmptyPlaceIsDifferent) {
  add(hit(Action::kPass, "gnp/first", 0));
  add(tier_end(Action::kDeny, "default"));
  EXPECT_EQ(shown(trace_), "pass gnp/first|0, deny knp/shop/web|-1");
  // The end of the tier denied; now a profile allows.
  EXPECT_EQ(add(profile(Action::kAllow, "kns.shop")), Added::kDifferent);
  EXPECT_EQ(trace_.action(), Action::kDeny);
  trace_.replace(table_, profile(Action::kAllow, "kns.shop"));
  EXPECT_EQ(trace_.action(), Action::kAllow);
}

TEST_F(TraceSlotsTest, D5AStagedHitIsNeverTheVerdict) {
  EXPECT_EQ(add(hit(Action::kDeny, "sgnp/trial", 0)), Added::kNew);
  EXPECT_FALSE(trace_.has_verdict());
  EXPECT_EQ(shown(trace_), "");
  EXPECT_EQ(trace_.packets(), 0u);
  add(hit(Action::kAllow, "knp/shop/web", 2));
  EXPECT_EQ(trace_.action(), Action::kAllow);
  EXPECT_EQ(shown(trace_), "deny sgnp/trial|0, allow knp/shop/web|2");
  // It counts for the level of aggregation all the same.
  EXPECT_TRUE(trace_.has_deny());
}

TEST_F(TraceSlotsTest, D6ThePathIsCompactAndPlacesAreMadeByTens) {
  std::vector<SlotTable::Tier> tiers;
  for (int i = 0; i < 30; ++i) tiers.push_back({"tier" + std::to_string(i), {{"gnp/p" + std::to_string(i)}}});
  const SlotTable table(tiers, {"kns.shop"});
  EXPECT_EQ(table.size(), 31);
  TraceSlots trace;
  const std::pair<int, std::size_t> steps[] = {{0, 10}, {9, 10}, {10, 20}, {19, 20}, {20, 30}};
  for (const auto& [tier, capacity] : steps) {
    EXPECT_EQ(trace.add(table, hit(Action::kPass, "gnp/p" + std::to_string(tier), 0)), Added::kNew);
    EXPECT_EQ(trace.capacity(), capacity);
  }
  trace.add(table, hit(Action::kAllow, "gnp/p29", 3));
  EXPECT_EQ(trace.capacity(), 30u);
  EXPECT_EQ(shown(trace),
            "pass gnp/p0|0, pass gnp/p9|0, pass gnp/p10|0, pass gnp/p19|0, pass gnp/p20|0, allow gnp/p29|3");
}

TEST_F(TraceSlotsTest, D7WithoutAVerdictThereIsNoPath) {
  add(hit(Action::kPass, "gnp/first", 0));
  add(tier_end(Action::kPass, "tier2"));
  std::vector<TraceHit> path;
  EXPECT_FALSE(trace_.path(path));
  EXPECT_TRUE(path.empty());
}

TEST_F(TraceSlotsTest, D8IngressAndEgressAreTracesOfTheirOwn) {
  TraceSlots egress;
  add(hit(Action::kAllow, "gnp/first", 0));
  egress.add(table_, hit(Action::kDeny, "gnp/first", 1));
  EXPECT_EQ(shown(trace_), "allow gnp/first|0");
  EXPECT_EQ(shown(egress), "deny gnp/first|1");
}

TEST_F(TraceSlotsTest, TheEndOfATierIsTheDefaultOfItsLastEnforcedPolicy) {
  add(tier_end(Action::kPass, "tier1"));
  add(tier_end(Action::kDeny, "default"));
  EXPECT_EQ(shown(trace_), "pass gnp/second|-1, deny knp/shop/web|-1");
}

TEST_F(TraceSlotsTest, TheEndOfATierWithNothingEnforcedIsNotShown) {
  add(tier_end(Action::kPass, "tier2"));
  add(profile(Action::kAllow, "kns.shop"));
  EXPECT_EQ(shown(trace_), "allow kns.shop|0");
}

TEST_F(TraceSlotsTest, AStagedPolicysDefaultCountsOnlyIfTheTierPassed) {
  add(tier_end(Action::kDeny, "sgnp/trial"));
  add(profile(Action::kAllow, "kns.shop"));
  EXPECT_EQ(shown(trace_), "allow kns.shop|0");
  EXPECT_FALSE(trace_.has_deny());
  add(tier_end(Action::kPass, "tier2"));
  EXPECT_EQ(shown(trace_), "deny sgnp/trial|-1, allow kns.shop|0");
  EXPECT_TRUE(trace_.has_deny());
}

TEST_F(TraceSlotsTest, NoMatchingProfileDenies) {
  add(hit(Action::kDeny, "", -1, HitKind::kNoProfile));
  EXPECT_EQ(shown(trace_), "deny |-1");
}

TEST_F(TraceSlotsTest, HitsOfPoliciesThatAreNotInTheTableArePassedOver) {
  for (const PolicyHit& h : {hit(Action::kAllow, "gnp/gone", 0), tier_end(Action::kDeny, "tier9"),
                             profile(Action::kAllow, "kns.other"), hit(Action::kAllow, "kns.shop", 0)}) {
    EXPECT_EQ(add(h), Added::kUnknown) << h.id;
    trace_.replace(table_, h);
  }
  EXPECT_EQ(trace_.capacity(), 0u);
}

TEST_F(TraceSlotsTest, OnlyTheVerdictsPacketsCountAndReplacingStartsAnew) {
  add(hit(Action::kPass, "gnp/first", 0));
  PolicyHit verdict = hit(Action::kAllow, "knp/shop/web", 0);
  add(verdict);
  verdict.packets = 3;
  verdict.bytes = 180;
  EXPECT_EQ(add(verdict), Added::kSame);
  EXPECT_EQ(trace_.packets(), 4u);
  EXPECT_EQ(trace_.bytes(), 240u);
  verdict.action = Action::kDeny;
  EXPECT_EQ(add(verdict), Added::kDifferent);
  trace_.replace(table_, verdict);
  EXPECT_EQ(trace_.packets(), 3u);
  EXPECT_EQ(trace_.bytes(), 180u);
}

TEST_F(TraceSlotsTest, ReplacingForgetsWhatThePacketDidNotHitOnItsWay) {
  // The first packet: passed by tier1, tried by tier2, allowed in the default tier.
  add(hit(Action::kPass, "gnp/first", 0));
  add(hit(Action::kDeny, "sgnp/trial", 0));
  add(hit(Action::kAllow, "knp/shop/web", 0));
  // The next: tier2 tries nothing any more, the default tier denies.
  EXPECT_EQ(add(hit(Action::kPass, "gnp/first", 0)), Added::kSame);
  const PolicyHit denies = tier_end(Action::kDeny, "default");
  EXPECT_EQ(add(denies), Added::kDifferent);
  trace_.replace(table_, denies);
  EXPECT_EQ(shown(trace_), "pass gnp/first|0, deny knp/shop/web|-1");
  // And the next is decided early: what lies above is left, but not shown.
  const PolicyHit early = hit(Action::kAllow, "gnp/second", 0);
  EXPECT_EQ(add(early), Added::kDifferent);
  trace_.replace(table_, early);
  EXPECT_EQ(shown(trace_), "allow gnp/second|0");
}

}  // namespace
}  // namespace weir::collect
