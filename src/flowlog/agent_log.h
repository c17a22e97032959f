#pragma once

#include <string>

#include "model/agent_window.h"

namespace weir::flowlog {

/// Appends the window as one line of agent.log, with its newline: the fields of model::kAgentFields in their order.
void append_agent_line(std::string& out, const model::AgentWindow& window);

}  // namespace weir::flowlog
