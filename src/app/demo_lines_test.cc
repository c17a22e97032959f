#include "app/demo_lines.h"

#include <gtest/gtest.h>

#include <array>

namespace weir::app {
namespace {

struct RuleCase {
  const char *name, *entry, *want;
};

TEST(DemoLines, RulesAreToldInWords) {
  constexpr RuleCase kCases[] = {
      {"a rule of a policy", "0|default|shop/knp.default.frontend|allow|2", "shop/frontend rule 2"},
      {"the end of a policy", "0|default|shop/knp.default.default-deny|deny|-1",
       "shop/default-deny: no rule allows it"},
      {"another tier", "0|security|security.block|deny|0", "security security.block rule 0"},
      {"no policy selects the pod", "0|__PROFILE__|__PROFILE__.kns.shop|allow|0", "no policy"},
      {"end of a tier", "0|default|__NO_MATCH__|deny|-1", "no rule of any policy allows it"},
      {"another form", "x|y", "x|y"},
  };
  for (const RuleCase& test : kCases) {
    SCOPED_TRACE(test.name);
    const model::PolicyTrace trace{{"0|default|shop/knp.default.other|pass|0", test.entry}, model::Action::kAllow};
    model::FlowRecord record;
    record.policies.enforced = &trace;
    EXPECT_EQ(rule_text(record), test.want);
  }
  EXPECT_EQ(rule_text(model::FlowRecord{}), "-");
}

TEST(DemoLines, EndsHaveTheNameThatAPersonKnows) {
  const std::array<IpAddress, 2> external{IpAddress::parse("203.0.113.50").value(),
                                          IpAddress::parse("203.0.113.51").value()};
  const std::array<std::string_view, 1> domains{"api.example"};
  model::FlowRecord record;
  record.source_external_ips = external;
  record.num_source_external_ips = 7;
  record.dest_ip = external[1];
  EXPECT_EQ(source_text(record), "pub 203.0.113.50 +6");
  EXPECT_EQ(dest_text(record), "pub 203.0.113.51");
  record.dest_domains = domains;
  EXPECT_EQ(dest_text(record), "api.example (203.0.113.51)");
  record.source_type = "wep";
  record.source_namespace = "shop";
  record.source_name_aggr = "web-6f-*";
  EXPECT_EQ(source_text(record), "shop/web-6f-*");
  record.source_workload = "web";
  EXPECT_EQ(source_text(record), "shop/web");
}

TEST(DemoLines, OutcomesThatHappenedAreJoined) {
  model::FlowRecord record;
  EXPECT_EQ(outcome_text(record), "open");
  record.num_flows_established = 2;
  record.num_flows_unanswered = 1;
  EXPECT_EQ(outcome_text(record), "established+unanswered");
}

TEST(DemoLines, SilentConnectionsAreNoNews) {
  model::FlowRecord record;
  record.num_flows = 1;
  EXPECT_FALSE(has_news(record));
  record.num_flows_started = 1;
  EXPECT_TRUE(has_news(record));
}

TEST(DemoLines, ADeniedFlowIsRedAndTellsItsRule) {
  const model::PolicyTrace trace{{"0|default|shop/knp.default.default-deny|deny|-1"}, model::Action::kDeny};
  model::FlowRecord record;
  record.action = "deny";
  record.protocol = 6;
  record.dest_port = 6379;
  record.policies.enforced = &trace;
  const std::string plain = flow_line(record, LineStyle{});
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  EXPECT_NE(plain.find("tcp/6379"), std::string::npos);
  EXPECT_TRUE(plain.ends_with("denied: shop/default-deny: no rule allows it")) << plain;
  EXPECT_NE(flow_line(record, LineStyle{true, 20}).find("\x1b[31mdeny"), std::string::npos);
}

TEST(DemoLines, LookupsAreReadFromTheirLog) {
  const Result<Lookup> lookup = read_lookup(
      R"({"end_time":5,"type":"LOG","count":3,"client_name_aggr":"cart-*","client_namespace":"shop","qname":"a.example",)"
      R"("qtype":"A","rcode":"NXDomain","latency_count":1,"latency_mean":1500000})");
  ASSERT_TRUE(lookup.ok());
  const std::string line = lookup_line(lookup.value(), LineStyle{});
  EXPECT_NE(line.find("shop/cart-*"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with("a.example A  NXDomain  x3  1.50 ms")) << line;

  const Result<Lookup> unlogged = read_lookup(R"({"end_time":5,"type":"UNLOGGED","count":9})");
  ASSERT_TRUE(unlogged.ok());
  EXPECT_TRUE(lookup_line(unlogged.value(), LineStyle{}).ends_with("9 lookups above the limit"));
  for (const char* bad : {"", "{", "{\"count\":"}) EXPECT_FALSE(read_lookup(bad).ok()) << bad;
}

}  // namespace
}  // namespace weir::app
