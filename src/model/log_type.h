#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::model {

/// The logs that nodes write, that the server stores, and that queries read.
enum class LogType : std::uint8_t { kFlows, kDns, kL7, kAgent, kAudit };

inline constexpr std::array<std::string_view, 5> kLogTypeNames{"flows", "dns", "l7", "agent", "audit"};
inline constexpr std::size_t kLogTypes = kLogTypeNames.size();

/// "flows", "dns", "l7", "agent", "audit": folder names, API paths.
constexpr std::string_view to_string(LogType type) { return kLogTypeNames[static_cast<std::size_t>(type)]; }

constexpr std::optional<LogType> log_type_named(std::string_view name) {
  for (std::size_t at = 0; at < kLogTypes; ++at) {
    if (kLogTypeNames[at] == name) return static_cast<LogType>(at);
  }
  return std::nullopt;
}

}  // namespace weir::model
