#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace weir::flowlog {

/// Where an earlier run got to: `end_time`, Unix seconds, of the newest whole line of each log.
struct WindowEnds {
  std::optional<std::int64_t> flows, agent;

  /// The end of the last window that was (at least begun to be) written; none if there are no logs.
  std::optional<std::int64_t> newest() const { return std::max(flows, agent); }
  /// Flows of a window were written but not its line of agent.log, which comes last: the run died in between, so
  /// records of that window may be missing.
  bool is_partial() const { return flows > agent; }
};

/// Reads the tails of flows.log and agent.log in `directory`; of the rotated ones if the active ones have no line.
/// A line torn at the end, or one that is no record, is passed over. Missing files are no error.
Result<WindowEnds> last_window_ends(const std::string& directory);

/// newest() of the above: what a restarted agent takes as counted already.
Result<std::optional<std::int64_t>> last_window_end(const std::string& directory);

}  // namespace weir::flowlog
