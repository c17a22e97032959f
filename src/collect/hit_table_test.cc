#include "collect/hit_table.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::collect {
namespace {

using model::Action;
using model::HitKind;
using model::PolicyHit;

constexpr std::int64_t kSecond = 1'000'000'000;

PolicyHit hit(const char* id, std::int32_t rule, Action action, bool egress = false) {
  PolicyHit made;
  made.tuple = {IpAddress::v4(0x0A000001), IpAddress::v4(0x0A000002), 40'000, 80, model::kProtoTcp};
  made.egress = egress;
  made.action = action;
  made.id = id;
  made.rule = rule;
  made.time_ns = 100 * kSecond;
  return made;
}

/// "id:rule" of each hit.
std::string text(const HitTable::Path& path) {
  std::string out;
  for (const PolicyHit& h : path) out += (out.empty() ? "" : " ") + h.id + ":" + std::to_string(h.rule);
  return out;
}

std::string taken(HitTable& table, bool egress = false) {
  return text(table.take(hit("", 0, Action::kAllow).tuple, egress));
}

TEST(HitTable, D1_WithoutHitsThereIsNoPath) {
  HitTable table;
  EXPECT_EQ(taken(table), "");
  EXPECT_TRUE(table.empty());
}

TEST(HitTable, D2_AnAllowAloneIsAPathOfOne) {
  HitTable table;
  table.add(hit("knp/shop/web", 0, Action::kAllow));
  const HitTable::Path path = table.take(hit("", 0, Action::kAllow).tuple, false);
  ASSERT_EQ(path.size(), 1u);
  EXPECT_EQ(path[0].action, Action::kAllow);
  EXPECT_TRUE(table.empty());
}

TEST(HitTable, D3_AnotherRuleOfTheSamePolicyReplacesThePath) {
  HitTable table;
  table.add(hit("knp/shop/web", 0, Action::kAllow));
  table.add(hit("knp/shop/web", 1, Action::kDeny));
  EXPECT_EQ(taken(table), "knp/shop/web:1");
}

TEST(HitTable, D4_AVerdictOfAnotherPolicyReplacesThePath) {
  HitTable table;
  table.add(hit("gnp/security.first", 0, Action::kPass));
  table.add(hit("knp/shop/web", 0, Action::kAllow));
  table.add(hit("gnp/security.first", 0, Action::kPass));
  table.add(hit("knp/shop/api", 3, Action::kDeny));
  EXPECT_EQ(taken(table), "gnp/security.first:0 knp/shop/api:3");
}

TEST(HitTable, D5_AStagedHitIsNeverAVerdict) {
  HitTable table;
  for (const char* id : {"snp/shop/try", "sgnp/try", "sknp/shop/try"}) table.add(hit(id, 0, Action::kDeny));
  EXPECT_EQ(taken(table), "");
  table.add(hit("sgnp/try", 0, Action::kDeny));
  table.add(hit("knp/shop/web", 2, Action::kAllow));
  EXPECT_EQ(taken(table), "knp/shop/web:2");
}

TEST(HitTable, D6_APathIsCompactAndGrowsWithItsRules) {
  HitTable table;
  std::string want;
  for (int tier = 0; tier < 25; ++tier) {
    const std::string id = "gnp/tier" + std::to_string(tier) + ".policy";
    table.add(hit(id.c_str(), tier, Action::kPass));
    want += id + ":" + std::to_string(tier) + " ";
  }
  table.add(hit("knp/shop/web", 0, Action::kAllow));
  EXPECT_EQ(taken(table), want + "knp/shop/web:0");
}

TEST(HitTable, D7_WithoutAVerdictThereIsNoPathYet) {
  HitTable table;
  table.add(hit("gnp/security.first", 0, Action::kPass));
  EXPECT_EQ(taken(table), "");
  table.add(hit("knp/shop/web", 0, Action::kAllow));
  EXPECT_EQ(taken(table), "gnp/security.first:0 knp/shop/web:0");
}

TEST(HitTable, D8_IngressAndEgressAreIndependent) {
  HitTable table;
  table.add(hit("knp/shop/in", 0, Action::kDeny, false));
  table.add(hit("knp/shop/out", 1, Action::kAllow, true));
  EXPECT_EQ(taken(table, true), "knp/shop/out:1");
  EXPECT_EQ(taken(table, false), "knp/shop/in:0");
}

TEST(HitTable, WhatNobodyFetchedGoesAfterAMinute) {
  HitTable table;
  table.add(hit("knp/shop/web", 0, Action::kAllow));
  table.expire(160 * kSecond);
  EXPECT_FALSE(table.empty());
  table.expire(161 * kSecond);
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.unmatched(), 1u);
}

}  // namespace
}  // namespace weir::collect
