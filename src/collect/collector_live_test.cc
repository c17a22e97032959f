// What live sources add to the collector: rule hits, address translations, one end's view, policies that change. The
// numbered names are the reference's acceptance facts.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "collect/collector_fixture.h"

namespace weir::collect {
namespace {

using model::Action;
using model::ConnectionUpdate;
using model::ObservedAt;

model::PolicyHit hit_of(const ConnectionUpdate& update, Action action, bool egress, const char* id = "knp/shop/db",
                        std::int32_t rule = 0) {
  model::PolicyHit hit;
  hit.tuple = update.tuple;
  hit.original_dest = update.original_dest;
  hit.original_dest_port = update.original_dest_port;
  hit.egress = egress;
  hit.action = action;
  hit.id = id;
  hit.rule = rule;
  hit.time_ns = update.newest_ns;
  return hit;
}

model::PolicyHit tier_end(const ConnectionUpdate& update, bool egress) {
  model::PolicyHit hit = hit_of(update, Action::kDeny, egress, "default", -1);
  hit.kind = model::HitKind::kTierEnd;
  return hit;
}

class LiveCollector : public CollectorTest {
 protected:
  /// Adds, and keeps count of the flows that are open under each verdict.
  std::vector<model::ReportedFlow> report(const ConnectionUpdate& update) {
    std::vector<model::ReportedFlow> flows = add(update);
    count(flows);
    return flows;
  }
  void count(const std::vector<model::ReportedFlow>& flows) {
    for (const model::ReportedFlow& flow : flows) {
      open_[{flow.reporter, flow.action}] += (flow.starts ? 1 : 0) - (flow.ends ? 1 : 0);
    }
  }
  /// From now on these decide; what that moves is in the collector's reports.
  void change_policies(const policy::EngineInputs& inputs) {
    auto engine = make_engine(inputs);
    collector_->clear_reports();
    collector_->set_engine(engine.get());
    engine_ = std::move(engine);
  }
  /// Nobody may go to the db any more.
  void close_db() {
    policy::EngineInputs inputs = inputs_of_ledger();
    model::NetworkPolicy closed = *inputs.policies.network_policies.at(0);
    closed.ingress.clear();
    inputs.policies.network_policies = {std::make_shared<const model::NetworkPolicy>(closed)};
    change_policies(inputs);
  }
  int open(model::Reporter reporter, Action action) { return open_[{reporter, action}]; }

  std::map<std::pair<model::Reporter, Action>, int> open_;
};

TEST_F(LiveCollector, TheDataPlanesVerdictGoesBeforeTheEvaluatedOne) {
  start("node-2");
  const ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  collector_->on_hit(tier_end(connection, false));
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].action, Action::kDeny) << "evaluation says allow";
  EXPECT_EQ(flows[0].verdict_source, model::VerdictSource::kDataplane);
  EXPECT_EQ(flows[0].enforced->entries, std::vector<std::string>{"0|default|__NO_MATCH__|deny|-1"});
  EXPECT_EQ(collector_->stats().verdict_mismatches, 1u);
}

TEST_F(LiveCollector, WhereBothAgreeTheTraceIsTheEvaluatedOne) {
  start("node-2");
  const ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 22);
  collector_->on_hit(tier_end(connection, false));
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].verdict_source, model::VerdictSource::kDataplane);
  EXPECT_EQ(flows[0].enforced->entries, std::vector<std::string>{"0|default|shop/knp.default.db|deny|-1"});
  EXPECT_EQ(collector_->stats().verdict_mismatches, 0u);
}

TEST_F(LiveCollector, B4_WhatWasDeniedAndIsThenAllowedEndsAsDeniedFirst) {
  start("node-2");
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 22);
  collector_->on_hit(tier_end(connection, false));
  EXPECT_EQ(report(connection)[0].action, Action::kDeny);
  EXPECT_EQ(open(model::Reporter::kDest, Action::kDeny), 1);
  connection.first = false;
  collector_->on_hit(hit_of(connection, Action::kAllow, false));
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_TRUE(flows[0].ends && flows[0].action == Action::kDeny && flows[0].packets_in == 0);
  EXPECT_TRUE(flows[1].starts && flows[1].action == Action::kAllow && flows[1].packets_in == 3);
  EXPECT_EQ(open(model::Reporter::kDest, Action::kDeny), 0);
  EXPECT_EQ(collector_->stats().verdict_moves, 1u);
}

TEST_F(LiveCollector, B13_ADeniedFlowIsDrainedHoweverItsVerdictMoves) {
  enum class Then : std::uint8_t { kAgesOut, kAllowedBySameRule, kAllowedByProfile, kUnknownPolicy, kTableReplaced };
  for (const Then then : {Then::kAgesOut, Then::kAllowedBySameRule, Then::kAllowedByProfile, Then::kUnknownPolicy,
                          Then::kTableReplaced}) {
    SCOPED_TRACE(static_cast<int>(then));
    start("node-2");
    open_.clear();
    ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 22);
    collector_->on_hit(tier_end(connection, false));
    report(connection);
    ASSERT_EQ(open(model::Reporter::kDest, Action::kDeny), 1);
    connection.first = false;
    model::PolicyHit profile = hit_of(connection, Action::kAllow, false, "kns.shop");
    profile.kind = model::HitKind::kProfileRule;
    if (then == Then::kAllowedBySameRule) collector_->on_hit(hit_of(connection, Action::kAllow, false));
    if (then == Then::kAllowedByProfile) collector_->on_hit(profile);
    if (then == Then::kUnknownPolicy) collector_->on_hit(hit_of(connection, Action::kAllow, false, "np/gone/none.x"));
    if (then == Then::kTableReplaced) {
      policy::EngineInputs inputs = inputs_of_ledger();
      inputs.policies = {};
      change_policies(inputs);
      count({collector_->reports().begin(), collector_->reports().end()});
    }
    if (then != Then::kAgesOut) report(connection);
    connection.delta = {};
    connection.last = true;
    report(connection);
    EXPECT_EQ(open(model::Reporter::kDest, Action::kDeny), 0);
    EXPECT_EQ(open(model::Reporter::kDest, Action::kAllow), 0);
  }
}

TEST_F(LiveCollector, E2_NewPoliciesMoveThePendingTraceAndLeaveTheEnforcedOne) {
  start("node-2");
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  const model::PolicyTrace* enforced = report(connection)[0].enforced;
  close_db();
  count({collector_->reports().begin(), collector_->reports().end()});
  EXPECT_EQ(open(model::Reporter::kDest, Action::kAllow), 0) << "a denial ahead is another aggregation";
  connection.first = false;
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_TRUE(flows[0].starts);
  EXPECT_EQ(flows[0].action, Action::kAllow);
  EXPECT_EQ(flows[0].enforced->entries, enforced->entries);
  EXPECT_EQ(flows[0].pending->entries, std::vector<std::string>{"0|default|shop/knp.default.db|deny|-1"});
}

TEST_F(LiveCollector, E1_EachEndHasTheTraceOfItsOwnPoliciesAndAnEndElsewhereNone) {
  start("");
  const auto denied = report(update("10.0.0.1", "10.0.0.2", 22));
  ASSERT_EQ(denied.size(), 2u);
  EXPECT_EQ(denied[0].reporter, model::Reporter::kSource);
  EXPECT_EQ(denied[0].pending->entries, std::vector<std::string>{"0|__PROFILE__|__PROFILE__.kns.shop|allow|0"});
  EXPECT_EQ(denied[1].reporter, model::Reporter::kDest);
  EXPECT_EQ(denied[1].pending->entries, std::vector<std::string>{"0|default|shop/knp.default.db|deny|-1"});
  const auto outward = report(update("10.0.0.1", "203.0.113.9", 443));
  ASSERT_EQ(outward.size(), 1u) << "what is no pod has no ingress trace";
  EXPECT_EQ(outward[0].reporter, model::Reporter::kSource);
}

TEST_F(LiveCollector, E3_TheTracesOfAPodThatIsGoneStayAndOthersMove) {
  start("");
  ConnectionUpdate to_db = update("10.0.0.1", "10.0.0.2", 5432);
  ConnectionUpdate outward = update("10.0.0.1", "203.0.113.9", 443);
  to_db.slot = 1;
  outward.slot = 2;
  const model::PolicyTrace* before = report(to_db)[1].pending;
  report(outward);
  policy::EngineInputs inputs;
  for (const model::Endpoint* pod : ledger_->pods()) {
    if (pod->name != "db-1") inputs.pods.push_back(pod);
  }
  // Nobody may send any more.
  inputs.policies = ledger_->policy_set();
  auto closed = std::make_shared<model::NetworkPolicy>();
  closed->namespace_name = "shop";
  closed->name = "closed";
  closed->applies_ingress = false;
  closed->applies_egress = true;
  inputs.policies.network_policies.push_back(closed);
  change_policies(inputs);
  to_db.first = outward.first = false;
  const auto db_flows = report(to_db);
  ASSERT_EQ(db_flows.size(), 2u);
  EXPECT_EQ(db_flows[1].pending, before) << "the evaluation no longer knows the pod";
  EXPECT_EQ(db_flows[0].pending->entries, std::vector<std::string>{"0|default|shop/knp.default.closed|deny|-1"});
  EXPECT_EQ(report(outward)[0].pending->verdict, Action::kDeny);
}

TEST_F(LiveCollector, E4_WithoutAnEngineTheLastTracesStay) {
  start("node-2");
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  const model::PolicyTrace* before = report(connection)[0].pending;
  collector_->set_engine(nullptr);
  connection.first = false;
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].pending, before);
  EXPECT_EQ(flows[0].enforced, before);
}

TEST_F(LiveCollector, E7_AFlowThatEndedIsNotEvaluatedAgain) {
  start("node-2");
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  connection.last = true;
  report(connection);
  close_db();
  EXPECT_TRUE(collector_->reports().empty());
  EXPECT_EQ(collector_->stats().pending_moves, 0u);
  EXPECT_EQ(engine_->stats().cache_hits + engine_->stats().cache_misses, 0u) << "nothing was asked";
}

// The reference sweeps flows in batches (E5, E6, E9 to E12, E14); here a change moves every open flow at once.
TEST_F(LiveCollector, E8_EveryOpenFlowIsEvaluatedAtAChangeHoweverYoung) {
  start("node-2");
  constexpr model::ConnectionSlot kFlows = 600;
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  for (model::ConnectionSlot slot = 0; slot < kFlows; ++slot) {
    connection.slot = slot;
    connection.tuple.source_port = static_cast<std::uint16_t>(40'000 + slot);
    report(connection);
  }
  close_db();
  EXPECT_EQ(collector_->stats().pending_moves, kFlows);
  EXPECT_EQ(engine_->stats().cache_hits + engine_->stats().cache_misses, kFlows);
}

TEST_F(LiveCollector, E13_TracesAreEqualInTheSameOrderOnly) {
  const model::PolicyTrace* one = traces_.intern({{"0|a|x|pass|0", "1|b|y|allow|0"}, Action::kAllow});
  EXPECT_EQ(one, traces_.intern({{"0|a|x|pass|0", "1|b|y|allow|0"}, Action::kAllow}));
  EXPECT_NE(one, traces_.intern({{"1|b|y|allow|0", "0|a|x|pass|0"}, Action::kAllow}));
}

TEST_F(LiveCollector, B10_AHitOfAnEndThatIsGoneIsSkippedAndOthersCount) {
  start("node-2");
  const ConnectionUpdate known = update("10.0.0.1", "10.0.0.2", 5432);
  const ConnectionUpdate gone = update("10.0.0.77", "10.0.0.78", 5432);
  collector_->on_hit(hit_of(gone, Action::kDeny, false));
  collector_->on_hit(tier_end(known, false));
  EXPECT_TRUE(report(gone).empty());
  const auto flows = report(known);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].action, Action::kDeny);
}

TEST_F(LiveCollector, AFlowSplitByPolicyThatStaysSilentIsNotStartedAgain) {
  start("node-2");
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  report(connection);
  close_db();
  EXPECT_EQ(collector_->reports().size(), 1u);
  connection.first = false;
  connection.delta = {};
  connection.last = true;
  EXPECT_TRUE(report(connection).empty());
}

TEST_F(LiveCollector, AFlowSplitByALateHitThatStaysSilentIsNotStartedAgain) {
  start("node-2");
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  report(connection);
  collector_->on_hit(tier_end(connection, false));
  connection.first = false;
  connection.delta = {};
  connection.last = true;
  report(connection);
  EXPECT_EQ(open(model::Reporter::kDest, Action::kAllow), 0);
  EXPECT_EQ(open(model::Reporter::kDest, Action::kDeny), 0);
  EXPECT_EQ(collector_->stats().reports, 2u) << "begun, and ended";
}

TEST_F(LiveCollector, B7_AClientsViewIsTranslatedAndHasItsService) {
  start();
  ConnectionUpdate connection = update("10.0.0.2", "10.96.0.1", 5432);
  connection.observed_at = ObservedAt::kSource;
  model::ConntrackEvent event;
  event.kind = model::ConntrackEvent::Kind::kNew;
  event.original = connection.tuple;
  event.reply = {IpAddress::parse("10.0.0.1").value(), connection.tuple.source, 6543, 40000, model::kProtoTcp};
  event.time_ns = kStart;
  collector_->on_conntrack(event);
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].reporter, model::Reporter::kSource);
  EXPECT_EQ(flows[0].dest->name, "web-1");
  EXPECT_EQ(flows[0].tuple.dest_port, 6543);
  ASSERT_NE(flows[0].service, nullptr);
  EXPECT_EQ(flows[0].service->name, "db");
}

TEST_F(LiveCollector, EachEndReportsItsOwnView) {
  start();
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  connection.observed_at = ObservedAt::kSource;
  EXPECT_EQ(report(connection).size(), 1u);
  connection.observed_at = ObservedAt::kDest;
  connection.slot = Collector::kSecondSource;
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].reporter, model::Reporter::kDest);
}

TEST_F(LiveCollector, AConnectionOfAnEarlierRunIsNotStartedAgain) {
  start("node-2");
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  connection.resumed = true;
  EXPECT_FALSE(report(connection)[0].starts);
  connection.first = false;
  connection.last = true;
  EXPECT_TRUE(report(connection)[0].ends);
}

TEST_F(LiveCollector, AYoungConnectionWaitsForItsContextAndKeepsItsCounts) {
  start("node-2", true, std::chrono::seconds(2));
  collector_->advance(kStart);
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  EXPECT_TRUE(report(connection).empty());
  connection.first = false;
  connection.closed = true;
  EXPECT_TRUE(report(connection).empty());
  // The hit comes late, but in time.
  collector_->on_hit(tier_end(connection, false));
  collector_->advance(kStart + 2 * kSecond);
  const std::vector<model::ReportedFlow> flows{collector_->reports().begin(), collector_->reports().end()};
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_TRUE(flows[0].starts && flows[0].ends);
  EXPECT_EQ(flows[0].action, Action::kDeny);
  EXPECT_EQ(flows[0].packets_in, 6u);
}

TEST_F(LiveCollector, AYoungConnectionThatGivesItsSlotBackIsReportedAtOnce) {
  start("node-2", true, std::chrono::seconds(2));
  collector_->advance(kStart);
  ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
  EXPECT_TRUE(report(connection).empty());
  connection.first = false;
  connection.last = true;
  const auto flows = report(connection);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_TRUE(flows[0].starts && flows[0].ends);
  EXPECT_EQ(flows[0].packets_in, 6u);
}

TEST_F(LiveCollector, AtTheEndYoungConnectionsAreReported) {
  start("node-2", true, std::chrono::seconds(2));
  collector_->advance(kStart);
  report(update("10.0.0.1", "10.0.0.2", 5432));
  collector_->finish();
  EXPECT_EQ(collector_->reports().size(), 1u);
}

ConnectionUpdate with_process(ConnectionUpdate update, ObservedAt at, const char (&name)[7], std::uint32_t id) {
  update.observed_at = at;
  update.process_id = id;
  std::copy(name, name + sizeof(name), update.process_name.begin());
  return update;
}

TEST_F(LiveCollector, TheProcessIsThatOfTheSideThatReports) {
  struct Case {
    ObservedAt at;
    const char* node;
    model::Reporter reporter;
    const char* name;
  };
  for (const Case& c : {Case{ObservedAt::kSource, "node-1", model::Reporter::kSource, "client"},
                        Case{ObservedAt::kDest, "node-2", model::Reporter::kDest, "client"},
                        Case{ObservedAt::kAnywhere, "node-1", model::Reporter::kSource, "-"}}) {
    SCOPED_TRACE(static_cast<int>(c.at));
    start(c.node);
    const auto flows = report(with_process(update("10.0.0.1", "10.0.0.2", 5432), c.at, "client", 17));
    ASSERT_EQ(flows.size(), 1u);
    EXPECT_EQ(flows[0].reporter, c.reporter);
    EXPECT_EQ(model::text_of(flows[0].process_name), c.name);
    EXPECT_EQ(flows[0].process_id, c.at == ObservedAt::kAnywhere ? 0u : 17u);
  }
}

TEST_F(LiveCollector, AConnectionKeepsTheProcessOfItsFirstReportToItsEnd) {
  for (const bool known : {true, false}) {
    SCOPED_TRACE(known);
    start("node-1");
    ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
    connection.observed_at = ObservedAt::kSource;
    if (known) connection = with_process(connection, ObservedAt::kSource, "client", 17);
    report(connection);
    connection = with_process(connection, ObservedAt::kSource, "server", 18);
    connection.first = false;
    const auto flows = report(connection);
    ASSERT_EQ(flows.size(), 1u);
    EXPECT_EQ(model::text_of(flows[0].process_name), known ? "client" : "-");
    EXPECT_EQ(flows[0].process_id, known ? 17u : 0u);
    // An end that no update tells of is of the same name.
    collector_->clear_reports();
    ConnectionUpdate moved = connection;
    collector_->on_hit(hit_of(moved, Action::kDeny, true));
    const auto ends = report(moved);
    ASSERT_EQ(ends.size(), 2u);
    EXPECT_TRUE(ends[0].ends && ends[1].starts);
    for (const model::ReportedFlow& flow : ends) EXPECT_EQ(flow.process_id, known ? 17u : 0u);
  }
}

TEST_F(LiveCollector, AProcessThatIsToldWhileTheConnectionWaitsIsKept) {
  for (const bool late : {true, false}) {
    SCOPED_TRACE(late);
    start("node-1", true, std::chrono::seconds(2));
    collector_->advance(kStart);
    ConnectionUpdate connection = update("10.0.0.1", "10.0.0.2", 5432);
    connection.observed_at = ObservedAt::kSource;
    const ConnectionUpdate with = with_process(connection, ObservedAt::kSource, "client", 17);
    ConnectionUpdate first = late ? connection : with, second = late ? with : connection;
    second.first = false;
    second.last = true;
    EXPECT_TRUE(report(first).empty());
    const auto flows = report(second);
    ASSERT_EQ(flows.size(), 1u);
    EXPECT_EQ(model::text_of(flows[0].process_name), "client");
    EXPECT_EQ(flows[0].process_id, 17u);
    EXPECT_EQ(flows[0].packets_out, 6u);
  }
}

}  // namespace
}  // namespace weir::collect
