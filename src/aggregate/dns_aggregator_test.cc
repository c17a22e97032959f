#include "aggregate/dns_aggregator.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "aggregate/flow_fixture.h"

namespace weir::aggregate {
namespace {

using Lines = std::vector<std::string>;

model::DnsRecordData a_record(const std::string& name, const std::string& address, std::uint32_t ttl = 60) {
  model::DnsRecordData record;
  record.name = name;
  record.type = 1;
  record.ttl = ttl;
  record.data = address;
  return record;
}

model::DnsTransaction lookup(const std::string& client, const std::string& qname,
                             std::vector<model::DnsRecordData> answers = {}, std::int64_t latency = 0) {
  model::DnsTransaction t;
  t.client = ip(client);
  t.server = ip("10.96.0.10");
  t.qname = qname;
  t.qtype = 1;
  t.answers = std::move(answers);
  t.query_ns = 1000;
  t.answer_ns = 1000 + latency;
  return t;
}

/// "COUNT IP NAME NAME_AGGR NS QNAME QTYPE RCODE [name/type:data,data] servers"
Lines flush(DnsAggregator& aggregator) {
  Lines lines;
  aggregator.flush(100, 400, [&](const model::DnsRecord& r) {
    EXPECT_EQ(r.start_time, 100);
    EXPECT_EQ(r.end_time, 400);
    std::string line = std::to_string(r.count) + " ";
    if (r.type != "LOG") {
      lines.push_back(line + std::string(r.type));
      return;
    }
    line += (r.client_ip ? r.client_ip->to_string() : "null") + " ";
    for (const std::string_view part :
         {r.client_name, r.client_name_aggr, r.client_namespace, r.qname, r.qtype, r.rcode}) {
      line += std::string(part) + " ";
    }
    for (const model::DnsRrset& set : r.rrsets) {
      line += "[" + set.name + "/" + set.type + "/" + set.rclass;
      for (const std::string& data : set.rdata) line += " " + data;
      line += "] ";
    }
    for (const model::DnsServer& server : r.servers)
      line += server.ip.to_string() + "=" + std::string(server.name) + " ";
    lines.push_back(line.substr(0, line.size() - 1));
  });
  return lines;
}

TEST(DnsAggregator, LevelOneMergesClientsWithTheSameNamePrefix) {
  World world;
  const auto* one = world.pod("shop", "web-1", "web-*");
  const auto* two = world.pod("shop", "web-2", "web-*");
  const auto* other = world.pod("shop", "db-0", "db-*");
  const auto* server = world.pod("kube-system", "dns-1", "dns-*");
  DnsAggregator aggregator;
  aggregator.add(lookup("10.0.0.1", "a.test"), one, server);
  aggregator.add(lookup("10.0.0.2", "a.test"), two, server);
  aggregator.add(lookup("10.0.0.3", "a.test"), other, server);
  EXPECT_EQ(flush(aggregator), (Lines{"1 null - db-* shop a.test A NoError 10.96.0.10=dns-1",
                                      "2 null - web-* shop a.test A NoError 10.96.0.10=dns-1"}));
  EXPECT_EQ(flush(aggregator), Lines{}) << "a flush begins a new window";
}

TEST(DnsAggregator, LevelZeroKeepsEachClientAddress) {
  World world;
  const auto* pod = world.pod("shop", "web-1", "web-*");
  DnsAggregatorOptions options;
  options.level = 0;
  DnsAggregator aggregator(options);
  aggregator.add(lookup("10.0.0.1", "a.test"), pod, nullptr);
  aggregator.add(lookup("10.0.0.1", "a.test"), pod, nullptr);
  aggregator.add(lookup("10.0.0.2", "a.test"), pod, nullptr);
  aggregator.add(lookup("10.0.0.2", "a.test"), nullptr, nullptr);
  EXPECT_EQ(flush(aggregator), (Lines{"1 10.0.0.2 - - - a.test A NoError 10.96.0.10=-",
                                      "2 10.0.0.1 web-1 web-* shop a.test A NoError 10.96.0.10=-",
                                      "1 10.0.0.2 web-1 web-* shop a.test A NoError 10.96.0.10=-"}));
}

TEST(DnsAggregator, TheAnswerIsASetWithoutOrderAndTtl) {
  DnsAggregator aggregator;
  const auto x = a_record("a.test", "10.0.0.8"), y = a_record("a.test", "10.0.0.9", 5);
  model::DnsRecordData alias;
  alias.name = "www.test";
  alias.type = 5;
  alias.data = "a.test";
  aggregator.add(lookup("10.0.0.1", "www.test", {alias, x, y}), nullptr, nullptr);
  aggregator.add(lookup("10.0.0.1", "www.test", {alias, y, x, x}), nullptr, nullptr);
  aggregator.add(lookup("10.0.0.1", "www.test", {alias, x}), nullptr, nullptr);
  EXPECT_EQ(flush(aggregator),
            (Lines{"1 null - - - www.test A NoError [a.test/A/IN 10.0.0.8] [www.test/CNAME/IN a.test] 10.96.0.10=-",
                   "2 null - - - www.test A NoError [a.test/A/IN 10.0.0.8 10.0.0.9] [www.test/CNAME/IN a.test] "
                   "10.96.0.10=-"}));
}

TEST(DnsAggregator, OutcomesAreKeysAndServersAreListed) {
  DnsAggregator aggregator;
  model::DnsTransaction t = lookup("10.0.0.1", "a.test");
  t.rcode = model::DnsTransaction::kTimeout;
  t.answer_ns = 0;
  aggregator.add(t, nullptr, nullptr);
  t.server = ip("10.96.0.9");
  aggregator.add(t, nullptr, nullptr);
  t.rcode = 3;
  aggregator.add(t, nullptr, nullptr);
  t.qname.clear();
  t.qtype = t.qclass = 0;
  aggregator.add(t, nullptr, nullptr);
  EXPECT_EQ(flush(aggregator),
            (Lines{"1 null - - - - - NXDomain 10.96.0.9=-", "1 null - - - a.test A NXDomain 10.96.0.9=-",
                   "2 null - - - a.test A Timeout 10.96.0.9=- 10.96.0.10=-"}));
}

TEST(DnsAggregator, LatencyIsOverLookupsWithBothHalves) {
  DnsAggregator aggregator;
  aggregator.add(lookup("10.0.0.1", "a.test", {}, 100), nullptr, nullptr);
  aggregator.add(lookup("10.0.0.1", "a.test", {}, 301), nullptr, nullptr);
  model::DnsTransaction unpaired = lookup("10.0.0.1", "a.test");
  unpaired.query_ns = 0;
  aggregator.add(unpaired, nullptr, nullptr);
  aggregator.flush(0, 1, [](const model::DnsRecord& r) {
    EXPECT_EQ(r.count, 3u);
    EXPECT_EQ(r.latency_count, 2u);
    EXPECT_EQ(r.latency_mean, 200u);
    EXPECT_EQ(r.latency_max, 301u);
  });
}

TEST(DnsAggregator, LabelsAreThoseThatAllClientsShare) {
  World world;
  const auto* one = world.pod("shop", "web-1", "web-*", {"app=web", "v=1"});
  const auto* two = world.pod("shop", "web-2", "web-*", {"app=web", "v=2"});
  for (const bool included : {true, false}) {
    DnsAggregatorOptions options;
    options.include_labels = included;
    DnsAggregator aggregator(options);
    aggregator.add(lookup("10.0.0.1", "a.test"), one, two);
    aggregator.add(lookup("10.0.0.2", "a.test"), two, two);
    aggregator.flush(0, 1, [&](const model::DnsRecord& r) {
      ASSERT_EQ(r.client_labels != nullptr, included);
      EXPECT_EQ(r.servers[0].labels, included ? two->labels : nullptr);
      if (included) {
        EXPECT_EQ(r.client_labels->pairs, (std::vector<std::string>{"app=web"}));
      }
    });
  }
}

TEST(DnsAggregator, LookupsAboveTheLimitAreOneUnloggedRecord) {
  DnsAggregatorOptions options;
  options.per_node_limit = 1;
  DnsAggregator aggregator(options);
  aggregator.add(lookup("10.0.0.1", "a.test"), nullptr, nullptr);
  aggregator.add(lookup("10.0.0.1", "b.test"), nullptr, nullptr);
  aggregator.add(lookup("10.0.0.1", "b.test"), nullptr, nullptr);
  aggregator.add(lookup("10.0.0.1", "a.test"), nullptr, nullptr);
  EXPECT_EQ(flush(aggregator), (Lines{"2 null - - - a.test A NoError 10.96.0.10=-", "2 UNLOGGED"}));
  EXPECT_EQ(aggregator.lookups(), 4u);
  EXPECT_EQ(aggregator.unlogged(), 2u);
}

}  // namespace
}  // namespace weir::aggregate
