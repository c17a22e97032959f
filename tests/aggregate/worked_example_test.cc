#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "aggregate/flow_aggregator.h"
#include "aggregate/flow_fixture.h"
#include "flowlog/flow_log.h"

// Four connections at the four levels, against tests/golden/aggregate/worked_example.ndjson. The numbers are those of
// the public documentation of Calico's aggregation levels: 4, 3, 2 and 1 records, with the same sums.

namespace weir {
namespace {

std::string lines_at(int level) {
  aggregate::World world;
  const auto pod = [&](const char* name, const char* name_aggr, const char* label) {
    return world.pod("demo", name, name_aggr, {label, "pod-template-hash=x"});
  };
  const auto* client_a = pod("client-a", "client-*", "app=client");
  const auto* client_b = pod("client-b", "client-*", "app=client");
  const auto* client_c = pod("client-c", "client-*", "app=other");
  const auto* nginx_1 = pod("nginx-1", "nginx-*", "app=nginx");
  const auto* nginx_2 = pod("nginx-2", "nginx-*", "app=nginx");
  const auto* trace = world.trace({"0|default|demo/default.access-nginx|allow|2"});

  aggregate::AggregateOptions options;
  options.level_allowed = level;
  auto aggregator = aggregate::FlowAggregator::create(options).value();
  const auto add = [&](model::ReportedFlow flow, std::uint64_t packets_in, std::uint64_t packets_out) {
    flow.packets_in = packets_in;
    flow.packets_out = packets_out;
    flow.bytes_in = 100 * packets_in;
    flow.bytes_out = 100 * packets_out;
    flow.enforced = flow.pending = trace;
    flow.verdict_source = model::VerdictSource::kComputed;
    flow.outcome = model::Outcome::kEstablished;
    aggregator->add(flow);
  };
  add(aggregate::tcp_flow(client_a, "10.0.0.1", 45556, nginx_1, "10.0.1.1", 80), 1, 2);
  add(aggregate::tcp_flow(client_b, "10.0.0.2", 45666, nginx_2, "10.0.1.2", 80), 2, 2);
  add(aggregate::tcp_flow(client_a, "10.0.0.1", 65533, nginx_1, "10.0.1.1", 80), 1, 3);
  add(aggregate::tcp_flow(client_c, "10.0.0.3", 65534, nginx_2, "10.0.1.2", 8080), 3, 4);

  std::string lines;
  flowlog::FlowLogWriter writer;
  aggregator->flush(1597166083, 1597166383, [&](const model::FlowRecord& record) { writer.append(record, lines); });
  return lines;
}

TEST(WorkedExample, FourConnectionsAreFourThreeTwoAndOneLines) {
  std::string lines;
  for (int level = 0; level <= 3; ++level) {
    const std::string at_level = lines_at(level);
    EXPECT_EQ(std::count(at_level.begin(), at_level.end(), '\n'), 4 - level);
    lines += at_level;
  }
  const std::string path = std::string(WEIR_SOURCE_DIR) + "/tests/golden/aggregate/worked_example.ndjson";
  if (std::getenv("WEIR_GOLDEN") != nullptr) std::ofstream(path) << lines;
  std::ifstream file(path);
  const std::string want{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(lines, want);
}

}  // namespace
}  // namespace weir
