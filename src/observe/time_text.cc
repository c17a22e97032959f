#include "observe/time_text.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <optional>

#include "base/duration.h"
#include "base/text.h"

namespace weir::observe {
namespace {

/// Reads a text from its front.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  /// Exactly `digits` digits.
  bool number(std::size_t digits, int& out) {
    if (rest_.size() < digits) return false;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + digits, out);
    if (error != std::errc() || end != rest_.data() + digits || out < 0) return false;
    rest_.remove_prefix(digits);
    return true;
  }
  /// One of `names`, three letters each; its index.
  std::optional<int> name(std::string_view names) {
    for (std::size_t at = 0; at + 3 <= names.size() && rest_.size() >= 3; at += 3) {
      if (!equal_ignoring_case(rest_.substr(0, 3), names.substr(at, 3))) continue;
      rest_.remove_prefix(3);
      return static_cast<int>(at / 3);
    }
    return std::nullopt;
  }
  /// ".123", or nothing; false if digits are missing.
  bool fraction() {
    if (!take('.')) return true;
    std::size_t digits = 0;
    while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') ++digits;
    rest_.remove_prefix(digits);
    return digits > 0 && digits <= 9;
  }
  /// "Z", "+02:00", "-0700"; none at the end.
  bool zone(std::optional<int>& seconds) {
    if (at_end()) return true;
    if (take('Z') || take('z')) {
      seconds = 0;
      return true;
    }
    const bool west = peek() == '-';
    if (!take('+') && !take('-')) return false;
    int hours = 0, minutes = 0;
    if (!number(2, hours)) return false;
    take(':');
    if (!number(2, minutes) || hours > 23 || minutes > 59) return false;
    seconds = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
  }

 private:
  std::string_view rest_;
};

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::string_view kDays = "SunMonTueWedThuFriSat";

bool is_valid(const std::tm& time) {
  return time.tm_mon >= 0 && time.tm_mon < 12 && time.tm_mday >= 1 && time.tm_mday <= 31 && time.tm_hour < 24 &&
         time.tm_min < 60 && time.tm_sec <= 60;
}

/// Nothing where there is no such day.
std::optional<std::int64_t> seconds_of(std::tm time, std::optional<int> zone) {
  if (!is_valid(time)) return std::nullopt;
  std::tm copy = time;
  copy.tm_isdst = -1;
  const std::time_t seconds = zone ? ::timegm(&copy) - *zone : ::mktime(&copy);
  if (copy.tm_mday != time.tm_mday) return std::nullopt;
  return seconds;
}

/// "2006-01-02" and what may follow it.
std::optional<std::int64_t> parse_iso(std::string_view text) {
  Cursor cursor(text);
  std::tm time{};
  int year = 0;
  if (!cursor.number(4, year) || !cursor.take('-') || !cursor.number(2, time.tm_mon) || !cursor.take('-') ||
      !cursor.number(2, time.tm_mday)) {
    return std::nullopt;
  }
  time.tm_year = year - 1900;
  --time.tm_mon;
  std::optional<int> zone;
  if (cursor.at_end()) return seconds_of(time, zone);
  if (!cursor.take('T') && !cursor.take('t') && !cursor.take(' ')) return std::nullopt;
  if (!cursor.number(2, time.tm_hour)) return std::nullopt;
  if (cursor.take(':')) {
    if (!cursor.number(2, time.tm_min)) return std::nullopt;
    if (cursor.take(':') && (!cursor.number(2, time.tm_sec) || !cursor.fraction())) return std::nullopt;
  }
  if (!cursor.zone(zone) || !cursor.at_end()) return std::nullopt;
  return seconds_of(time, zone);
}

bool clock(Cursor& cursor, std::tm& time) {
  return cursor.number(2, time.tm_hour) && cursor.take(':') && cursor.number(2, time.tm_min) && cursor.take(':') &&
         cursor.number(2, time.tm_sec) && cursor.fraction();
}

/// "Mon, 02 Jan 2006 15:04:05 -0700".
std::optional<std::int64_t> parse_rfc1123(std::string_view text) {
  Cursor cursor(text);
  std::tm time{};
  int year = 0;
  std::optional<int> zone;
  if (!cursor.name(kDays) || !cursor.take(',') || !cursor.take(' ') || !cursor.number(2, time.tm_mday) ||
      !cursor.take(' ')) {
    return std::nullopt;
  }
  const std::optional<int> month = cursor.name(kMonths);
  if (!month || !cursor.take(' ') || !cursor.number(4, year) || !cursor.take(' ') || !clock(cursor, time) ||
      !cursor.take(' ') || !cursor.zone(zone) || !cursor.at_end() || !zone) {
    return std::nullopt;
  }
  time.tm_mon = *month;
  time.tm_year = year - 1900;
  return seconds_of(time, zone);
}

/// "Jan _2 15:04:05.000".
std::optional<std::int64_t> parse_stamp(std::string_view text, std::int64_t now) {
  Cursor cursor(text);
  std::tm time{};
  const std::optional<int> month = cursor.name(kMonths);
  if (!month || !cursor.take(' ')) return std::nullopt;
  if (!cursor.number(cursor.take(' ') ? 1 : 2, time.tm_mday) || !cursor.take(' ') || !clock(cursor, time) ||
      !cursor.at_end()) {
    return std::nullopt;
  }
  time.tm_mon = *month;
  const std::time_t at = now;
  std::tm today{};
  ::localtime_r(&at, &today);
  constexpr std::int64_t kDay = 86'400;
  for (const int year : {today.tm_year, today.tm_year - 1}) {
    time.tm_year = year;
    const auto seconds = seconds_of(time, std::nullopt);
    if (seconds && *seconds <= now + kDay) return seconds;
  }
  return std::nullopt;
}

struct NamedFormat {
  std::string_view name, pattern, fraction;
};
/// In the order of kTimeFormatNames.
constexpr NamedFormat kFormats[] = {{"StampMilli", "%b %e %H:%M:%S", ".000"},
                                    {"YearMonthDay", "%Y-%m-%d", ""},
                                    {"YearMonthDayHour", "%Y-%m-%dT%H%z", ""},
                                    {"YearMonthDayHourMinute", "%Y-%m-%dT%H:%M%z", ""},
                                    {"RFC3339", "%Y-%m-%dT%H:%M:%S%z", ""},
                                    {"RFC3339Milli", "%Y-%m-%dT%H:%M:%S%z", ".000"},
                                    {"RFC3339Micro", "%Y-%m-%dT%H:%M:%S%z", ".000000"},
                                    {"RFC3339Nano", "%Y-%m-%dT%H:%M:%S%z", ".000000000"},
                                    {"RFC1123Z", "%a, %d %b %Y %H:%M:%S %z", ""}};

}  // namespace

Result<std::int64_t> parse_time(std::string_view text, std::int64_t now) {
  if (text == "now") return now;
  if (text.starts_with('@')) {
    std::int64_t seconds = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 1, end, seconds);
    if (error == std::errc() && stop == end && seconds >= 0) return seconds;
  }
  // A number without a unit is no duration here: it could be meant as either.
  const bool has_unit = !text.empty() && text.back() >= 'a' && text.back() <= 'z';
  if (const Result<std::chrono::nanoseconds> ago = parse_duration(text); has_unit && ago.ok()) {
    return now - std::chrono::duration_cast<std::chrono::seconds>(ago.value()).count();
  }
  if (const auto time = parse_iso(text)) return *time;
  if (const auto time = parse_rfc1123(text)) return *time;
  if (const auto time = parse_stamp(text, now)) return *time;
  return invalid_argument("'" + std::string(text) +
                          "' is no time: a duration ago (10m, 1h43m), 2006-01-02, 2006-01-02T15:04:05Z, "
                          "\"Jan  2 15:04:05.000\", or @SECONDS since 1970");
}

Result<TimeFormat> parse_time_format(std::string_view name) {
  for (const NamedFormat& known : kFormats) {
    if (equal_ignoring_case(known.name, name)) {
      return TimeFormat{std::string(known.pattern), std::string(known.fraction),
                        known.pattern.ends_with("%z") && known.pattern.starts_with("%Y")};
    }
  }
  if (name.find('%') != std::string_view::npos && name.size() < 256) return TimeFormat{std::string(name), "", false};
  std::string names;
  for (const NamedFormat& known : kFormats) names.append(known.name).append(", ");
  return invalid_argument("'" + std::string(name) + "' is no time format: " + names + "or a pattern of strftime");
}

std::string format_time(const TimeFormat& format, std::int64_t unix_seconds) {
  const std::time_t at = unix_seconds;
  std::tm time{};
  ::localtime_r(&at, &time);
  char text[512];
  std::string out;
  // The fraction stands before the zone.
  const std::size_t split = format.pattern.find("%S") + 2;
  const bool has_fraction = !format.fraction.empty() && split < std::string::npos;
  if (has_fraction) {
    const std::string head = format.pattern.substr(0, split);
    out.assign(text, std::strftime(text, sizeof text, head.c_str(), &time)).append(format.fraction);
  }
  const std::string rest = has_fraction ? format.pattern.substr(split) : format.pattern;
  out.append(text, std::strftime(text, sizeof text, rest.c_str(), &time));
  if (format.colon_in_zone && out.size() > 5) out.insert(out.size() - 2, ":");
  return out;
}

std::string rfc3339_utc(std::int64_t unix_seconds) {
  const std::time_t at = unix_seconds;
  std::tm time{};
  ::gmtime_r(&at, &time);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &time));
}

}  // namespace weir::observe
