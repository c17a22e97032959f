#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

/// Times as people type and read them.
namespace weir::observe {

/// Unix seconds of a time: relative to `now` ("3s", "1h43m": that long ago; "now"), "@1700000000", or absolute: RFC
/// 3339 with or without fractions, "2006-01-02", "2006-01-02T15-07:00", "2006-01-02T15:04-07:00" (with Z too, or
/// without a zone in the local one), "Mon, 02 Jan 2006 15:04:05 -0700", "Jan _2 15:04:05.000" (local, of this year; the
/// last one if that is still to come). Fractions are cut off.
Result<std::int64_t> parse_time(std::string_view text, std::int64_t now);

/// "StampMilli" and the other names that parse_time() reads, as Hubble calls its formats; or a pattern of strftime(3).
struct TimeFormat {
  std::string pattern;
  /// strftime has no fractions of seconds: stands for ".000" after the seconds.
  std::string fraction;
  /// "+01:00", not "+0100".
  bool colon_in_zone = false;
};
inline constexpr std::string_view kTimeFormatNames[] = {
    "StampMilli",   "YearMonthDay", "YearMonthDayHour", "YearMonthDayHourMinute", "RFC3339", "RFC3339Milli",
    "RFC3339Micro", "RFC3339Nano",  "RFC1123Z"};
Result<TimeFormat> parse_time_format(std::string_view name);

/// In local time (the format's zone is of that time).
std::string format_time(const TimeFormat& format, std::int64_t unix_seconds);

/// "2026-11-24T18:00:15Z".
std::string rfc3339_utc(std::int64_t unix_seconds);

}  // namespace weir::observe
