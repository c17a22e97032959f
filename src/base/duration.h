#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

/// "300s", "5m0s", "1h30m", "250ms", "1d", or a bare number of seconds; fractions as "1.5s". Not negative, at most 10
/// years.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// The shortest such text: "5m", "1h30m", "250ms", "0s".
std::string format_duration(std::chrono::nanoseconds duration);

}  // namespace weir
