#include "app/agent_endpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "app/agent_metrics.h"
#include "app/agent_status.h"
#include "app/commands.h"

namespace weir::app {
namespace {

AgentState state_of_an_agent() {
  AgentState state;
  state.node = "node-1";
  state.kernel = "Linux 6.1";
  state.started_ns = 1'000'000'000'000;
  state.now_ns = 1'090'000'000'000;
  state.choices = {{"ebpf", true, "connections"}, {"conntrack", false, "not needed"}, {"nflog", true, "verdicts"}};
  state.totals.sources = {{"ebpf", 7, 3, {{"map_full_packets", 2}, {"dns_ring_full", 0}}}, {"nflog", 5, 5, {}}};
  state.totals.feed.open = 11;
  state.totals.feed.dropped = {{"evicted", 1}};
  state.totals.node.collect.connections = 20;
  state.totals.node.collect.denied_connections = 4;
  state.totals.node.windows = 6;
  state.interfaces = 3;
  state.cluster.source = "manifests";
  state.cluster.configured = state.cluster.synced = true;
  state.cluster.pods = 12;
  state.cost = {1.5, 0.5, 42'000'000};
  state.interval_ns = 300'000'000'000;
  state.capabilities = running_capabilities({"ebpf", "nflog"});
  return state;
}

std::set<std::string> words_after(const std::string& text, const std::string& mark) {
  std::set<std::string> words;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(mark)) continue;
    line.erase(0, mark.size());
    words.insert(line.substr(0, line.find_first_of(" `")));
  }
  return words;
}

TEST(AgentMetrics, ThePageIsThatOfTheTable) {
  const std::string path = std::string(WEIR_SOURCE_DIR) + "/docs/metrics.md";
  if (std::getenv("WEIR_GOLDEN") != nullptr) std::ofstream(path) << metrics_markdown();
  std::ifstream file(path);
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(page, metrics_markdown()) << "run app_test with WEIR_GOLDEN=write and review the difference";
}

TEST(AgentMetrics, EachRowIsServedAndCountersEndInTotal) {
  metrics::Registry registry;
  AgentState state = state_of_an_agent();
  publish_metrics(state, registry);
  publish_metrics(state, registry);  // again changes nothing
  const std::string text = registry.text();
  EXPECT_NE(text.find("weir_agent_source_lost_total{source=\"ebpf\",reason=\"map_full_packets\"} 2\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("weir_agent_flows_dropped_total{reason=\"evicted\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("weir_agent_cpu_seconds_total{mode=\"user\"} 1.5\n"), std::string::npos);
  const std::set<std::string> served = words_after(text, "# TYPE ");
  std::set<std::string> documented = words_after(metrics_markdown(), "| `");
  // Without a log there is nothing to tell of logs, and without destinations nothing of shipping.
  std::erase_if(documented, [](const std::string& name) {
    return name.starts_with("weir_agent_log_") || name.starts_with("weir_ship_");
  });
  EXPECT_EQ(served, documented);
  for (const std::string& name : served) {
    const bool counter = text.find("# TYPE " + name + " counter") != std::string::npos;
    EXPECT_EQ(counter, name.ends_with("_total")) << name;
  }
}

TEST(AgentStatus, APersonSeesSourcesLossesAndCost) {
  const Result<std::string> text = status_text(status_json(state_of_an_agent(), 2.04));
  ASSERT_TRUE(text.ok()) << text.error().message;
  for (const char* want : {
           "node         node-1, weir ",
           "running      1m30s\n",
           "source       ebpf: connections, 7 events, 3 packets\n",
           "             not conntrack: not needed\n",
           "lost         ebpf map_full_packets 2, after the sources evicted 1\n",
           "connections  11 open, 20 seen, 4 denied, at 3 interfaces\n",
           "cluster      manifests: 12 pods, 0 namespaces, 0 network policies\n",
           "window       5m, 6 closed, 0 keys now\n",
           "cost         2.0 % of a core lately, 2.0 s of CPU in all, 42.0MB of memory\n",
           "privileges   NET_ADMIN, BPF\n",
       }) {
    EXPECT_NE(text.value().find(want), std::string::npos) << want << "in\n" << text.value();
  }
}

TEST(AgentStatus, AnotherAnswerIsAnError) {
  for (const char* bad : {"", "nginx", "[]", "{\"node\":"}) EXPECT_FALSE(status_text(bad).ok()) << bad;
  EXPECT_TRUE(status_text("{}").ok()) << "what is not there is left out";
}

TEST(AgentEndpoint, ServesWhatWasPublishedLast) {
  auto endpoint = AgentEndpoint::start("127.0.0.1:0");
  ASSERT_TRUE(endpoint.ok()) << endpoint.error().message;
  const std::string address = endpoint.value()->address().to_string();
  const AgentState state = state_of_an_agent();
  endpoint.value()->publish(state, true);
  const char* const words[] = {"--address", address.c_str()};
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_status(words), 0);
  EXPECT_NE(testing::internal::GetCapturedStdout().find("node-1"), std::string::npos);

  endpoint.value() = nullptr;
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_status(words), 1) << "nobody answers";
  const std::string error = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
  EXPECT_NE(error.find("no agent answers at " + address), std::string::npos) << error;
}

}  // namespace
}  // namespace weir::app
