#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "app/demo_lines.h"
#include "base/result.h"

namespace weir::app {

struct DemoOptions {
  /// Folder of lab.py.
  std::string lab = "lab";
  std::string source = "auto";
  /// None: until SIGINT or SIGTERM.
  std::optional<std::chrono::milliseconds> duration;
  LineStyle style;
};

struct DemoEnd {
  bool shown = false;
  /// Why there was nothing to show: one line.
  std::string obstacle;
};

/// Builds a lab (docs/lab.md), runs `weir agent` on each of its nodes and prints the records of their logs as they
/// come, and a summary. However it ends, agents, lab and files are gone then. SIGINT and SIGTERM end it, and are
/// blocked for the rest of the process; nothing is shown if this machine cannot do it.
///
/// Errors: what breaks after something was shown. Threads: one, and no other may run.
Result<DemoEnd> show_live_demo(const DemoOptions& options);

}  // namespace weir::app
