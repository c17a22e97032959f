#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/engine.h"
#include "policy/explanation.h"

namespace weir::app {

struct TraceEnd {
  /// "namespace/name"; empty: no pod.
  std::string pod;
  /// Empty: it has none.
  std::string ip;
  bool host_network = false;
};

struct TraceSide {
  policy::SideVerdict verdict;
  /// The walk that was asked for. Not managed where the verdict is not.
  policy::Explanation story;
  /// Of a denial.
  std::optional<policy::NearestMiss> nearest;
};

/// All that `weir policy trace` tells of one connection.
struct TraceStory {
  TraceEnd source, dest;
  std::uint8_t protocol = 6;
  /// 0: none.
  std::uint16_t port = 0;
  /// The stories are those with staged policies in force.
  bool staged = false;
  std::vector<std::string> notes;
  TraceSide egress, ingress;
};

/// "same", "would_deny", "would_allow" or "same_but_other_rule": what staged policies would make of an end.
const char* pending_change(const policy::SideVerdict& verdict);

void append_trace_text(std::string& out, const TraceStory& story);
/// One object and a newline.
void append_trace_json(std::string& out, const TraceStory& story);

}  // namespace weir::app
