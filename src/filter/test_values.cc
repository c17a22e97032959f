#include "filter/test_values.h"

#include <re2/re2.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "filter/field_words.h"
#include "model/protocol.h"

namespace weir::filter {
namespace {

using model::FieldKind;

constexpr std::int64_t kRegexMemory = 1 << 20;

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};
constexpr Unit kTimeUnits[] = {{"us", 1}, {"ms", 1000}, {"s", 1'000'000}};
constexpr Unit kFineTimeUnits[] = {{"ns", 1}, {"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};
constexpr Unit kByteUnits[] = {{"B", 1},          {"k", 1000},          {"kB", 1000},          {"M", 1'000'000},
                               {"MB", 1'000'000}, {"G", 1'000'000'000}, {"GB", 1'000'000'000}, {"Ki", 1u << 10},
                               {"KiB", 1u << 10}, {"Mi", 1u << 20},     {"MiB", 1u << 20},     {"Gi", 1u << 30},
                               {"GiB", 1u << 30}};

template <std::size_t kSize>
std::optional<std::uint64_t> factor_of(const Unit (&units)[kSize], std::string_view suffix) {
  for (const Unit& unit : units) {
    if (unit.suffix == suffix) return unit.factor;
  }
  return std::nullopt;
}

/// "250", "250ms" for microseconds, "10MB" for bytes; nothing if it is none of these or too large.
std::optional<std::uint64_t> parse_number(std::string_view text, FieldKind kind) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  std::optional<std::uint64_t> factor;
  if (suffix.empty()) {
    factor = 1;
  } else if (kind == FieldKind::kMicroseconds) {
    factor = factor_of(kTimeUnits, suffix);
  } else if (kind == FieldKind::kNanoseconds) {
    factor = factor_of(kFineTimeUnits, suffix);
  } else if (kind == FieldKind::kBytes) {
    factor = factor_of(kByteUnits, suffix);
  }
  if (!factor || number > std::numeric_limits<std::uint64_t>::max() / *factor) return std::nullopt;
  return number * *factor;
}

const char* number_form(FieldKind kind) {
  if (kind == FieldKind::kMicroseconds) return "a number of microseconds, or one with us, ms or s";
  if (kind == FieldKind::kNanoseconds) return "a number of nanoseconds, or one with ns, us, ms or s";
  if (kind == FieldKind::kBytes) return "a number of bytes, or one with k, M, G, Ki, Mi or Gi";
  return "a number";
}

bool has_wildcard(std::string_view text) { return text.find_first_of("*?\\") != std::string_view::npos; }

Error wrong_value(const Test& test, const Token& value, const char* wanted) {
  const std::string field(name_of(test.target));
  return error_at(value.column, "expected " + std::string(wanted) + " for " + field + ", found '" + value.text + "'");
}

Status add_address(Test& test, const Token& value) {
  Result<IpPrefix> prefix = IpPrefix::parse(value.text);
  if (prefix.ok()) {
    test.prefixes.push_back(prefix.value());
    return {};
  }
  if (!has_wildcard(value.text)) return wrong_value(test, value, "an IP address or CIDR block");
  test.texts.push_back({value.text, true});
  return {};
}

Status add_protocol(Test& test, const Token& value) {
  const int protocol = model::parse_protocol(value.text);
  if (protocol >= 0) {
    test.numbers.push_back(static_cast<std::uint64_t>(protocol));
    return {};
  }
  if (!has_wildcard(value.text)) return wrong_value(test, value, "a protocol name or number");
  test.texts.push_back({value.text, true});
  return {};
}

}  // namespace

bool TextPattern::matches(std::string_view value) const {
  if (!wildcard) return value == text;
  // Greedy: on a mismatch, let the newest * take one more byte.
  std::size_t at = 0, v = 0;
  std::size_t star = std::string::npos, star_v = 0;
  while (v < value.size()) {
    const bool escaped = at + 1 < text.size() && text[at] == '\\';
    const std::size_t literal = escaped ? at + 1 : at;
    if (!escaped && at < text.size() && text[at] == '*') {
      star = at++;
      star_v = v;
    } else if (literal < text.size() && (text[literal] == value[v] || (!escaped && text[at] == '?'))) {
      at = literal + 1;
      ++v;
    } else if (star != std::string::npos) {
      at = star + 1;
      v = ++star_v;
    } else {
      return false;
    }
  }
  while (at < text.size() && text[at] == '*') ++at;
  return at == text.size();
}

Status add_value(Test& test, const Token& value) {
  switch (test.target.values) {
    case ValueClass::kNumber: {
      const FieldKind kind = kind_of(test.target);
      const std::optional<std::uint64_t> number = parse_number(value.text, kind);
      if (!number) return wrong_value(test, value, number_form(kind));
      test.numbers.push_back(*number);
      return {};
    }
    case ValueClass::kAddress:
      return add_address(test, value);
    case ValueClass::kProtocol:
      return add_protocol(test, value);
    case ValueClass::kText:
    case ValueClass::kLabels:
    case ValueClass::kPolicies:
      test.texts.push_back({value.text, has_wildcard(value.text)});
      return {};
  }
  return {};
}

Status set_regex(Test& test, const Token& value) {
  if (test.target.values == ValueClass::kNumber) {
    return error_at(value.column,
                    std::string(name_of(test.target)) + " is a number: compare it with = != < <= > >= IN");
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemory);
  auto regex = std::make_shared<re2::RE2>(value.text, options);
  if (!regex->ok()) return error_at(value.column, "bad regular expression: " + regex->error());
  test.op = Test::Op::kRegex;
  test.regex = std::move(regex);
  return {};
}

}  // namespace weir::filter
