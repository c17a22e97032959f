#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "aggregate/flow_aggregator.h"
#include "aggregate/flow_fixture.h"

// One report into one of 60,000 keys of level 2, uniform and Zipf (s = 1), against std::unordered_map over the same
// key, hash and entry with the same counting. Both are fed by the same loop, whose own cost is BM_Feed. The sums must
// agree.

namespace weir::aggregate {
namespace {

using model::ReportedFlow;

constexpr std::size_t kKeys = 60'000, kSequence = 1 << 20, kFeed = 256;

/// Makes batches of reports over kKeys keys; the memory of a batch is reused, as a sender's would be.
class Feed {
 public:
  explicit Feed(bool zipf, bool processes = false) : processes_(processes) {
    for (int i = 0; i < 245; ++i) {
      const std::string n = std::to_string(i);
      clients_.push_back(world_.pod("shop", "client-" + n + "-abcde", "client-" + n + "-*", {"app=client", "n=" + n}));
      servers_.push_back(world_.pod("shop", "server-" + n + "-abcde", "server-" + n + "-*", {"app=server", "n=" + n}));
    }
    for (char c = 'a'; c < 'a' + 16; ++c) names_.push_back({c, 'y', 't', 'h', 'o', 'n', '3'});
    trace_ = world_.trace({"0|default|shop/default.allow|allow|0"});
    std::mt19937 random(3);
    if (zipf) {
      std::vector<double> weights(kKeys);
      for (std::size_t i = 0; i < kKeys; ++i) weights[i] = 1.0 / static_cast<double>(i + 1);
      std::discrete_distribution<std::uint32_t> pick(weights.begin(), weights.end());
      std::vector<std::uint32_t> shuffled(kKeys);
      std::iota(shuffled.begin(), shuffled.end(), 0u);
      std::shuffle(shuffled.begin(), shuffled.end(), random);
      for (std::size_t i = 0; i < kSequence; ++i) sequence_.push_back(shuffled[pick(random)]);
    } else {
      for (std::size_t i = 0; i < kSequence; ++i) sequence_.push_back(static_cast<std::uint32_t>(random() % kKeys));
    }
    batch_.assign(kFeed, tcp_flow(clients_[0], "10.0.0.1", 40000, servers_[0], "10.0.1.1", 80));
    for (ReportedFlow& flow : batch_) {
      flow.enforced = flow.pending = trace_;
      flow.outcome = model::Outcome::kEstablished;
      flow.tcp = {300, 100, 1400, 0, 0};
    }
  }

  std::span<const ReportedFlow> next() {
    for (ReportedFlow& flow : batch_) {
      const std::uint32_t key = sequence_[at_++ % kSequence];
      flow.source = clients_[key % 245];
      flow.dest = servers_[key / 245];
      flow.tuple.source_port = static_cast<std::uint16_t>(at_);
      flow.packets_in = key & 15;
      flow.bytes_in = key;
      if (processes_) {
        flow.process_id = 1 + key % 245;
        flow.process_name = names_[key % 16];
      }
    }
    return batch_;
  }

 private:
  World world_;
  std::vector<const model::Endpoint*> clients_, servers_;
  const model::PolicyTrace* trace_ = nullptr;
  std::vector<std::uint32_t> sequence_;
  std::vector<ReportedFlow> batch_;
  std::size_t at_ = 0;
  bool processes_ = false;
  std::vector<model::ProcessName> names_;
};

/// What one would write first: the same key and counters in a std::unordered_map.
class MapAggregator {
 public:
  void add(std::span<const ReportedFlow> flows) {
    for (const ReportedFlow& flow : flows) add(flow);
  }
  std::uint64_t bytes_in() const {
    std::uint64_t sum = 0;
    for (const auto& [key, value] : entries_) sum += value.entry.bytes_in;
    return sum;
  }

 private:
  struct Hash {
    std::size_t operator()(const FlowKey& key) const { return hash_key(key, {}); }
  };
  struct Value {
    FlowEntry entry;
    TcpTotals tcp;
  };

  void add(const ReportedFlow& flow) {
    KeyScalars scalars{0,           flow.tuple.dest_port, flow.tuple.protocol, flow.reporter,
                       flow.action, flow.verdict_source,  Level::kGroups,      flow.action == model::Action::kDeny};
    const FlowKey key{reinterpret_cast<std::uintptr_t>(flow.source->group),
                      reinterpret_cast<std::uintptr_t>(flow.dest->group), flow.enforced, 0, scalars.pack()};
    Value& value = entries_[key];
    FlowEntry& entry = value.entry;
    if (entry.source_labels != flow.source->labels) entry.source_labels = flow.source->labels;
    if (entry.dest_labels != flow.dest->labels) entry.dest_labels = flow.dest->labels;
    entry.pending = flow.pending;
    entry.started += flow.starts ? 1 : 0;
    entry.flows += flow.starts ? 1 : 0;
    entry.completed += flow.ends ? 1 : 0;
    if (flow.outcome != model::Outcome::kUnknown) ++entry.outcomes[static_cast<std::size_t>(flow.outcome) - 1];
    entry.packets_in += flow.packets_in;
    entry.packets_out += flow.packets_out;
    entry.bytes_in += flow.bytes_in;
    entry.bytes_out += flow.bytes_out;
    value.tcp.smooth_rtt_sum += flow.tcp.smooth_rtt_us;
    value.tcp.smooth_rtt_max = std::max(value.tcp.smooth_rtt_max, flow.tcp.smooth_rtt_us);
    ++value.tcp.smooth_rtt_samples;
    value.tcp.min_rtt_sum += flow.tcp.min_rtt_us;
    value.tcp.min_rtt_max = std::max(value.tcp.min_rtt_max, flow.tcp.min_rtt_us);
    ++value.tcp.min_rtt_samples;
    value.tcp.mss_sum += flow.tcp.mss;
    value.tcp.mss_min = std::min(value.tcp.mss_min, flow.tcp.mss);
    ++value.tcp.mss_samples;
  }

  std::unordered_map<FlowKey, Value, Hash> entries_;
};

template <typename Add>
void run(benchmark::State& state, Feed& feed, Add&& add) {
  for (std::size_t i = 0; i < kSequence; i += kFeed) add(feed.next());  // all keys exist
  for (auto _ : state) add(feed.next());
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFeed));
}

void BM_Feed(benchmark::State& state) {
  Feed feed(state.range(0) != 0);
  run(state, feed, [](std::span<const ReportedFlow> flows) { benchmark::DoNotOptimize(flows.data()); });
}

void BM_UnorderedMap(benchmark::State& state) {
  Feed feed(state.range(0) != 0);
  MapAggregator map;
  run(state, feed, [&](std::span<const ReportedFlow> flows) { map.add(flows); });
}

void BM_Aggregator(benchmark::State& state) {
  Feed feed(state.range(0) != 0);
  auto aggregator = FlowAggregator::create({}).value();
  run(state, feed, [&](std::span<const ReportedFlow> flows) { aggregator->add(flows); });
}

/// The same keys, each with a process.
void BM_AggregatorProcesses(benchmark::State& state) {
  Feed feed(state.range(0) != 0, true);
  auto aggregator = FlowAggregator::create({}).value();
  run(state, feed, [&](std::span<const ReportedFlow> flows) { aggregator->add(flows); });
}

void BM_AggregatorOneByOne(benchmark::State& state) {
  Feed feed(state.range(0) != 0);
  auto aggregator = FlowAggregator::create({}).value();
  run(state, feed, [&](std::span<const ReportedFlow> flows) {
    for (const ReportedFlow& flow : flows) aggregator->add(flow);
  });
}

/// A window of 200,000 reports and its flush, per report.
void BM_Window(benchmark::State& state) {
  Feed feed(state.range(0) != 0), same(state.range(0) != 0);
  auto aggregator = FlowAggregator::create({}).value();
  MapAggregator map;
  constexpr std::size_t kReports = 200'000 / kFeed * kFeed;
  std::uint64_t bytes = 0;
  const auto window = [&] {
    for (std::size_t i = 0; i < kReports; i += kFeed) aggregator->add(feed.next());
    bytes = 0;
    aggregator->flush(0, 300, [&](const model::FlowRecord& record) { bytes += record.bytes_in; });
  };
  window();
  for (std::size_t i = 0; i < kReports; i += kFeed) map.add(same.next());
  if (bytes != map.bytes_in()) return state.SkipWithError("the sums differ");
  for (auto _ : state) window();
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kReports));
}

BENCHMARK(BM_Feed)->ArgName("zipf")->Arg(0)->Arg(1);
BENCHMARK(BM_UnorderedMap)->ArgName("zipf")->Arg(0)->Arg(1);
BENCHMARK(BM_Aggregator)->ArgName("zipf")->Arg(0)->Arg(1);
BENCHMARK(BM_AggregatorProcesses)->ArgName("zipf")->Arg(0)->Arg(1);
BENCHMARK(BM_AggregatorOneByOne)->ArgName("zipf")->Arg(0)->Arg(1);
BENCHMARK(BM_Window)->ArgName("zipf")->Arg(0)->Arg(1);

}  // namespace
}  // namespace weir::aggregate
