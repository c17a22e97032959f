#include "capture/nflog_prefix.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::capture {
namespace {

using model::Action;
using model::HitKind;

struct Case {
  const char* name;
  NflogRule rule;
  const char* prefix;
};

const Case kTable[] = {
    {"policy rule",
     {Action::kAllow, HitKind::kPolicyRule, false, 0, "np/namespace1/default.policy"},
     "API0|np/namespace1/default.policy"},
    {"policy rule, denied at egress", {Action::kDeny, HitKind::kPolicyRule, true, 88, "gnp/name"}, "DPE88|gnp/name"},
    {"policy rule that passes", {Action::kPass, HitKind::kPolicyRule, false, 1023, "knp/a/b"}, "PPI1023|knp/a/b"},
    {"profile rule",
     {Action::kPass, HitKind::kProfileRule, true, 999, "short.profile.name"},
     "PRE999|short.profile.name"},
    {"profile rule of a namespace", {Action::kAllow, HitKind::kProfileRule, false, 0, "kns.shop"}, "ARI0|kns.shop"},
    {"end of tier drop", {Action::kDeny, HitKind::kTierEnd, false, -1, "default"}, "DPI|default"},
    {"end of tier pass", {Action::kPass, HitKind::kTierEnd, false, -1, "tier1"}, "PPI|tier1"},
    {"no profile matched", {Action::kDeny, HitKind::kNoProfile, true, -1, ""}, "DRE"},
    {"staged policy, no rule matched", {Action::kDeny, HitKind::kTierEnd, false, -1, "sgnp/name"}, "DPI|sgnp/name"},
};

NflogRule rule_of(const ParsedNflogPrefix& p) { return {p.action, p.kind, p.egress, p.rule, std::string(p.id)}; }

TEST(NflogPrefix, F1TheTableHoldsBothWays) {
  for (const Case& c : kTable) {
    SCOPED_TRACE(c.name);
    const auto prefix = format_nflog_prefix(c.rule);
    ASSERT_TRUE(prefix.ok()) << prefix.error().message;
    EXPECT_EQ(prefix.value(), c.prefix);
    ParsedNflogPrefix parsed;
    ASSERT_TRUE(parse_nflog_prefix(c.prefix, parsed));
    EXPECT_EQ(rule_of(parsed), c.rule);
    EXPECT_FALSE(parsed.hashed);
  }
}

TEST(NflogPrefix, F2From63CharactersOnAPrefixIsHashedTo63) {
  for (const std::size_t length : {61, 62, 63, 64, 100, 253}) {
    SCOPED_TRACE(length);
    const std::string head = "API7|";
    NflogRule rule{Action::kAllow, HitKind::kPolicyRule, false, 7, std::string(length - head.size(), 'n')};
    const std::string whole = head + rule.id, prefix = format_nflog_prefix(rule).value();
    if (length < 63) {
      EXPECT_EQ(prefix, whole);
      continue;
    }
    EXPECT_EQ(prefix.size(), 63u);
    EXPECT_NE(prefix, whole);
    EXPECT_EQ(prefix.substr(0, 10), whole.substr(0, 10));
    EXPECT_EQ(prefix[52], '_');
    EXPECT_EQ(prefix.substr(53), whole.substr(whole.size() - 10));
    ParsedNflogPrefix parsed;
    ASSERT_TRUE(parse_nflog_prefix(prefix, parsed));
    EXPECT_TRUE(parsed.hashed);
    EXPECT_EQ(parsed.rule, 7);
    NflogRules rules;
    rules.add(rule);
    ASSERT_NE(rules.find(prefix), nullptr);
    EXPECT_EQ(*rules.find(prefix), rule);
  }
}

TEST(NflogPrefix, F2TheHashIsTheBase64UrlTextOfSha256) {
  // printf %s 'DPE12|np/namespace-of-the-team/allow-from-the-frontend-to-the-backend' | sha256sum | xxd -r -p | base64
  const NflogRule rule{Action::kDeny, HitKind::kPolicyRule, true, 12,
                       "np/namespace-of-the-team/allow-from-the-frontend-to-the-backend"};
  EXPECT_EQ(format_nflog_prefix(rule).value(), "DPE12|np/n_JumSmIZPd9SBlfIZTXeP6UJijG82x4VpaOiHxIE5C_he-backend");
}

TEST(NflogPrefix, F3NamesThatDifferInTheMiddleOnlyHaveDifferentPrefixes) {
  const std::string start(40, 'a'), end(40, 'z');
  NflogRule one{Action::kDeny, HitKind::kPolicyRule, false, 0, start + "1" + end}, two = one;
  two.id = start + "2" + end;
  const std::string first = format_nflog_prefix(one).value(), second = format_nflog_prefix(two).value();
  EXPECT_NE(first, second);
  EXPECT_EQ(first.substr(0, 10), second.substr(0, 10));
  EXPECT_EQ(first.substr(52), second.substr(52));
}

TEST(NflogPrefix, WhatIsNoneIsNotRead) {
  for (const char* text : {"",
                           "A",
                           "AP",
                           "API",
                           "APE|tier",
                           "ARI",
                           "PRI",
                           "DRI|x",
                           "XPI0|a",
                           "APX0|a",
                           "AXI0|a",
                           "API0",
                           "API0|",
                           "API|",
                           "APIx|a",
                           "API-1|a",
                           "API00|a",
                           "API01|a",
                           "API99999999999|a",
                           "API1 |a",
                           "cali-log ",
                           "DPI",
                           "PPE",
                           "api0|a"}) {
    ParsedNflogPrefix parsed;
    EXPECT_FALSE(parse_nflog_prefix(text, parsed)) << text;
  }
  ParsedNflogPrefix parsed;
  EXPECT_FALSE(parse_nflog_prefix("API0|" + std::string(59, 'a'), parsed));
}

TEST(NflogPrefix, WhatHasNoPrefixIsAnError) {
  for (const NflogRule& rule : {NflogRule{Action::kAllow, HitKind::kPolicyRule, false, -1, "a"},
                                NflogRule{Action::kAllow, HitKind::kPolicyRule, false, 0, ""},
                                NflogRule{Action::kAllow, HitKind::kTierEnd, false, -1, "default"},
                                NflogRule{Action::kAllow, HitKind::kNoProfile, false, -1, ""}}) {
    EXPECT_FALSE(format_nflog_prefix(rule).ok());
  }
}

TEST(NflogRules, AllRulesOfALongPolicyAreKnown) {
  NflogRules rules;
  const std::string id(80, 'p');
  rules.add_all(HitKind::kPolicyRule, id, 3, 2);
  // Three actions for each rule, and two ends of tiers each way.
  EXPECT_EQ(rules.size(), 3u * (3 + 2) + 4);
  for (const NflogRule& rule : {NflogRule{Action::kPass, HitKind::kPolicyRule, true, 1, id},
                                NflogRule{Action::kDeny, HitKind::kTierEnd, false, -1, id}}) {
    const NflogRule* found = rules.find(format_nflog_prefix(rule).value());
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(*found, rule);
  }
  rules.add_all(HitKind::kPolicyRule, "knp/short/name", 3, 2);
  EXPECT_EQ(rules.size(), 19u);
  rules.clear();
  EXPECT_EQ(rules.size(), 0u);
}

TEST(NflogRules, HoldsNoMoreThanItsBound) {
  NflogRules rules({.max_rules = 10});
  rules.add_all(HitKind::kPolicyRule, std::string(80, 'p'), 3, 2);
  EXPECT_EQ(rules.size(), 10u);
  EXPECT_EQ(rules.dropped(), 9u);
}

}  // namespace
}  // namespace weir::capture
