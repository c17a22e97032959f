#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "metrics/registry.h"
#include "ship/shipper.h"

/// The shipper as settings want it, for `weir agent`, `weir up` and `weir ship`.
namespace weir::app {

/// Errors name the option.
Result<ship::ShipperOptions> shipper_options(const config::Settings& settings, const std::string& node,
                                             std::function<void(std::string_view)> note);

/// Waits until everything that is in the files was delivered, up to `patience`.
void drain_shipper(const ship::Shipper& shipper, std::chrono::milliseconds patience);

/// One family of a destination's figures: the row feeds registries and docs/metrics.md.
struct ShipMetric {
  std::string_view name;
  bool counter;
  std::string_view help;
  double (*value)(const ship::DestinationStats&);
};
std::span<const ShipMetric> ship_metrics();
void publish_destinations(const std::vector<ship::DestinationStats>& destinations, metrics::Registry& registry);

/// One line of a program's own log, on standard error: time, text.
void note_to_stderr(std::string_view text);
/// The node's name as settings or the host tell it.
std::string node_name(const config::Settings& settings);

}  // namespace weir::app
