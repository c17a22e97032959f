#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "app/agent_logs.h"
#include "app/connection_feed.h"
#include "app/node_pipeline.h"
#include "model/agent_window.h"

namespace weir::app {

/// What the agent's process has used since it began.
struct AgentCost {
  double cpu_user_seconds = 0, cpu_system_seconds = 0;
  std::uint64_t rss_bytes = 0;
};
AgentCost agent_cost();

/// All that the agent's parts counted since they began.
struct AgentTotals {
  std::vector<model::SourceCounts> sources;
  FeedStats feed;
  NodeStats node;
  std::array<AgentLogs::File, 4> logs{};
};

/// What the stages behind the sources dropped, by reason.
std::vector<model::NamedCount> reports_dropped(const AgentTotals& totals);

/// Turns totals into what one window saw, lost and cost: the line of agent.log. Threads: one.
class AgentReport {
 public:
  AgentReport() = default;
  explicit AgentReport(std::string node) : node_(std::move(node)) {}

  /// Appends the line of the window that ends now.
  void write(const AgentTotals& totals, std::int64_t start_s, std::int64_t end_s, std::string& out);
  /// CPU time of the window written last.
  double cpu_seconds() const { return cpu_seconds_; }

 private:
  double cpu_seconds_ = 0;
  std::string node_;
  /// The totals at the end of the window before.
  model::AgentWindow before_;
};

}  // namespace weir::app
