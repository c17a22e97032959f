#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ip.h"

/// Appending JSON text (RFC 8259) to a string: what every log writer is made of. No tree, no allocation of its own.
namespace weir::json {

/// `"text"` with quotes; escapes what JSON must escape, and writes bytes that are not UTF-8 as U+FFFD.
void append_string(std::string& out, std::string_view text);

inline void append_int(std::string& out, std::int64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}
inline void append_uint(std::string& out, std::uint64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

inline void append_ip(std::string& out, const IpAddress& ip) {
  char text[kMaxIpText + 2];
  text[0] = '"';
  char* end = ip.format(text + 1);
  *end++ = '"';
  out.append(text, end);
}

}  // namespace weir::json
