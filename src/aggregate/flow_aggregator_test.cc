#include "aggregate/flow_aggregator.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aggregate/flow_fixture.h"

// The acceptance facts of the reference's aggregator, by their numbers (A1 to A19), and what Weir adds.

namespace weir::aggregate {
namespace {

using model::Action;
using model::FlowRecord;
using model::ReportedFlow;

/// A record that outlives the sink's call.
struct Copy {
  FlowRecord view;
  std::optional<std::vector<std::string>> source_labels, dest_labels;
  std::vector<std::uint16_t> nat_ports;
  std::vector<IpAddress> original_ips, source_external, dest_external;
  std::vector<std::string> domains;
};

std::optional<std::vector<std::string>> copy(const model::LabelSet* labels) {
  if (labels == nullptr) return std::nullopt;
  return labels->pairs;
}

class Aggregate : public ::testing::Test {
 protected:
  void SetUp() override { make({}); }
  void make(AggregateOptions options) { aggregator_ = FlowAggregator::create(std::move(options)).value(); }

  void add(const ReportedFlow& flow) { aggregator_->add(flow); }
  std::vector<Copy> flush() {
    std::vector<Copy> records;
    aggregator_->flush(100, 400, [&](const FlowRecord& r) {
      records.push_back({r,
                         copy(r.source_labels),
                         copy(r.dest_labels),
                         {r.nat_outgoing_ports.begin(), r.nat_outgoing_ports.end()},
                         {r.original_source_ips.begin(), r.original_source_ips.end()},
                         {r.source_external_ips.begin(), r.source_external_ips.end()},
                         {r.dest_external_ips.begin(), r.dest_external_ips.end()},
                         {r.dest_domains.begin(), r.dest_domains.end()}});
    });
    return records;
  }

  /// client-`n` → nginx-1:80, whole unless told otherwise.
  ReportedFlow flow(std::uint16_t source_port, bool starts = true, bool ends = true) {
    ReportedFlow f = tcp_flow(client_, "10.0.0.1", source_port, nginx_, "10.0.1.1", 80);
    f.starts = starts;
    f.ends = ends;
    return f;
  }
  ReportedFlow with_trace(const model::PolicyTrace* enforced, Action action = Action::kAllow) {
    ReportedFlow f = flow(1000);
    f.enforced = enforced;
    f.action = action;
    return f;
  }
  static void expect_counts(const Copy& record, std::uint64_t flows, std::uint64_t started, std::uint64_t completed) {
    EXPECT_EQ(record.view.num_flows, flows);
    EXPECT_EQ(record.view.num_flows_started, started);
    EXPECT_EQ(record.view.num_flows_completed, completed);
  }

  World world_;
  const model::Endpoint* client_ = world_.pod("shop", "client-a", "client-*", {"app=client"});
  const model::Endpoint* nginx_ = world_.pod("shop", "nginx-1", "nginx-*", {"app=nginx"});
  const model::Endpoint* pub_ = world_.net("pub");
  const model::Endpoint* pvt_ = world_.net("pvt");
  std::unique_ptr<FlowAggregator> aggregator_;
};

TEST_F(Aggregate, A1_PodsOfTheSameControllersMergeAtLevel2) {
  add(flow(1000));
  add(tcp_flow(world_.pod("shop", "client-b", "client-*"), "10.0.0.2", 2000, world_.pod("shop", "nginx-2", "nginx-*"),
               "10.0.1.2", 80));
  const auto records = flush();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].view.source_name_aggr, "client-*");
  EXPECT_EQ(records[0].view.packets_in, 4u);
  EXPECT_EQ(records[0].view.start_time, 100);
  EXPECT_EQ(records[0].view.end_time, 400);
}

TEST_F(Aggregate, A2_OtherLabelsDoNotSplit) {
  add(flow(1000));
  add(tcp_flow(world_.pod("shop", "client-b", "client-*", {"x=y"}), "10.0.0.2", 2000, nginx_, "10.0.1.1", 80));
  EXPECT_EQ(flush().size(), 1u);
}

TEST_F(Aggregate, A3_UnknownAddressesMergeByClassAndOpenFlowsStayInTheOutput) {
  add(flow(1000, true, false));
  EXPECT_EQ(flush().size(), 1u);
  add(tcp_flow(client_, "10.0.0.1", 1, pvt_, "192.168.0.14", 80));
  add(tcp_flow(client_, "10.0.0.1", 2, pvt_, "192.168.0.17", 80));
  EXPECT_EQ(flush().size(), 2u) << "pvt, and the open flow of the window before";
  add(tcp_flow(client_, "10.0.0.1", 1, pvt_, "192.168.0.14", 80));
  add(tcp_flow(client_, "10.0.0.1", 3, pub_, "198.17.8.43", 80));
  EXPECT_EQ(flush().size(), 3u);
  add(tcp_flow(client_, "10.0.0.1", 3, pub_, "198.17.8.43", 80));
  add(tcp_flow(pub_, "198.17.8.43", 3, client_, "10.0.0.1", 80));
  EXPECT_EQ(flush().size(), 3u) << "the reversed direction is another key";
}

TEST_F(Aggregate, A4_Level2HasNoAddressesNamesAndSourcePort) {
  add(flow(1000));
  const FlowRecord record = flush().at(0).view;
  EXPECT_EQ(record.aggregation_level, 2);
  EXPECT_FALSE(record.source_ip || record.dest_ip || record.source_port);
  EXPECT_EQ(record.source_name, "-");
  EXPECT_EQ(record.dest_name, "-");
  EXPECT_EQ(record.dest_port, 80);
  EXPECT_EQ(record.dest_service_namespace, "-");
  EXPECT_EQ(record.dest_service_name, "-");
  EXPECT_EQ(record.dest_service_port_name, "-");
  EXPECT_EQ(record.dest_service_port_num, 0);
}

TEST_F(Aggregate, A5_WithoutGenerateNameTheAggregatedNameIsThePodName) {
  add(tcp_flow(world_.pod("shop", "bare"), "10.0.0.9", 1, nginx_, "10.0.1.1", 80));
  EXPECT_EQ(flush().at(0).view.source_name_aggr, "bare");
}

TEST_F(Aggregate, A6_LabelsAreIntersectedToAnEmptySetNotToNull) {
  const auto labels_of = [&](std::vector<std::vector<std::string>> contributors) {
    for (auto& pairs : contributors) {
      add(tcp_flow(world_.pod("shop", "client-x", "client-*", pairs), "10.0.0.2", 1, nginx_, "10.0.1.1", 80));
    }
    return flush().at(0).source_labels.value();
  };
  using Pairs = std::vector<std::string>;
  EXPECT_EQ(labels_of({{"test-app=1"}, {"new-label=1", "test-app=1"}}), Pairs{"test-app=1"});
  EXPECT_EQ(labels_of({{"k8s-app=true"}, {"k8s-app=false"}}), Pairs{});
  EXPECT_EQ(labels_of({{"a=1"}, {}}), Pairs{}) << "an endpoint without labels contributes the empty set";
  EXPECT_EQ(labels_of({{"a=1", "projectcalico.org/x=1"}}), (Pairs{"a=1", "projectcalico.org/x=1"}));
  EXPECT_EQ(labels_of({{"a=1", "projectcalico.org/x=1"}, {"a=1", "b=2", "projectcalico.org/x=1"}}), Pairs{"a=1"});
  EXPECT_EQ(labels_of({{"b=2"}}), Pairs{"b=2"}) << "every window begins anew";
}

TEST_F(Aggregate, A6_AnIdleOpenFlowKeepsItsLastLabels) {
  add(flow(1, true, false));
  flush();
  EXPECT_EQ(flush().at(0).source_labels.value(), std::vector<std::string>{"app=client"});
}

TEST_F(Aggregate, A7_LabelsAreNullWhenNotIncluded) {
  AggregateOptions options;
  options.include_labels = false;
  make(options);
  add(flow(1000));
  add(flow(1001));
  const auto records = flush();
  EXPECT_FALSE(records.at(0).source_labels || records.at(0).dest_labels);
}

TEST_F(Aggregate, A8_WithAndWithoutServiceAreTwoRecords) {
  const model::ServiceRef service{"shop", "web", "http", 80}, same{"shop", "web", "http", 80};
  add(flow(1));
  for (const model::ServiceRef* s : {&service, &same}) {
    ReportedFlow f = flow(2);
    f.service = s;
    add(f);
  }
  const auto records = flush();
  ASSERT_EQ(records.size(), 2u) << "equal services merge, whatever their address";
  EXPECT_EQ(records[1].view.dest_service_name, "web");
  EXPECT_EQ(records[1].view.num_flows, 2u);

  AggregateOptions options;
  options.include_services = false;
  make(options);
  ReportedFlow f = flow(2);
  f.service = &service;
  add(f);
  add(flow(1));
  const auto merged = flush();
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_EQ(merged[0].view.dest_service_name, "-");
}

TEST_F(Aggregate, A9_ADenyInAnyTraceSelectsTheDeniedStore) {
  const auto* allow = world_.trace({"0|default|shop/default.web|allow|0"});
  const auto* deny = world_.trace({"0|tier1|shop/tier1.x|pass|0", "1|default|shop/default.web|deny|-1"}, Action::kDeny);
  const auto* old_deny = world_.trace({"0|default|shop/default.old|deny"}, Action::kDeny);
  ReportedFlow staged = with_trace(allow);
  staged.pending = deny;
  const struct {
    const char* name;
    ReportedFlow flow;
    int level;
    const char* action;
  } cases[] = {
      {"no trace", flow(1), 2, "allow"},
      {"no trace, denied", with_trace(nullptr, Action::kDeny), 1, "deny"},
      {"allow", with_trace(allow), 2, "allow"},
      {"deny", with_trace(deny, Action::kDeny), 1, "deny"},
      {"deny without a rule index", with_trace(old_deny, Action::kDeny), 1, "deny"},
      {"allowed, but a staged policy would deny", staged, 1, "allow"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    add(c.flow);
    const auto records = flush();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].view.aggregation_level, c.level);
    EXPECT_EQ(records[0].view.action, c.action);
  }
}

TEST_F(Aggregate, A10_TwoReportsOfOneFlowCountOnceAndSum) {
  add(flow(1, true, false));
  add(flow(1, false, false));
  const auto records = flush();
  expect_counts(records.at(0), 1, 1, 0);
  EXPECT_EQ(records[0].view.packets_in, 4u);
  EXPECT_EQ(records[0].view.bytes_out, 66u);
}

TEST_F(Aggregate, A11_LifeCycleOverThreeWindows) {
  add(flow(1, true, false));
  add(flow(2, true, false));
  expect_counts(flush().at(0), 2, 2, 0);
  add(flow(1, false, false));
  add(flow(2, false, true));
  expect_counts(flush().at(0), 2, 0, 1);
  EXPECT_EQ(aggregator_->keys(), 1u);
  add(flow(1, false, true));
  expect_counts(flush().at(0), 1, 0, 1);
  EXPECT_EQ(aggregator_->keys(), 0u);
  EXPECT_TRUE(flush().empty());
}

TEST_F(Aggregate, A11_AFlowFirstSeenEndingIsNotStarted) {
  add(flow(1, false, true));
  expect_counts(flush().at(0), 1, 0, 1);
  EXPECT_EQ(aggregator_->keys(), 0u);
}

TEST_F(Aggregate, A11_TrailingTrafficIsOneMoreFlowThatNeitherStartsNorEnds) {
  ReportedFlow late = flow(1, false, false);
  late.trailing = true;
  add(late);
  expect_counts(flush().at(0), 1, 0, 0);
  EXPECT_EQ(aggregator_->keys(), 0u);
}

TEST_F(Aggregate, A11_AnOpenFlowWithoutTrafficStillGivesARecord) {
  add(flow(1, true, false));
  flush();
  const auto records = flush();
  expect_counts(records.at(0), 1, 0, 0);
  EXPECT_EQ(records[0].view.packets_in, 0u);
  EXPECT_EQ(records[0].view.bytes_out, 0u);
}

TEST_F(Aggregate, A12_CountersAreOfTheirWindow) {
  for (int window = 0; window < 2; ++window) {
    add(flow(1, window == 0, false));
    const FlowRecord record = flush().at(0).view;
    EXPECT_EQ(record.packets_in, 2u);
    EXPECT_EQ(record.bytes_in, 22u);
    EXPECT_EQ(record.packets_out, 3u);
    EXPECT_EQ(record.bytes_out, 33u);
  }
}

// The reference gives each of n traces a record with the full counters of the key. Here the enforced trace is part of
// the key, so the counters are split: still one record per trace, and their sum is the traffic.
TEST_F(Aggregate, A13_OneRecordPerEnforcedTraceAndNoDoubleCounting) {
  const auto* first = world_.trace({"0|t|2|pass|0", "1|t|3|pass|0", "2|t|4|allow|0"});
  const auto* reordered = world_.trace({"0|t|2|pass|0", "1|t|4|pass|0", "2|t|3|allow|0"});
  const auto* third = world_.trace({"0|t|5|allow|0"});
  const auto* pending_old = world_.trace({"0|t|staged:1|allow|0"});
  const auto* pending = world_.trace({"0|t|staged:1|allow|1"});
  const model::PolicyTrace* order[] = {first, reordered, third, first, reordered};
  for (const auto* enforced : order) {
    ReportedFlow f = with_trace(enforced);
    f.pending = pending_old;
    add(f);
    f = with_trace(enforced);
    f.pending = pending;
    add(f);
  }
  const auto records = flush();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].view.policies.enforced, first);
  EXPECT_EQ(records[1].view.policies.enforced, reordered) << "the order of rules is significant";
  EXPECT_EQ(records[2].view.policies.enforced, third);
  std::uint64_t packets = 0;
  for (const Copy& record : records) {
    EXPECT_EQ(record.view.policies.pending, pending) << "the last one wins";
    packets += record.view.packets_in;
  }
  EXPECT_EQ(packets, 20u);
}

TEST_F(Aggregate, A13_WithoutPoliciesNothingSplitsAndTheFieldIsNull) {
  AggregateOptions options;
  options.include_policies = false;
  make(options);
  for (const char* rule : {"0|t|a|allow|0", "0|t|b|allow|0"}) {
    ReportedFlow f = with_trace(world_.trace({rule}));
    f.pending = f.enforced;
    add(f);
  }
  const auto records = flush();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].view.policies.enforced, nullptr);
  EXPECT_EQ(records[0].view.policies.pending, nullptr);
}

TEST_F(Aggregate, A14_SumsAreEqualAtAllLevels) {
  const auto* deny = world_.trace({"0|t|a|deny|0"}, Action::kDeny);
  const auto* relabelled = world_.pod("shop", "client-a", "client-*", {"app=other"});
  for (int level = 0; level <= 3; ++level) {
    SCOPED_TRACE(level);
    AggregateOptions options;
    options.level_allowed = options.level_denied = level;
    make(options);
    add(flow(1, true, false));
    add(flow(1, false, true));
    add(tcp_flow(relabelled, "10.0.0.1", 1, nginx_, "10.0.1.1", 80));
    add(with_trace(deny, Action::kDeny));
    add(tcp_flow(pub_, "1.1.1.1", 9, nginx_, "10.0.1.1", 80));
    add(tcp_flow(client_, "10.0.0.1", 9, pub_, "1.1.1.1", 443));
    const auto records = flush();
    EXPECT_EQ(records.size(), 4u);
    std::uint64_t packets = 0, bytes = 0, flows = 0;
    for (const Copy& r : records) {
      packets += r.view.packets_in;
      bytes += r.view.bytes_in;
      flows += r.view.num_flows;
    }
    EXPECT_EQ(packets, 12u);
    EXPECT_EQ(bytes, 132u);
    EXPECT_EQ(flows, 5u);
    EXPECT_EQ(records[0].source_labels.value(), std::vector<std::string>{}) << "a pod's new labels do not split it";
  }
}

TEST_F(Aggregate, A16_EmptyAndAbsentLabelsDiffer) {
  add(tcp_flow(pub_, "1.1.1.1", 9, nginx_, "10.0.1.1", 80));
  const auto records = flush();
  ASSERT_TRUE(records.at(0).source_labels.has_value());
  EXPECT_TRUE(records[0].source_labels->empty());
}

TEST_F(Aggregate, A17_NatPorts) {
  using Ports = std::vector<std::uint16_t>;
  const auto add_port = [&](std::uint16_t nat, bool starts, bool ends) {
    ReportedFlow f = flow(1, starts, ends);
    f.nat_port = nat;
    add(f);
  };
  add_port(0, true, false);
  add_port(40001, false, false);
  add_port(0, false, true);
  EXPECT_EQ(flush().at(0).nat_ports, Ports{40001}) << "0 is replaced, and does not overwrite";

  add_port(1, true, true);
  add_port(2, true, false);
  EXPECT_EQ(flush().at(0).nat_ports, (Ports{2, 1})) << "both, while there is room";
  for (const int nat : {3, 4, 5}) add_port(static_cast<std::uint16_t>(nat), true, true);
  add_port(6, true, true);
  add_port(7, true, false);
  EXPECT_EQ(flush().at(0).nat_ports, (Ports{7, 4, 5})) << "an open flow displaces an ended one";
}

TEST_F(Aggregate, A18_OriginalSourcesAreCappedAndCounted) {
  AggregateOptions options;
  options.original_ips_limit = 2;
  make(options);
  const std::vector<IpAddress> seen = {ip("1.0.0.1"), ip("1.0.0.2"), ip("1.0.0.1"), ip("1.0.0.3")};
  ReportedFlow f = flow(1, true, false);
  f.original_source_ips = seen;
  add(f);
  auto records = flush();
  EXPECT_EQ(records.at(0).original_ips, (std::vector<IpAddress>{seen[0], seen[1]}));
  EXPECT_EQ(records[0].view.num_original_source_ips, 3u);
  records = flush();
  EXPECT_TRUE(records.at(0).original_ips.empty()) << "cleared each window";
  EXPECT_EQ(records[0].view.num_original_source_ips, 0u);
}

TEST_F(Aggregate, A19_AddressSetKnowsItsMembers) {
  AddressSet set;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    const IpAddress address = IpAddress::v4(i * 7919);
    EXPECT_FALSE(set.contains(address));
    EXPECT_TRUE(set.add(address));
    EXPECT_FALSE(set.add(address));
  }
  EXPECT_EQ(set.size(), 3000u);
  EXPECT_EQ(set.values()[5], IpAddress::v4(5 * 7919));
  set.clear();
  EXPECT_FALSE(set.contains(IpAddress::v4(0u)));
  EXPECT_TRUE(set.add(IpAddress::v4(0u)));
}

TEST_F(Aggregate, ExternalAddressesSurviveLevels2And3) {
  AggregateOptions options;
  options.external_ips_limit = 2;
  make(options);
  for (const char* to : {"8.8.8.8", "8.8.4.4", "8.8.8.8", "9.9.9.9"}) {
    add(tcp_flow(client_, "10.0.0.1", 1, pub_, to, 443));
  }
  add(flow(1));
  const auto records = flush();
  EXPECT_EQ(records.at(0).dest_external, (std::vector<IpAddress>{ip("8.8.8.8"), ip("8.8.4.4")}));
  EXPECT_EQ(records[0].view.num_dest_external_ips, 3u);
  EXPECT_EQ(records[0].view.num_source_external_ips, 0u);
  EXPECT_TRUE(records.at(1).dest_external.empty());

  options.level_allowed = 1;
  make(options);
  add(tcp_flow(client_, "10.0.0.1", 1, pub_, "8.8.8.8", 443));
  EXPECT_EQ(flush().at(0).view.num_dest_external_ips, 0u) << "level 1 shows the address itself";
}

TEST_F(Aggregate, ExternalAddressesAreHeldWithinTheBudget) {
  AggregateOptions options;
  options.max_addresses = 2;
  make(options);
  for (int window = 0; window < 2; ++window) {
    for (const char* to : {"8.8.8.8", "8.8.4.4", "8.8.8.8", "9.9.9.9"}) {
      add(tcp_flow(client_, "10.0.0.1", 1, pub_, to, 443));
    }
    EXPECT_EQ(flush().at(0).view.num_dest_external_ips, 2u);
  }
  EXPECT_EQ(aggregator_->stats().addresses_not_held, 2u);
}

TEST_F(Aggregate, DomainsAreDistinctAndCapped) {
  AggregateOptions options;
  options.domains_limit = 2;
  make(options);
  const std::vector<std::string_view> names = {"a.example", "b.example", "a.example", "c.example"};
  ReportedFlow f = flow(1);
  f.dest_domains = names;
  add(f);
  EXPECT_EQ(flush().at(0).domains, (std::vector<std::string>{"a.example", "b.example"}));
}

TEST_F(Aggregate, TcpStatisticsAreOverSamples) {
  const model::TcpSample samples[] = {{300, 100, 1400, 2, 0, 30, 10, 5, 2}, {100, 0, 1200, 0, 1, 20}, {}};
  for (const auto& sample : samples) {
    ReportedFlow f = flow(1);
    f.tcp = sample;
    add(f);
  }
  const FlowRecord r = flush().at(0).view;
  EXPECT_EQ(r.tcp_mean_smooth_rtt, 200u);
  EXPECT_EQ(r.tcp_max_smooth_rtt, 300u);
  EXPECT_EQ(r.tcp_mean_min_rtt, 100u);
  EXPECT_EQ(r.tcp_max_min_rtt, 100u);
  EXPECT_EQ(r.tcp_mean_mss, 1300u);
  EXPECT_EQ(r.tcp_min_mss, 1200u);
  EXPECT_EQ(r.tcp_total_retransmissions, 2u);
  EXPECT_EQ(r.tcp_resets, 1u);
  EXPECT_EQ(r.tcp_mean_send_congestion_window, 25u);
  EXPECT_EQ(r.tcp_min_send_congestion_window, 10u);
  EXPECT_EQ(r.tcp_lost_packets, 5u);
  EXPECT_EQ(r.tcp_unrecovered_to, 2u);
}

TEST_F(Aggregate, OutcomesAreCounted) {
  using model::Outcome;
  for (const Outcome outcome :
       {Outcome::kEstablished, Outcome::kRefused, Outcome::kRefused, Outcome::kUnanswered, Outcome::kUnknown}) {
    ReportedFlow f = flow(1);
    f.outcome = outcome;
    add(f);
  }
  const FlowRecord r = flush().at(0).view;
  EXPECT_EQ(r.num_flows_established, 1u);
  EXPECT_EQ(r.num_flows_refused, 2u);
  EXPECT_EQ(r.num_flows_unanswered, 1u);
}

TEST_F(Aggregate, FullOfKeysItWidensThenDropsAndKeepsTheSums) {
  AggregateOptions options;
  options.level_allowed = 0;
  options.max_keys = 16;
  make(options);
  for (std::uint16_t port = 1; port <= 100; ++port) add(flow(port, true, false));
  EXPECT_EQ(aggregator_->keys(), 13u) << "12 of level 0, all others in one of level 1";
  for (std::uint16_t port = 1; port <= 100; ++port) add(flow(port, false, true));
  std::uint64_t flows = 0, started = 0, completed = 0, packets = 0;
  const auto records = flush();
  EXPECT_EQ(records.back().view.aggregation_level, 1);
  for (const Copy& r : records) {
    flows += r.view.num_flows;
    started += r.view.num_flows_started;
    completed += r.view.num_flows_completed;
    packets += r.view.packets_in;
  }
  EXPECT_EQ(flows, 100u);
  EXPECT_EQ(started, 100u);
  EXPECT_EQ(completed, 100u);
  EXPECT_EQ(packets, 400u);
  EXPECT_EQ(aggregator_->keys(), 0u);
  EXPECT_EQ(aggregator_->stats().widened, 176u);
  EXPECT_EQ(aggregator_->stats().dropped, 0u);

  add(flow(1));
  EXPECT_EQ(flush().at(0).view.aggregation_level, 0) << "with room again, nothing is widened";

  options.level_allowed = 3;
  make(options);
  for (int i = 0; i < 20; ++i) {
    add(tcp_flow(world_.pod("shop", "p" + std::to_string(i)), "10.0.0.1", 1, nginx_, "10.0.1.1", 80));
  }
  EXPECT_EQ(aggregator_->stats().dropped, 4u);
}

TEST_F(Aggregate, ExclusionRulesSeeTheWholeReport) {
  AggregateOptions options;
  for (const char* rule :
       {"src.port = 1000 AND src.ip = 10.0.0.0/8 AND dst.label.app = nginx", "policies = *|deny|*"}) {
    options.exclude.push_back(filter::Filter::compile(rule).value());
  }
  make(options);
  add(flow(1000));
  add(flow(1001));
  ReportedFlow denied = flow(1002);
  denied.enforced = world_.trace({"0|t|a|deny|0"}, Action::kDeny);
  add(denied);
  const auto records = flush();
  ASSERT_EQ(records.size(), 1u);
  expect_counts(records[0], 1, 1, 1);
  EXPECT_EQ(aggregator_->stats().excluded, 2u);
  EXPECT_EQ(aggregator_->stats().reports, 3u);
}

TEST_F(Aggregate, RecordsComeInOrderOfFirstAppearance) {
  add(tcp_flow(client_, "10.0.0.1", 1, nginx_, "10.0.1.1", 5));
  ReportedFlow open = tcp_flow(client_, "10.0.0.1", 1, nginx_, "10.0.1.1", 6);
  open.ends = false;
  add(open);
  flush();
  add(tcp_flow(client_, "10.0.0.1", 1, nginx_, "10.0.1.1", 4));
  add(tcp_flow(client_, "10.0.0.1", 1, nginx_, "10.0.1.1", 5));
  std::vector<int> ports;
  for (const Copy& r : flush()) ports.push_back(r.view.dest_port.value());
  EXPECT_EQ(ports, (std::vector<int>{6, 4, 5}));
}

TEST(AggregateOptions, NamesEveryViolatedBound) {
  AggregateOptions options;
  options.level_allowed = 4;
  options.max_keys = 0;
  const auto made = FlowAggregator::create(options);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().message, "aggregate options: level_allowed must be 0 to 3; max_keys must be at least 16");
}

}  // namespace
}  // namespace weir::aggregate
