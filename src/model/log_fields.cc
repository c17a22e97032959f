#include "model/log_fields.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace weir::model {
namespace {

std::uint64_t sum_of(const std::vector<NamedCount>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const NamedCount& count) { return sum + count.count; });
}

template <LogType kLog>
constexpr auto make_table() {
  constexpr std::size_t kSize = std::tuple_size_v<std::remove_cvref_t<decltype(kStoredFields<kLog>)>>;
  std::array<LogField, kSize> table{};
  std::size_t at = 0;
  std::apply(
      [&](const auto&... field) {
        ((table[at++] = {field.name, kind_of_field<std::remove_cvref_t<decltype(field)>, RecordOf<kLog>>(field),
                         field.name == "dest_service_port" && kLog == LogType::kFlows
                             ? std::string_view("dest_service_port_name")
                             : field.name}),
         ...);
      },
      kStoredFields<kLog>);
  return table;
}

template <LogType kLog>
constexpr auto kTable = make_table<kLog>();

}  // namespace

std::uint64_t lost_events(const AgentWindow& window) {
  return std::accumulate(window.sources.begin(), window.sources.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const SourceCounts& source) { return sum + sum_of(source.lost); });
}
std::uint64_t dropped_flows(const AgentWindow& window) { return sum_of(window.flows_dropped); }
std::uint64_t dropped_lines(const AgentWindow& window) { return sum_of(window.lines_dropped); }
std::string_view host_of(const AgentWindow& window) { return window.node; }

std::span<const LogField> log_fields(LogType log) {
  switch (log) {
    case LogType::kFlows:
      return kTable<LogType::kFlows>;
    case LogType::kDns:
      return kTable<LogType::kDns>;
    case LogType::kL7:
      return kTable<LogType::kL7>;
    case LogType::kAgent:
      return kTable<LogType::kAgent>;
    case LogType::kAudit:
      return kTable<LogType::kAudit>;
  }
  return {};
}

std::optional<std::size_t> find_log_field(LogType log, std::string_view name) {
  const std::span<const LogField> fields = log_fields(log);
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const LogField& f) { return f.name == name; });
  if (found == fields.end()) return std::nullopt;
  return static_cast<std::size_t>(found - fields.begin());
}

}  // namespace weir::model
