#pragma once

#include <cstdint>
#include <string>

#include "config/settings.h"

namespace weir::app {

/// Lowers the tables' bounds so that all of them full fit into `memory_limit_mb`: half of it for connections, a quarter
/// for keys of a window; the rest is for names, policies and buffers.
void bound_by_memory(config::Settings& settings);

/// The CPU budget: above `cpu_limit_percent` of a core the agent does less, one step a window, and takes the steps back
/// when it has been below half of it for three windows.
///
/// Step 1: aggregation one level wider. Step 2: two levels wider, and HTTP is no longer looked into. Nothing is
/// dropped: what costs most beyond that is the counting itself.
class CpuBudget {
 public:
  static constexpr int kMaxStep = 2;

  /// A window ended in which the agent used `cpu_s` of `wall_s` seconds. True: the step changed.
  bool on_window(double cpu_s, double wall_s, std::int64_t limit_percent);
  int step() const { return step_; }
  /// The settings as the step has them.
  config::Settings applied_to(config::Settings settings) const;

 private:
  int step_ = 0;
  int calm_windows_ = 0;
};

}  // namespace weir::app
