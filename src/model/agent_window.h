#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "model/record_field.h"

namespace weir::model {

/// A number with the name of what was counted, such as a reason.
struct NamedCount {
  std::string name;
  std::uint64_t count = 0;
};

/// What one source of the agent (ebpf, conntrack, nflog, afpacket) saw and lost.
struct SourceCounts {
  std::string name;
  std::uint64_t events = 0, packets = 0;
  /// By reason. seen + lost is what there was.
  std::vector<NamedCount> lost;
};

/// One line of agent.log: how complete the logs of one window are, and what they cost. All counts are of the window.
struct AgentWindow {
  /// Unix seconds.
  std::int64_t start_time = 0, end_time = 0;
  std::string node, version;
  /// The sources in use; those that saw nothing too.
  std::vector<SourceCounts> sources;
  /// Connections and reports that the stages dropped, by reason.
  std::vector<NamedCount> flows_dropped;
  /// Records by log: "flows", "dns", "l7".
  std::vector<NamedCount> records_written;
  /// Lines that no disk took, by log.
  std::vector<NamedCount> lines_dropped;
  std::uint64_t records_excluded = 0, flows_widened = 0;
  std::uint64_t open_connections = 0;
  double cpu_user_seconds = 0, cpu_system_seconds = 0;
  std::uint64_t rss_bytes = 0;
};

// clang-format off
/// The field table of agent.log, in the order of the line.
inline constexpr auto kAgentFields = std::tuple{
    RecordField<&AgentWindow::start_time>{"start_time", "Window start, Unix seconds."},
    RecordField<&AgentWindow::end_time>{"end_time", "Window end, Unix seconds."},
    RecordField<&AgentWindow::node>{"node", "Node whose agent this is."},
    RecordField<&AgentWindow::version>{"version", "Version of the agent."},
    RecordField<&AgentWindow::sources>{"sources", "Sources in use, each `{\"name\",\"events\",\"packets\",\"lost\":[{\"name\",\"count\"},…]}`: what it saw, and what it lost by reason."},
    RecordField<&AgentWindow::flows_dropped>{"flows_dropped", "Connections and reports dropped after the sources, by reason: `[{\"name\",\"count\"},…]`."},
    RecordField<&AgentWindow::records_written>{"records_written", "Records by log (`flows`, `dns`, `l7`)."},
    RecordField<&AgentWindow::lines_dropped>{"lines_dropped", "Lines that could not be written (full disk, I/O error), by log."},
    RecordField<&AgentWindow::records_excluded>{"records_excluded", "Reports that an `exclude` filter left out."},
    RecordField<&AgentWindow::flows_widened>{"flows_widened", "Reports aggregated more than asked for, to keep the budget of keys or CPU."},
    RecordField<&AgentWindow::open_connections>{"open_connections", "Connections open at the end of the window."},
    RecordField<&AgentWindow::cpu_user_seconds>{"cpu_user_seconds", "CPU time of the agent in user mode."},
    RecordField<&AgentWindow::cpu_system_seconds>{"cpu_system_seconds", "CPU time of the agent in the kernel."},
    RecordField<&AgentWindow::rss_bytes>{"rss_bytes", "Resident memory of the agent at the end of the window."},
};
// clang-format on

}  // namespace weir::model
