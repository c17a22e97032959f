#include "base/duration.h"

#include <charconv>
#include <cstdint>

namespace weir {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
// Longest first, for format_duration(); "ms" is tried before "m" because names are matched whole.
constexpr Unit kUnits[] = {{"d", 86'400'000'000'000},
                           {"h", 3'600'000'000'000},
                           {"m", 60'000'000'000},
                           {"s", 1'000'000'000},
                           {"ms", 1'000'000},
                           {"us", 1'000},
                           {"ns", 1}};
constexpr double kMaxNanoseconds = 3650.0 * 86'400e9;

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const auto bad = [&] {
    return invalid_argument("'" + std::string(text.substr(0, 40)) + "' is not a duration (such as 300s, 5m, 1h30m)");
  };
  double total = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad();
  while (!rest.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc() || !(number >= 0)) return bad();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::size_t letters = 0;
    while (letters < rest.size() && rest[letters] >= 'a' && rest[letters] <= 'z') ++letters;
    const std::string_view name = rest.substr(0, letters);
    const bool bare_seconds = name.empty() && rest.empty() && total == 0;
    double unit = bare_seconds ? 1e9 : 0;
    for (const Unit& candidate : kUnits) {
      if (candidate.name == name) unit = static_cast<double>(candidate.nanoseconds);
    }
    if (unit == 0) return bad();
    total += number * unit;
    if (total > kMaxNanoseconds) return bad();
    rest.remove_prefix(letters);
  }
  return std::chrono::nanoseconds(static_cast<std::int64_t>(total + 0.5));
}

std::string format_duration(std::chrono::nanoseconds duration) {
  std::int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string text;
  for (const Unit& unit : kUnits) {
    if (rest < unit.nanoseconds) continue;
    text += std::to_string(rest / unit.nanoseconds);
    text += unit.name;
    rest %= unit.nanoseconds;
  }
  return text;
}

}  // namespace weir
