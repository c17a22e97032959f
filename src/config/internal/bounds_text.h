#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/duration.h"

namespace weir::config {

/// A bound of the option table as people write it.
inline std::string number_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr};
}

inline std::string seconds_text(double seconds) {
  return format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
}

}  // namespace weir::config
