// Processes in the flow aggregator: which record has which name.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "aggregate/flow_aggregator.h"
#include "aggregate/flow_fixture.h"

namespace weir::aggregate {
namespace {

using model::FlowRecord;
using model::ReportedFlow;

model::ProcessName comm(std::string_view text) {
  model::ProcessName name{};
  std::memcpy(name.data(), text.data(), std::min(text.size(), name.size()));
  return name;
}

struct Row {
  std::string name, id;
  std::uint64_t names = 0, ids = 0, flows = 0, started = 0, completed = 0, bytes_out = 0;

  friend bool operator==(const Row&, const Row&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Row& row) {
    return out << row.name << " " << row.id << " names " << row.names << " ids " << row.ids << " flows " << row.flows
               << "/" << row.started << "/" << row.completed << " bytes " << row.bytes_out;
  }
};

class Processes : public ::testing::Test {
 protected:
  void SetUp() override { make({}); }
  void make(AggregateOptions options) { aggregator_ = FlowAggregator::create(std::move(options)).value(); }

  /// A whole connection of 33 bytes out, from client-1 to nginx-1:80.
  ReportedFlow flow(std::string_view name, std::uint32_t id, bool starts = true, bool ends = true) {
    ReportedFlow f = tcp_flow(client_, "10.0.0.1", 1000, nginx_, "10.0.1.1", 80);
    f.process_id = id;
    f.process_name = comm(name);
    f.starts = starts;
    f.ends = ends;
    return f;
  }
  void add(const ReportedFlow& flow) { aggregator_->add(flow); }
  std::vector<Row> flush() {
    std::vector<Row> rows;
    aggregator_->flush(100, 400, [&](const FlowRecord& r) {
      EXPECT_EQ(r.num_process_args, 0u);
      EXPECT_TRUE(r.process_args.empty());
      rows.push_back({std::string(r.process_name), std::string(r.process_id), r.num_process_names, r.num_process_ids,
                      r.num_flows, r.num_flows_started, r.num_flows_completed, r.bytes_out});
    });
    return rows;
  }

  World world_;
  const model::Endpoint* client_ = world_.pod("shop", "client-1", "client-*", {"app=client", "tier=web"});
  const model::Endpoint* nginx_ = world_.pod("shop", "nginx-1", "nginx-*");
  std::unique_ptr<FlowAggregator> aggregator_;
};

using Rows = std::vector<Row>;

TEST_F(Processes, NamesSplitRecordsAtAllLevelsAndIdsDoNot) {
  for (int level = 0; level <= 3; ++level) {
    SCOPED_TRACE(level);
    AggregateOptions options;
    options.level_allowed = level;
    make(options);
    for (const ReportedFlow& f : {flow("curl", 7), flow("nginx", 8), flow("curl", 9), flow("curl", 7), flow("", 0)}) {
      add(f);
    }
    EXPECT_EQ(
        flush(),
        (Rows{{"curl", "*", 1, 2, 3, 3, 3, 99}, {"nginx", "8", 1, 1, 1, 1, 1, 33}, {"-", "-", 0, 0, 1, 1, 1, 33}}));
    EXPECT_TRUE(flush().empty());
  }
}

TEST_F(Processes, NamesBeyondTheLimitAreOneRecordAndSumsStay) {
  for (const std::uint32_t limit : {0u, 1u, 2u, 3u, 5u, 9u}) {
    SCOPED_TRACE(limit);
    AggregateOptions options;
    options.process_limit = limit;
    make(options);
    const std::vector<std::string> names{"a", "b", "c", "d", "e"};
    for (std::uint32_t round = 0; round < 3; ++round) {
      for (std::uint32_t i = 0; i < names.size(); ++i) add(flow(names[i], 10 + i));
    }
    Rows wanted;
    const std::uint32_t own = std::min<std::uint32_t>(limit, 5);
    for (std::uint32_t i = 0; i < own; ++i) wanted.push_back({names[i], std::to_string(10 + i), 1, 1, 3, 3, 3, 99});
    const std::uint64_t rest = 5 - own;
    if (rest != 0) wanted.push_back({"*", rest == 1 ? "14" : "*", rest, rest, 3 * rest, 3 * rest, 3 * rest, 99 * rest});
    EXPECT_EQ(flush(), wanted);
    EXPECT_EQ(aggregator_->stats().records, wanted.size());
    EXPECT_EQ(aggregator_->stats().widened, 0u);
  }
}

TEST_F(Processes, TheLimitIsOfEachKey) {
  for (const char* name : {"a", "b", "c"}) {
    ReportedFlow other = flow(name, 1);
    other.tuple.dest_port = 81;
    add(flow(name, 1));
    add(other);
  }
  Rows rows = flush();
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const Row& r) { return r.name == "*" && r.flows == 1; }), 2);
}

TEST_F(Processes, WhoIsMergedStaysOpenUnderItsNameUntilItEnds) {
  add(flow("a", 1, true, false));
  add(flow("b", 2));
  add(flow("c", 3, true, false));
  add(flow("d", 4, true, false));
  EXPECT_EQ(flush(),
            (Rows{{"a", "1", 1, 1, 1, 1, 0, 33}, {"b", "2", 1, 1, 1, 1, 1, 33}, {"*", "*", 2, 2, 2, 2, 0, 66}}));
  // b is gone: c moves up, is still open, and does not start again.
  add(flow("d", 4, false, true));
  EXPECT_EQ(flush(), (Rows{{"a", "1", 1, 1, 1, 0, 0, 0}, {"c", "3", 1, 1, 1, 0, 0, 0}, {"*", "4", 1, 1, 1, 0, 1, 33}}));
  add(flow("c", 3, false, true));
  add(flow("a", 1, false, true));
  EXPECT_EQ(flush(), (Rows{{"a", "1", 1, 1, 1, 0, 1, 33}, {"c", "3", 1, 1, 1, 0, 1, 33}}));
  EXPECT_EQ(aggregator_->keys(), 0u);
}

TEST_F(Processes, IdsAreOfTheirWindow) {
  add(flow("a", 1, true, false));
  add(flow("a", 2));
  EXPECT_EQ(flush(), (Rows{{"a", "*", 1, 2, 2, 2, 1, 66}}));
  EXPECT_EQ(flush(), (Rows{{"a", "*", 1, 2, 1, 0, 0, 0}})) << "an idle open flow keeps what was last known";
  add(flow("a", 1, false, false));
  EXPECT_EQ(flush(), (Rows{{"a", "1", 1, 1, 1, 0, 0, 33}}));
}

TEST_F(Processes, ManyIdsAreCountedWithinTheBudget) {
  for (const std::uint32_t budget : {1'000'000u, 100u, 0u}) {
    SCOPED_TRACE(budget);
    AggregateOptions options;
    options.max_addresses = budget;
    make(options);
    for (std::uint32_t i = 0; i < 1000; ++i) add(flow("sh", 1 + i % 500));
    const std::uint64_t told = std::max(2u, std::min(500u, budget));
    EXPECT_EQ(flush(), (Rows{{"sh", "*", 1, told, 1000, 1000, 1000, 33'000}}));
    EXPECT_EQ(aggregator_->stats().addresses_not_held > 0, budget < 500);
    // What was held is free again.
    add(flow("sh", 1));
    EXPECT_EQ(flush(), (Rows{{"sh", "1", 1, 1, 1, 1, 1, 33}}));
  }
}

TEST_F(Processes, NotCollectedTheyNeitherSplitNorShow) {
  AggregateOptions options;
  options.include_processes = false;
  options.exclude.push_back(filter::Filter::compile("process_name = curl").value());
  make(options);
  add(flow("curl", 1));
  add(flow("nginx", 2));
  EXPECT_EQ(flush(), (Rows{{"-", "-", 0, 0, 2, 2, 2, 66}}));
}

TEST_F(Processes, ExclusionRulesSeeThem) {
  AggregateOptions options;
  options.exclude.push_back(filter::Filter::compile("process_name = curl and process_id = 1").value());
  make(options);
  add(flow("curl", 1));
  add(flow("curl", 2));
  EXPECT_EQ(flush(), (Rows{{"curl", "2", 1, 1, 1, 1, 1, 33}}));
}

TEST_F(Processes, ANameIsUpToSixteenBytesAndMayBeEmpty) {
  add(flow("0123456789abcdef", 1));
  add(flow("", 2));
  EXPECT_EQ(flush(), (Rows{{"0123456789abcdef", "1", 1, 1, 1, 1, 1, 33}, {"-", "2", 1, 1, 1, 1, 1, 33}}));
}

TEST_F(Processes, OneRecordOfTheRestHasWhatAllOfThemHave) {
  AggregateOptions options;
  options.process_limit = 0;
  make(options);
  const model::Endpoint* sibling = world_.pod("shop", "client-2", "client-*", {"app=client", "tier=db"});
  const model::Endpoint* pub = world_.net("pub");
  for (std::uint32_t i = 0; i < 4; ++i) {
    ReportedFlow f = flow(std::string(1, static_cast<char>('a' + i)), 7);
    if (i == 3) f.source = sibling;
    f.dest = pub;
    f.tuple.dest = ip("198.51.100." + std::to_string(i / 2));
    f.tcp.smooth_rtt_us = 100 * (i + 1);
    f.tcp.mss = static_cast<std::uint16_t>(1400 - i);
    f.tcp.congestion_window = 10 - i;
    f.nat_port = static_cast<std::uint16_t>(5000 + i);
    f.outcome = model::Outcome::kEstablished;
    const std::string_view domain = "www.example.org";
    f.dest_domains = {&domain, 1};
    add(f);
  }
  std::size_t records = 0;
  aggregator_->flush(0, 300, [&](const FlowRecord& r) {
    ++records;
    EXPECT_EQ(r.process_name, "*");
    EXPECT_EQ(r.process_id, "7");
    EXPECT_EQ(r.num_process_names, 4u);
    EXPECT_EQ(r.source_labels->pairs, std::vector<std::string>{"app=client"});
    EXPECT_EQ(r.num_dest_external_ips, 2u);
    EXPECT_EQ(r.dest_external_ips.size(), 2u);
    EXPECT_EQ(r.dest_domains.size(), 1u);
    EXPECT_EQ(r.nat_outgoing_ports.size(), 3u);
    EXPECT_EQ(r.tcp_mean_smooth_rtt, 250u);
    EXPECT_EQ(r.tcp_max_smooth_rtt, 400u);
    EXPECT_EQ(r.tcp_min_mss, 1397u);
    EXPECT_EQ(r.tcp_min_send_congestion_window, 7u);
    EXPECT_EQ(r.num_flows_established, 4u);
    EXPECT_EQ(r.packets_in, 8u);
  });
  EXPECT_EQ(records, 1u);
}

TEST_F(Processes, WithoutRoomForKeysTheNameGoesFirst) {
  AggregateOptions options;
  options.max_keys = 64;
  make(options);
  for (std::uint32_t i = 0; i < 200; ++i) add(flow("n" + std::to_string(i), 1 + i, true, i % 2 == 0));
  EXPECT_LE(aggregator_->keys(), 64u * 3 / 4 + 1);
  EXPECT_EQ(aggregator_->stats().dropped, 0u);
  EXPECT_EQ(aggregator_->stats().widened, 200u - 48u);
  Rows rows = flush();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].flows + rows[1].flows + rows[2].flows, 200u);
  EXPECT_EQ(rows[2].name, "*");
  // What started without its name ends without it, and nothing is left.
  for (std::uint32_t i = 1; i < 200; i += 2) add(flow("n" + std::to_string(i), 1 + i, false, true));
  std::uint64_t completed = 0, started = 0;
  for (const Row& row : flush()) {
    completed += row.completed;
    started += row.started;
  }
  EXPECT_EQ(completed, 100u);
  EXPECT_EQ(started, 0u);
  EXPECT_EQ(aggregator_->keys(), 0u);
}

TEST_F(Processes, AtTheWidestLevelTooManyNamesDropNothing) {
  AggregateOptions options;
  options.level_allowed = 3;
  options.max_keys = 16;
  make(options);
  for (std::uint32_t i = 0; i < 100; ++i) add(flow("n" + std::to_string(i), 1));
  EXPECT_EQ(aggregator_->stats().dropped, 0u);
  EXPECT_EQ(aggregator_->keys(), 13u);
}

TEST_F(Processes, AnyNumberOfNamesOverTimeAndWhatEndsLateEndsUnderItsOwn) {
  std::uint32_t id = 0;
  add(flow("stays", 1, true, false));
  std::uint64_t completed = 0;
  for (int window = 0; window < 4; ++window) {
    for (std::size_t i = 0; i < ProcessNames::kMaxNames / 2; ++i) {
      ++id;
      add(flow("p" + std::to_string(id), id));
    }
    for (const Row& row : flush()) completed += row.completed;
  }
  EXPECT_EQ(completed, 2 * ProcessNames::kMaxNames);
  EXPECT_EQ(aggregator_->stats().widened, 0u);
  add(flow("stays", 1, false, true));
  EXPECT_EQ(flush(), (Rows{{"stays", "1", 1, 1, 1, 0, 1, 33}}));
  EXPECT_EQ(aggregator_->keys(), 0u);
}

TEST_F(Processes, NamesThatHaveNoRoomAreNotToldApartAndEndWhereTheyStarted) {
  for (std::size_t i = 0; i < ProcessNames::kMaxNames; ++i) add(flow("p" + std::to_string(i), 1));
  add(flow("late", 2, true, false));
  add(flow("later", 3));
  EXPECT_EQ(aggregator_->stats().widened, 2u);
  Rows rows = flush();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2].flows, ProcessNames::kMaxNames);
  // Now there is room for the name, but its flow is open without it.
  add(flow("late", 2, false, true));
  EXPECT_EQ(flush(), (Rows{{"*", "2", 1, 1, 1, 0, 1, 33}}));
  EXPECT_EQ(aggregator_->keys(), 0u);
  add(flow("late", 2));
  EXPECT_EQ(flush(), (Rows{{"late", "2", 1, 1, 1, 1, 1, 33}}));
}

TEST(ProcessNames, GivesFreedNumbersAgain) {
  ProcessNames names;
  EXPECT_EQ(names.text(ProcessNames::kNone), "-");
  EXPECT_EQ(names.text(ProcessNames::kSeveral), "*");
  const ProcessNames::Id a = names.intern(comm("a")), b = names.intern(comm("b"));
  EXPECT_NE(a, b);
  EXPECT_EQ(names.intern(comm("a")), a);
  std::vector<bool> used(names.end());
  used[b] = true;
  names.sweep(used);
  EXPECT_EQ(names.size(), 1u);
  EXPECT_EQ(names.intern(comm("c")), a);
  EXPECT_EQ(names.text(a), "c");
  EXPECT_EQ(names.text(b), "b");
}

}  // namespace
}  // namespace weir::aggregate
