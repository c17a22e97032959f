#include "aggregate/flow_oracle.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <vector>

#include "aggregate/flow_aggregator.h"
#include "aggregate/flow_fixture.h"

namespace weir::aggregate {
namespace {

using model::ReportedFlow;

/// Random connections over a few endpoints: some last over windows, some are only seen ending or trailing.
class RandomFlows {
 public:
  explicit RandomFlows(std::uint64_t seed) : random_(seed) {
    for (int i = 0; i < 12; ++i) {
      const std::string n = std::to_string(i);
      std::vector<std::string> pairs{"app=" + std::to_string(i % 3), "projectcalico.org/n=" + n, "team=a"};
      if (i % 5 == 0) pairs.clear();
      // Two objects of one name: the pod before and after its labels changed.
      const std::string name = "pod-" + std::to_string(i / 2);
      endpoints_.push_back(world_.pod("ns" + std::to_string(i / 6), name, "pod-*", pairs));
    }
    endpoints_.push_back(world_.net("pub"));
    endpoints_.push_back(world_.net("pvt"));
    for (const char* verdict : {"allow", "deny"}) {
      for (const char* policy : {"a", "b"}) {
        traces_.push_back(world_.trace({std::string("0|default|") + policy + "|" + verdict + "|0"}));
      }
    }
    services_ = {{"ns0", "web", "http", 80}, {"ns0", "web", "https", 443}, {"ns1", "db", "-", 5432}};
  }

  ReportedFlow next() {
    if (!open_.empty() && pick(3) == 0) {
      const std::size_t which = pick(open_.size());
      ReportedFlow flow = open_[which];
      traffic(flow);
      flow.starts = false;
      flow.ends = pick(2) == 0;
      if (flow.ends) open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(which));
      return flow;
    }
    ReportedFlow flow = connection();
    const std::size_t kind = pick(10);
    flow.starts = kind > 1;
    flow.trailing = kind == 0;
    flow.ends = !flow.trailing && (kind < 7);
    if (!flow.ends && !flow.trailing) open_.push_back(flow);
    return flow;
  }

 private:
  ReportedFlow connection() {
    ReportedFlow flow;
    const std::size_t source = pick(endpoints_.size()), dest = pick(endpoints_.size());
    flow.source = endpoints_[source];
    flow.dest = endpoints_[dest];
    flow.tuple.source = address(source);
    flow.tuple.dest = address(dest);
    flow.tuple.source_port = static_cast<std::uint16_t>(1000 + pick(3));
    flow.tuple.dest_port = static_cast<std::uint16_t>(80 + pick(2));
    flow.tuple.protocol = pick(2) == 0 ? model::kProtoTcp : model::kProtoUdp;
    flow.reporter = pick(2) == 0 ? model::Reporter::kSource : model::Reporter::kDest;
    if (pick(3) != 0) flow.enforced = traces_[pick(traces_.size())];
    if (pick(3) != 0) flow.pending = traces_[pick(traces_.size())];
    if (pick(3) == 0) flow.service = &services_[pick(services_.size())];
    flow.action = pick(5) == 0 ? model::Action::kDeny : model::Action::kAllow;
    if (pick(3) != 0) {
      const std::size_t name = pick(4);
      flow.process_name[0] = static_cast<char>('a' + name);
      flow.process_id = static_cast<std::uint32_t>(100 * (name + 1) + pick(3));
    }
    traffic(flow);
    return flow;
  }
  void traffic(ReportedFlow& flow) {
    flow.packets_in = pick(10);
    flow.packets_out = pick(10);
    flow.bytes_in = pick(10'000);
    flow.bytes_out = pick(10'000);
    flow.tcp.smooth_rtt_us = static_cast<std::uint32_t>(pick(3) * 100);
    flow.outcome = pick(4) == 0 ? model::Outcome::kRefused : model::Outcome::kUnknown;
  }
  IpAddress address(std::size_t endpoint) {
    const std::size_t host = endpoint < 12 ? endpoint / 2 : 100 + endpoint * 100 + pick(30);
    return IpAddress::v4(0x0A000000u + static_cast<std::uint32_t>(host));
  }
  std::size_t pick(std::size_t n) { return random_() % n; }

  std::mt19937_64 random_;
  World world_;
  std::vector<const model::Endpoint*> endpoints_;
  std::vector<const model::PolicyTrace*> traces_;
  std::deque<model::ServiceRef> services_;
  std::vector<ReportedFlow> open_;
};

OracleRecord simplify(const model::FlowRecord& r) {
  OracleRecord record;
  record.key = FlowOracle::key_text(r);
  record.flows = r.num_flows;
  record.started = r.num_flows_started;
  record.completed = r.num_flows_completed;
  record.refused = r.num_flows_refused;
  record.packets_in = r.packets_in;
  record.packets_out = r.packets_out;
  record.bytes_in = r.bytes_in;
  record.bytes_out = r.bytes_out;
  record.source_labels = {r.source_labels->pairs.begin(), r.source_labels->pairs.end()};
  record.dest_labels = {r.dest_labels->pairs.begin(), r.dest_labels->pairs.end()};
  for (const IpAddress& address : r.source_external_ips) record.external.insert("src " + address.to_string());
  for (const IpAddress& address : r.dest_external_ips) record.external.insert("dst " + address.to_string());
  record.process_id = r.process_id;
  record.process_names = r.num_process_names;
  record.process_ids = r.num_process_ids;
  record.rtt_mean = r.tcp_mean_smooth_rtt;
  record.pending = r.policies.pending;
  return record;
}

struct Sums {
  std::uint64_t packets = 0, bytes = 0, started = 0, completed = 0;
  friend bool operator==(const Sums&, const Sums&) = default;
};

TEST(AggregateOracle, AgreesWindowByWindowAtAllLevelsAndSumsAreTheSame) {
  std::size_t nameless = 0;
  for (std::uint64_t seed = 0; seed <= 3; ++seed) {
    std::optional<Sums> first_sums;
    for (int level = 0; level <= 3; ++level) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " level " + std::to_string(level));
      AggregateOptions options;
      options.level_allowed = level;
      options.level_denied = level == 2 ? 1 : level;
      options.process_limit = static_cast<std::uint32_t>(seed);
      options.include_processes = level != 2 || seed != 1;
      auto aggregator = FlowAggregator::create(options).value();
      FlowOracle oracle(options);
      RandomFlows random(seed);
      Sums sums;
      for (int window = 0; window < 5; ++window) {
        std::vector<ReportedFlow> flows;
        for (int i = 0; i < 400; ++i) flows.push_back(random.next());
        for (const ReportedFlow& flow : flows) oracle.add(flow);
        aggregator->add(flows);
        std::vector<OracleRecord> records;
        aggregator->flush(0, 300, [&](const model::FlowRecord& r) {
          nameless += r.process_name == "*" && r.num_process_names > 1 ? 1 : 0;
          records.push_back(simplify(r));
          sums.packets += r.packets_in + r.packets_out;
          sums.bytes += r.bytes_in + r.bytes_out;
          sums.started += r.num_flows_started;
          sums.completed += r.num_flows_completed;
        });
        const std::vector<OracleRecord> want = oracle.flush();
        ASSERT_EQ(records.size(), want.size());
        for (std::size_t i = 0; i < want.size(); ++i) {
          ASSERT_EQ(records[i].key, want[i].key) << i;
          ASSERT_EQ(records[i], want[i]) << want[i].key;
        }
      }
      EXPECT_EQ(sums, first_sums.value_or(sums));
      first_sums = sums;
    }
  }
  EXPECT_GT(nameless, 100u);
}

}  // namespace
}  // namespace weir::aggregate
