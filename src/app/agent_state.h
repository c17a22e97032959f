#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/agent_report.h"
#include "app/capabilities.h"
#include "app/source_choice.h"
#include "kube/api_client.h"
#include "ship/shipper.h"

namespace weir::app {

/// How an agent does, as its endpoint tells it. Times: Unix nanoseconds.
struct AgentState {
  std::string node, kernel;
  std::int64_t started_ns = 0, now_ns = 0;
  std::vector<SourceChoice> choices;
  AgentTotals totals;
  AgentCost cost;
  /// Pods' interfaces that are watched.
  std::size_t interfaces = 0;
  struct Cluster {
    /// "manifests", a URL, "none".
    std::string source;
    bool configured = false, synced = false;
    std::size_t pods = 0, namespaces = 0, network_policies = 0;
    kube::ApiClientStatus api;
  } cluster;
  std::int64_t window_start_ns = 0, interval_ns = 0;
  int budget_step = 0;
  Capabilities capabilities = 0;
  std::vector<ship::DestinationStats> destinations;
};

}  // namespace weir::app
