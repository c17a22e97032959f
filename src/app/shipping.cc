#include "app/shipping.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <thread>

namespace weir::app {
namespace {

using Stats = ship::DestinationStats;

double number(std::uint64_t value) { return static_cast<double>(value); }

// clang-format off
constexpr std::array kShipMetrics = {
    ShipMetric{"weir_ship_lines_sent_total", true, "Lines that the destination has taken.", [](const Stats& s) { return number(s.lines_sent); }},
    ShipMetric{"weir_ship_bytes_sent_total", true, "Their bytes in the log files.", [](const Stats& s) { return number(s.bytes_sent); }},
    ShipMetric{"weir_ship_lines_filtered_total", true, "Lines that the destination's filter left out.", [](const Stats& s) { return number(s.lines_filtered); }},
    ShipMetric{"weir_ship_lines_refused_total", true, "Lines that the destination does not take; they are in NAME.refused.log.", [](const Stats& s) { return number(s.lines_refused); }},
    ShipMetric{"weir_ship_retries_total", true, "Attempts that failed and were made again.", [](const Stats& s) { return number(s.retries); }},
    ShipMetric{"weir_ship_bytes_lost_total", true, "Bytes of log files that were removed, or lines that were too long, before they could be sent.", [](const Stats& s) { return number(s.bytes_lost); }},
    ShipMetric{"weir_ship_lag_bytes", false, "Bytes in the log files that are to be sent.", [](const Stats& s) { return number(s.lag_bytes); }},
    ShipMetric{"weir_ship_lag_seconds", false, "How long there have been such bytes without a break.", [](const Stats& s) { return s.lag_seconds; }},
    ShipMetric{"weir_ship_failing", false, "1 while attempts fail.", [](const Stats& s) { return s.failing ? 1.0 : 0.0; }},
};
// clang-format on

}  // namespace

Result<ship::ShipperOptions> shipper_options(const config::Settings& settings, const std::string& node,
                                             std::function<void(std::string_view)> note) {
  ship::ShipperOptions options;
  options.log_directory = settings.log_directory;
  options.state_directory = settings.state_directory + "/ship";
  options.node = node;
  options.batch_bytes = static_cast<std::size_t>(settings.ship_batch_kb) * 1024;
  options.longest_retry = std::chrono::duration_cast<std::chrono::milliseconds>(settings.ship_retry_max);
  options.refused_log_bytes = static_cast<std::uint64_t>(settings.ship_refused_log_mb) * 1024 * 1024;
  options.note = std::move(note);
  auto destinations = ship::parse_destinations(settings.ship_to);
  if (!destinations.ok()) return invalid_argument("ship_to: " + destinations.error().message);
  options.destinations = std::move(destinations).value();
  return options;
}

void drain_shipper(const ship::Shipper& shipper, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  const auto has_all = [](const Stats& stats) { return stats.lag_bytes == 0; };
  for (;;) {
    // The lag is that of the last look: one more poll sees what was written just now.
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    const std::vector<Stats> stats = shipper.stats();
    if (std::all_of(stats.begin(), stats.end(), has_all) || std::chrono::steady_clock::now() >= until) return;
  }
}

std::span<const ShipMetric> ship_metrics() { return kShipMetrics; }

void publish_destinations(const std::vector<Stats>& destinations, metrics::Registry& registry) {
  for (const Stats& destination : destinations) {
    const metrics::Labels labels = {{"destination", destination.name}, {"kind", destination.kind}};
    for (const ShipMetric& metric : kShipMetrics) {
      metrics::Value& series = metric.counter ? registry.counter(metric.name, metric.help, labels)
                                              : registry.gauge(metric.name, metric.help, labels);
      series.set(metric.value(destination));
    }
  }
}

void note_to_stderr(std::string_view text) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char time[32];
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc);
  std::fprintf(stderr, "%s %.*s\n", time, static_cast<int>(text.size()), text.data());
}

std::string node_name(const config::Settings& settings) {
  if (!settings.node_name.empty()) return settings.node_name;
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace weir::app
