#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::metrics {

/// One time series: written by one thread, read by others at any time.
class Value {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void set(std::uint64_t value) { set(static_cast<double>(value)); }
  void add(double value) { set(get() + value); }
  double get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

using Labels = std::vector<std::pair<std::string, std::string>>;

/// Counters and gauges, and their text in Prometheus' exposition format 0.0.4.
///
/// A series is made once and its Value kept by who writes it; the same name and labels give the same Value. Stages
/// count in plain integers of their own: the thread that owns them copies the sums here, so nothing is paid an event.
/// Lifetime: values live as long as the registry.
/// Threads: any may call; each Value has one writer.
class Registry {
 public:
  /// `name`: letters, digits and '_', by convention weir_…_total. `help`: one sentence; that of the first call counts.
  Value& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Value& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  /// Families by name, series by labels.
  std::string text() const;

 private:
  enum class Kind : std::uint8_t { kCounter, kGauge };
  struct Family {
    Kind kind;
    std::string help;
    /// By `{name="value",…}`, or the empty text.
    std::map<std::string, Value> series;
  };
  Value& series(Kind kind, std::string_view name, std::string_view help, const Labels& labels);

  mutable std::mutex mutex_;  // guards the maps, not the values
  std::map<std::string, Family, std::less<>> families_;
};

}  // namespace weir::metrics
