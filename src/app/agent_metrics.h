#pragma once

#include <string>

#include "app/agent_state.h"
#include "metrics/registry.h"

namespace weir::app {

/// Copies what an agent counted into its metrics. Threads: one publishes, others may read the registry's text.
void publish_metrics(const AgentState& state, metrics::Registry& registry);

/// docs/metrics.md, made from the same table.
std::string metrics_markdown();

}  // namespace weir::app
