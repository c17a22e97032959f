#include <gtest/gtest.h>

#include <string>

#include "collect/collector_fixture.h"

namespace weir::collect {
namespace {

TEST_F(CollectorTest, B3_BothLocalGivesTwoReportsWithMirroredDirections) {
  start();
  const auto flows = add(update("10.0.0.1", "10.0.0.2", 5432));
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_EQ(flows[0].reporter, model::Reporter::kSource);
  EXPECT_EQ(flows[0].bytes_out, 300u);
  EXPECT_EQ(flows[0].bytes_in, 200u);
  EXPECT_EQ(flows[1].reporter, model::Reporter::kDest);
  EXPECT_EQ(flows[1].bytes_in, 300u);
  EXPECT_EQ(flows[1].bytes_out, 200u);
  EXPECT_EQ(flows[0].source->name, "web-1");
  EXPECT_EQ(flows[1].dest->name, "db-1");
  EXPECT_EQ(flows[0].verdict_source, model::VerdictSource::kComputed);
}

TEST_F(CollectorTest, B3_ALocalSourceGivesEgressOnlyALocalDestinationIngressOnly) {
  start("node-1");
  auto flows = add(update("10.0.0.1", "10.0.0.2", 5432));
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].reporter, model::Reporter::kSource);
  start("node-2");
  flows = add(update("10.0.0.1", "10.0.0.2", 5432));
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].reporter, model::Reporter::kDest);
}

TEST_F(CollectorTest, AConnectionWithoutALocalEndIsCountedNotReported) {
  start("node-1");
  EXPECT_TRUE(add(update("192.0.2.1", "10.0.0.2", 5432)).empty());
  EXPECT_EQ(collector_->stats().not_local, 1u);
  EXPECT_EQ(collector_->stats().not_local_packets, 5u);
  EXPECT_EQ(collector_->stats().not_local_bytes, 500u);
}

TEST_F(CollectorTest, WithoutAClusterEachConnectionGivesOneSourceRecordWithoutPolicies) {
  start("", false);
  const auto flows = add(update("10.0.0.1", "10.0.0.2", 5432));
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].reporter, model::Reporter::kSource);
  EXPECT_EQ(flows[0].source->type, model::EndpointType::kNet);
  EXPECT_EQ(flows[0].enforced, nullptr);
  EXPECT_EQ(flows[0].verdict_source, model::VerdictSource::kObserved);
}

TEST_F(CollectorTest, TheTwoSidesMayDisagree) {
  start();
  const auto flows = add(update("10.0.0.1", "10.0.0.2", 22));
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_EQ(flows[0].action, model::Action::kAllow);
  EXPECT_EQ(flows[1].action, model::Action::kDeny);
  EXPECT_EQ(flows[1].enforced->entries, (std::vector<std::string>{"0|default|shop/knp.default.db|deny|-1"}));
}

TEST_F(CollectorTest, ADeniedEgressGivesOnlyASourceRecord) {
  start();
  const auto flows = add(update("10.0.0.2", "10.0.0.1", 80));
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].reporter, model::Reporter::kSource);
  EXPECT_EQ(flows[0].action, model::Action::kDeny);
}

TEST_F(CollectorTest, AServiceIsNamedByTheAddressBeforeDnat) {
  start();
  model::ConnectionUpdate translated = update("10.0.0.1", "10.0.0.2", 5432);
  translated.original_dest = IpAddress::parse("10.96.0.1").value();
  const auto flows = add(translated);
  ASSERT_EQ(flows.size(), 2u);
  ASSERT_NE(flows[0].service, nullptr);
  EXPECT_EQ(flows[0].service->name, "db");
  EXPECT_EQ(flows[0].service->port_name, "sql");
  EXPECT_EQ(flows[0].dest->name, "db-1");
}

TEST_F(CollectorTest, ADestinationStillBeforeDnatHasAServiceAndNoVerdict) {
  start();
  const auto flows = add(update("10.0.0.2", "10.96.0.1", 5432));
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].service->name, "db");
  EXPECT_EQ(flows[0].enforced, nullptr);
  EXPECT_EQ(flows[0].verdict_source, model::VerdictSource::kObserved);
}

TEST_F(CollectorTest, StartsOnceEndsOnceAndTrailsAfterwards) {
  start("node-1");
  model::ConnectionUpdate next = update("10.0.0.1", "10.0.0.2", 5432);
  auto flows = add(next);
  EXPECT_TRUE(flows[0].starts && !flows[0].ends && !flows[0].trailing);
  next.first = false;
  next.closed = true;
  flows = add(next);
  EXPECT_TRUE(!flows[0].starts && flows[0].ends && !flows[0].trailing);
  next.last = true;
  flows = add(next);
  EXPECT_TRUE(!flows[0].starts && !flows[0].ends && flows[0].trailing);
}

TEST_F(CollectorTest, AShortConnectionStartsAndEndsInOneReport) {
  start("node-1");
  model::ConnectionUpdate whole = update("10.0.0.1", "10.0.0.2", 5432);
  whole.closed = whole.last = true;
  const auto flows = add(whole);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_TRUE(flows[0].starts && flows[0].ends);
}

TEST_F(CollectorTest, AFreedSlotWithoutTrailingTrafficReportsNothing) {
  start("node-1");
  model::ConnectionUpdate next = update("10.0.0.1", "10.0.0.2", 5432);
  next.closed = true;
  add(next);
  next.first = next.closed = false;
  next.last = true;
  next.delta = {};
  EXPECT_TRUE(add(next).empty());
}

TEST_F(CollectorTest, TheOutcomeIsReportedOnce) {
  start("node-1");
  model::ConnectionUpdate next = update("10.0.0.1", "10.0.0.2", 5432);
  EXPECT_EQ(add(next)[0].outcome, model::Outcome::kUnknown);
  next.first = false;
  next.outcome = model::Outcome::kEstablished;
  EXPECT_EQ(add(next)[0].outcome, model::Outcome::kEstablished);
  EXPECT_EQ(add(next)[0].outcome, model::Outcome::kUnknown);
}

TEST_F(CollectorTest, AnOutcomeIsNewsEvenWithoutTraffic) {
  start("node-1");
  model::ConnectionUpdate next = update("10.0.0.1", "10.0.0.2", 5432);
  add(next);
  next.first = false;
  next.delta = {};
  EXPECT_TRUE(add(next).empty());
  next.outcome = model::Outcome::kUnanswered;
  ASSERT_EQ(add(next).size(), 1u);
  EXPECT_TRUE(add(next).empty());
}

TEST_F(CollectorTest, B5_AReusedAddressEndsTheFlowAndStartsItAnewUnderTheNewPod) {
  start();
  model::ConnectionUpdate next = update("10.0.0.9", "192.0.2.1", 443);
  auto flows = add(next);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].source->name, "old-1");
  next.first = false;
  next.newest_ns = kStart + 60 * kSecond;
  flows = add(next);
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_EQ(flows[0].source->name, "old-1");
  EXPECT_TRUE(flows[0].ends);
  EXPECT_EQ(flows[0].bytes_out, 0u);
  EXPECT_EQ(flows[1].source->name, "new-1");
  EXPECT_TRUE(flows[1].starts);
  EXPECT_EQ(flows[1].bytes_out, 300u);
  EXPECT_EQ(collector_->stats().identity_moves, 1u);
}

TEST_F(CollectorTest, DomainsExplainOnlyTheSourcesReportToTheOutside) {
  start();
  model::DnsTransaction answer;
  answer.client = IpAddress::parse("10.0.0.1").value();
  answer.answer_ns = kStart - kSecond;
  answer.qname = "api.example.com";
  for (const char* ip : {"192.0.2.1", "10.0.0.2"}) {
    answer.answers.push_back(
        {.name = "x", .type = 1, .rclass = 1, .ttl = 60, .data = ip, .address = IpAddress::parse(ip).value()});
  }
  collector_->on_dns(answer);
  model::ConnectionUpdate outside = update("10.0.0.1", "192.0.2.1", 443);
  ASSERT_EQ(add(outside)[0].dest_domains.size(), 1u);
  EXPECT_EQ(add(outside)[0].dest_domains[0], "api.example.com");
  outside = update("10.0.0.1", "10.0.0.2", 5432);
  for (const auto& flow : add(outside)) EXPECT_TRUE(flow.dest_domains.empty());
}

TEST_F(CollectorTest, OriginalSourcesComeWithTheNextReportAndOnlyOnce) {
  start("node-1");
  model::ConnectionUpdate next = update("10.0.0.1", "10.0.0.2", 80);
  add(next);
  model::HttpTransaction request;
  request.slot = next.slot;
  request.original_source = IpAddress::parse("203.0.113.9").value();
  collector_->on_http(request);
  next.first = false;
  const auto flows = add(next);
  ASSERT_EQ(flows[0].original_source_ips.size(), 1u);
  EXPECT_EQ(flows[0].original_source_ips[0].to_string(), "203.0.113.9");
  EXPECT_TRUE(add(next)[0].original_source_ips.empty());

  collector_->on_http(request);
  next.delta = {};
  const auto silent = add(next);
  ASSERT_EQ(silent.size(), 1u) << "news, though the connection is silent";
  EXPECT_EQ(silent[0].original_source_ips.size(), 1u);
  EXPECT_TRUE(add(next).empty());
}

}  // namespace
}  // namespace weir::collect
