#pragma once

#include <string>
#include <string_view>

#include "app/agent_state.h"
#include "base/result.h"

namespace weir::app {

/// The answer to /status: one JSON object, with its newline. `cpu_percent`: of one core, lately.
std::string status_json(const AgentState& state, double cpu_percent);

/// The same for a person, of an agent of this version or another: what an answer does not have is left out.
/// Errors: kDataLoss, no JSON object.
Result<std::string> status_text(std::string_view json);

}  // namespace weir::app
