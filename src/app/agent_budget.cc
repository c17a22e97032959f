#include "app/agent_budget.h"

#include <algorithm>

namespace weir::app {
namespace {

/// A connection in its meter, the collector's context and the address translations; a key with its record's details.
constexpr std::int64_t kBytesPerConnection = 400, kBytesPerKey = 350;
constexpr int kCalmWindows = 3;

}  // namespace

void bound_by_memory(config::Settings& settings) {
  const std::int64_t bytes = settings.memory_limit_mb * 1024 * 1024;
  settings.max_connections = std::min(settings.max_connections, bytes / 2 / kBytesPerConnection);
  settings.max_flow_keys = std::min(settings.max_flow_keys, bytes / 4 / kBytesPerKey);
}

bool CpuBudget::on_window(double cpu_s, double wall_s, std::int64_t limit_percent) {
  if (wall_s <= 0) return false;
  const double percent = limit_percent == 0 ? 0 : 100 * cpu_s / wall_s;  // no limit: always calm
  const auto limit = static_cast<double>(limit_percent);
  calm_windows_ = percent <= limit / 2 ? calm_windows_ + 1 : 0;
  if (percent > limit && step_ < kMaxStep) {
    ++step_;
    return true;
  }
  if (calm_windows_ >= kCalmWindows && step_ > 0) {
    --step_;
    calm_windows_ = 0;
    return true;
  }
  return false;
}

config::Settings CpuBudget::applied_to(config::Settings settings) const {
  constexpr std::int64_t kWidest = 3;
  settings.aggregation_level_allowed = std::min(kWidest, settings.aggregation_level_allowed + step_);
  settings.aggregation_level_denied = std::min(kWidest, settings.aggregation_level_denied + step_);
  if (step_ >= kMaxStep) settings.l7_log = false;
  return settings;
}

}  // namespace weir::app
