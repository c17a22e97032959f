#include "collect/collector.h"

#include <gtest/gtest.h>

#include <string>

#include "cluster/manifest_reader.h"

namespace weir::collect {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'700'000'000 * kSecond;

constexpr const char* kManifests = R"(
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, generateName: web-, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: shop, generateName: db-, labels: {app: db}}
spec: {nodeName: node-2, containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: old-1, namespace: shop, creationTimestamp: "2020-01-01T00:00:00Z"}
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.9, startTime: "2020-01-01T00:00:00Z"}
---
apiVersion: v1
kind: Pod
metadata: {name: new-1, namespace: shop, creationTimestamp: "2023-11-14T22:13:30Z"}
spec: {containers: [{name: c}]}
status: {phase: Running, podIP: 10.0.0.9, startTime: "2023-11-14T22:13:30Z"}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: sql, port: 5432, targetPort: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
)";

/// A ledger, an engine and a collector over kManifests.
class CollectorTest : public ::testing::Test {
 protected:
  void start(const std::string& node = "", bool cluster_known = true) {
    cluster::ClusterObjects objects;
    cluster::ManifestNotes notes;
    if (cluster_known) {
      const Status status = cluster::read_manifest_text("test.yaml", kManifests, false, objects, notes);
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
    cluster::LedgerOptions options;
    options.node = node;
    ledger_ = std::make_unique<cluster::Ledger>(std::move(objects), options);
    policy::EngineInputs inputs;
    inputs.pods.assign(ledger_->pods().begin(), ledger_->pods().end());
    inputs.namespaces.assign(ledger_->namespaces().begin(), ledger_->namespaces().end());
    inputs.network_policies.assign(ledger_->network_policies().begin(), ledger_->network_policies().end());
    engine_ = policy::Engine::create({}, inputs).value();
    CollectorOptions collector_options;
    collector_options.cluster_known = cluster_known;
    collector_ =
        std::make_unique<Collector>(collector_options, *ledger_, cluster_known ? engine_.get() : nullptr, traces_);
  }

  static model::ConnectionUpdate update(const char* source, const char* dest, std::uint16_t port) {
    model::ConnectionUpdate update;
    update.tuple = {IpAddress::parse(source).value(), IpAddress::parse(dest).value(), 40000, port, model::kProtoTcp};
    update.original_dest = update.tuple.dest;
    update.original_dest_port = port;
    update.first = true;
    update.start_ns = update.newest_ns = kStart;
    update.delta = {.packets_forward = 3, .packets_reverse = 2, .bytes_forward = 300, .bytes_reverse = 200};
    return update;
  }

  std::vector<model::ReportedFlow> add(const model::ConnectionUpdate& update) {
    collector_->clear_reports();
    collector_->add(update);
    return {collector_->reports().begin(), collector_->reports().end()};
  }

  std::unique_ptr<cluster::Ledger> ledger_;
  policy::TraceStore traces_;
  std::unique_ptr<policy::Engine> engine_;
  std::unique_ptr<Collector> collector_;
};

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
}

}  // namespace
}  // namespace weir::collect
