#include <gtest/gtest.h>

#include <set>

#include "model/dns.h"
#include "model/fields.h"
#include "model/labels.h"
#include "model/network_policy.h"
#include "model/protocol.h"

namespace weir::model {
namespace {

TEST(LabelSet, FindsByWholeKey) {
  const LabelSet labels{{"a-b=1", "a.b=2", "a=3", "ab=4", "empty="}};
  EXPECT_EQ(labels.find("a"), "3");
  EXPECT_EQ(labels.find("a-b"), "1");
  EXPECT_EQ(labels.find("ab"), "4");
  EXPECT_TRUE(labels.has("empty"));
  EXPECT_EQ(labels.find("empty"), "");
  EXPECT_FALSE(labels.has("abc"));
  EXPECT_FALSE(labels.has(""));
}

TEST(LabelSelector, FollowsTheKubernetesRules) {
  using Op = LabelSelector::Operator;
  const LabelSet labels{{"app=web", "tier=front"}};
  const struct {
    const char* name;
    LabelSelector selector;
    bool want;
  } cases[] = {
      {"empty matches everything", {}, true},
      {"matchLabels equal", {{{"app", "web"}}, {}}, true},
      {"matchLabels other value", {{{"app", "db"}}, {}}, false},
      {"matchLabels absent key with empty value", {{{"none", ""}}, {}}, false},
      {"all must hold", {{{"app", "web"}, {"tier", "back"}}, {}}, false},
      {"In", {{}, {{"app", Op::kIn, {"db", "web"}}}}, true},
      {"In needs presence", {{}, {{"none", Op::kIn, {""}}}}, false},
      {"NotIn", {{}, {{"app", Op::kNotIn, {"web"}}}}, false},
      {"NotIn holds when absent", {{}, {{"none", Op::kNotIn, {"x"}}}}, true},
      {"Exists", {{}, {{"tier", Op::kExists, {}}}}, true},
      {"DoesNotExist", {{}, {{"tier", Op::kDoesNotExist, {}}}}, false},
      {"DoesNotExist holds when absent", {{}, {{"none", Op::kDoesNotExist, {}}}}, true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(c.selector.matches(labels), c.want);
  }
}

TEST(Protocol, NamesAndNumbers) {
  const struct {
    std::uint8_t number;
    const char* name;
  } cases[] = {{6, "tcp"},  {17, "udp"}, {1, "icmp"}, {58, "icmp6"}, {132, "sctp"},
               {4, "ipip"}, {50, "esp"}, {47, "47"},  {0, "0"}};
  for (const auto& c : cases) {
    EXPECT_EQ(protocol_name(c.number), c.name);
    EXPECT_EQ(parse_protocol(c.name), c.number);
  }
  EXPECT_EQ(parse_protocol("ICMPv6"), 58);
  for (const char* bad : {"", "256", "-1", "tcpx", "6 "}) EXPECT_EQ(parse_protocol(bad), -1) << bad;
}

TEST(DnsNames, KnownAndUnknown) {
  EXPECT_EQ(dns_type_name(28), "AAAA");
  EXPECT_EQ(dns_type_name(65280), "TYPE65280");
  EXPECT_EQ(dns_class_name(1), "IN");
  EXPECT_EQ(dns_rcode_name(3), "NXDomain");
  EXPECT_EQ(dns_rcode_name(DnsTransaction::kTimeout), "Timeout");
}

TEST(FlowFields, NamesAreDistinctAndGroupsAdjacent) {
  std::set<std::string_view> names;
  std::set<FieldGroup> closed;
  FieldGroup current = FieldGroup::kNone;
  for_each_flow_field([&](const auto& field) {
    EXPECT_TRUE(names.insert(field.name).second) << field.name;
    EXPECT_FALSE(field.doc.empty()) << field.name;
    if (field.group != current) {
      if (current != FieldGroup::kNone) closed.insert(current);
      EXPECT_FALSE(closed.contains(field.group)) << field.name;
      current = field.group;
    }
  });
}

}  // namespace
}  // namespace weir::model
