#include "filter/filter.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "model/fields.h"

namespace weir::filter {
namespace {

using model::FlowRecord;

/// shop/client-a → shop-db/postgres-0:5432, allowed; with an external source address and one domain.
struct Example {
  model::LabelSet source_labels{{"app.kubernetes.io/name=client", "app=web", "tier="}};
  model::LabelSet dest_labels;
  model::PolicyTrace enforced{{"0|platform|platform.pass|pass|1", "1|default|shop/default.web|allow|0"}};
  model::PolicyTrace pending{{"0|default|shop/default.staged:web|deny|-1"}};
  std::vector<std::string_view> domains{"api.example.com", "example.org"};
  std::vector<IpAddress> external{IpAddress::parse("203.0.113.9").value()};
  std::vector<std::uint16_t> nat_ports{61234, 61235};
  FlowRecord record;

  Example() {
    record.protocol = 6;
    record.source_name = "client-a";
    record.source_name_aggr = "client-*";
    record.source_namespace = "shop";
    record.source_type = "wep";
    record.source_workload = "client";
    record.source_labels = &source_labels;
    record.source_ip = IpAddress::parse("10.0.0.1").value();
    record.source_external_ips = external;
    record.dest_name_aggr = "postgres-0";
    record.dest_namespace = "shop-db";
    record.dest_type = "wep";
    record.dest_labels = &dest_labels;
    record.dest_ip = IpAddress::parse("2001:db8::7").value();
    record.dest_port = 5432;
    record.dest_service_name = "db \"main\"";
    record.dest_domains = domains;
    record.nat_outgoing_ports = nat_ports;
    record.policies = {&enforced, &pending};
    record.num_flows = 3;
    record.bytes_in = 10'000;
    record.tcp_mean_smooth_rtt = 5000;
    record.start_time = 1597166083;
  }
};

struct Case {
  const char* filter;
  bool want;
};

void expect_all(const std::vector<Case>& cases) {
  const Example example;
  for (const Case& c : cases) {
    const auto filter = Filter::compile(c.filter);
    ASSERT_TRUE(filter.ok()) << c.filter << ": " << filter.error().message;
    EXPECT_EQ(filter.value().matches(example.record), c.want) << c.filter;
  }
}

TEST(Filter, ComparesText) {
  expect_all({
      {"source_namespace = shop", true},
      {"source_namespace == 'shop'", true},
      {"source_namespace = Shop", false},
      {"source_namespace != shop", false},
      {"source_namespace=\"shop*\"", true},
      {"dest_namespace = sh?p-db", true},
      {"dest_namespace = *-d", false},
      {"dest_namespace = *o*-*", true},
      {"source_name_aggr = client-\\*", true},
      {"source_name = client-\\*", false},
      {"source_namespace IN {a, \"shop\"}", true},
      {"source_namespace in {a,b*}", false},
      {"source_namespace NOT IN {a}", true},
      {"source_namespace NOTIN {shop}", false},
      {"source_name =~ '^client-[a-c]$'", true},
      {"source_name !~ ^client", false},
      {"dest_service_name = 'db \"main\"'", true},
      {"dest_service_name = \"db \\\"main\\\"\"", true},
      {"dest_name EMPTY", true},
      {"dest_name IS NOT EMPTY", false},
      {"source_name != EMPTY", true},
      {"source_name = \"EMPTY\"", false},
  });
}

TEST(Filter, ComparesNumbersPortsAndProtocols) {
  expect_all({
      {"num_flows = 3", true},
      {"num_flows < 3", false},
      {"num_flows <= '3'", true},
      {"num_flows > 2 AND num_flows >= 3", true},
      {"num_flows IN {1,2,3}", true},
      {"bytes_in >= 10kB AND bytes_in < 10KiB", true},
      {"tcp_mean_smooth_rtt = 5ms", true},
      {"start_time > 1597166000", true},
      {"dest_port = 5432", true},
      {"dest_port NOT EMPTY", true},
      {"source_port EMPTY", true},
      {"source_port < 1", false},
      {"source_port != 80", true},
      {"nat_outgoing_ports = 61235", true},
      {"nat_outgoing_ports != 61235", false},
      {"nat_outgoing_ports > 61234", true},
      {"proto = tcp", true},
      {"proto = TCP", true},
      {"protocol = 6", true},
      {"proto IN {udp, icmp}", false},
      {"proto = *cp", true},
      {"proto =~ '^(tcp|sctp)$'", true},
  });
}

TEST(Filter, ComparesAddresses) {
  expect_all({
      {"source_ip = 10.0.0.1", true},
      {"source_ip = 10.0.0.0/8", true},
      {"source_ip = 10.1.0.0/16", false},
      {"source_ip = 10.0.*", true},
      {"source_ip = ::/0", false},
      {"dest_ip = 2001:db8::/32", true},
      {"dest_ip != 2001:db8::/32", false},
      {"dest_ip IN {1.2.3.4, 2001:db8::7}", true},
      {"source_external_ips = 203.0.113.0/24", true},
      {"ip = 203.0.113.9", true},
      {"src.ip = 203.0.113.9", true},
      {"dst.ip = 203.0.113.9", false},
      {"dest_external_ips EMPTY", true},
      {"source_ip =~ '\\.1$'", true},
  });
}

TEST(Filter, ShortWordsMeanEitherEnd) {
  expect_all({
      {"ns = shop", true},
      {"ns = shop-db", true},
      {"ns = other", false},
      {"ns != shop", false},
      {"ns != other", true},
      {"src.ns = shop-db", false},
      {"dst.ns = shop-db", true},
      {"dest.namespace = shop-db", true},
      {"pod = client-a", true},
      {"pod = postgres-0", true},
      {"src.pod = postgres-0", false},
      {"workload = client", true},
      {"port = 5432", true},
      {"src.port = 5432", false},
      {"type = wep", true},
      {"svc = db*", true},
      {"dst.svc = db*", true},
      {"domain = *.example.com", true},
      {"domain != example.net", true},
      {"label = 'app=web'", true},
  });
}

TEST(Filter, LabelsByPairOrByKey) {
  expect_all({
      {"label = \"app=web\"", true},
      {"source_labels.labels = 'app=*'", true},
      {"label.app = web", true},
      {"src.label.app = w*", true},
      {"dst.label.app = web", false},
      {"source_labels.app.kubernetes.io/name = client", true},
      {"label.app != web", false},
      {"src.label.none EMPTY", true},
      {"src.label.tier NOT EMPTY", true},
      {"src.label.tier = ''", true},
      {"dest_labels EMPTY", true},
      {"label =~ '^app='", true},
  });
}

TEST(Filter, PoliciesAreText) {
  expect_all({
      {"policies = '*|shop/default.web|allow|*'", true},
      {"policies =~ '\\|deny\\|'", true},
      {"policies.enforced_policies =~ '\\|deny\\|'", false},
      {"policy.pending =~ '\\|deny\\|'", true},
      {"policies EMPTY", false},
  });
}

TEST(Filter, Combines) {
  expect_all({
      {"ns = other OR ns = shop AND num_flows = 3", true},
      {"(ns = other OR ns = shop) AND num_flows = 4", false},
      {"NOT ns = other AND NOT (num_flows = 4)", true},
      {"not not ns = shop", true},
      {"ns = shop and port in {80, 5432} or ns = none", true},
      {"\"ns\" = shop", true},
  });
}

TEST(Filter, EveryFieldOfTheTableIsAWord) {
  const FlowRecord record;
  model::for_each_flow_field([&](const auto& field) {
    const auto filter = Filter::compile(std::string(field.name) + " EMPTY");
    ASSERT_TRUE(filter.ok()) << field.name;
    filter.value().matches(record);
  });
}

TEST(Filter, ErrorsSayWhereAndWhatWasExpected) {
  const struct {
    const char* filter;
    const char* message;
  } cases[] = {
      {"", "column 1: expected a field, found the end"},
      {"ns = shop AND sorce_ip = 1.2.3.4", "column 15: unknown field 'sorce_ip'; did you mean source_ip?"},
      {"zzzzzzzz = 1", "column 1: unknown field 'zzzzzzzz'"},
      {"src.svc = x", "column 1: unknown field 'src.svc'"},
      {"ns shop", "column 4: expected = != < <= > >= =~ !~ IN, NOT IN or EMPTY, found 'shop'"},
      {"ns =", "column 5: expected a value, found the end"},
      {"ns < a", "column 4: source_namespace is not a number: compare it with = != =~ !~ IN"},
      {"source_name = a=b",
       "column 16: expected AND, OR or the end (a value with any of =!<>~(){}, must be quoted), found '='"},
      {"port = web", "column 8: expected a number for source_port, found 'web'"},
      {"num_flows = 3ms", "column 13: expected a number for num_flows, found '3ms'"},
      {"bytes_in = 99999999999G",
       "column 12: expected a number of bytes, or one with k, M, G, Ki, Mi or Gi for bytes_in, found '99999999999G'"},
      {"ip = 10.0.0.0/99", "column 6: expected an IP address or CIDR block for source_ip, found '10.0.0.0/99'"},
      {"proto = x", "column 9: expected a protocol name or number for proto, found 'x'"},
      {"num_flows =~ 3", "column 14: num_flows is a number: compare it with = != < <= > >= IN"},
      {"ns =~ '('", "column 7: bad regular expression: missing ): ("},
      {"ns IN {a b}", "column 10: expected , or }, found 'b'"},
      {"ns IN a", "column 7: expected {, found 'a'"},
      {"ns NOT a", "column 8: expected IN or EMPTY, found 'a'"},
      {"(ns = a", "column 8: expected AND, OR or ), found the end"},
      {"ns = 'a", "column 6: the quote is not closed"},
      {"ns = a ns = b",
       "column 8: expected AND, OR or the end (a value with any of =!<>~(){}, must be quoted), found 'ns'"},
  };
  for (const auto& c : cases) {
    const auto filter = Filter::compile(c.filter);
    ASSERT_FALSE(filter.ok()) << c.filter;
    EXPECT_EQ(filter.error().message, c.message);
  }
}

TEST(Filter, DepthAndSizeAreBounded) {
  std::string deep(kMaxFilterDepth, '(');
  EXPECT_FALSE(Filter::compile(deep + "(ns=a)" + std::string(kMaxFilterDepth, ')')).ok());
  std::string nots;
  for (int i = 0; i < 100000; ++i) nots += "NOT ";
  EXPECT_FALSE(Filter::compile(nots.substr(0, kMaxFilterBytes - 10) + " ns = a").ok());
  EXPECT_FALSE(Filter::compile(std::string(kMaxFilterBytes + 1, ' ')).ok());
}

}  // namespace
}  // namespace weir::filter
