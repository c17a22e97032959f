#pragma once

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/json.h"
#include "base/result.h"
#include "model/labels.h"

/// Reading the values of a log line's JSON: for the sources of the readers only, which are built for simdjson.
namespace weir::flowlog {

namespace ondemand = simdjson::ondemand;

/// What was expected; null if the value was fine.
using Wrong = const char*;
constexpr Wrong kFine = nullptr;

/// False for what is no value at all too: reading it then fails.
inline bool is_null(ondemand::value& value) {
  bool null = false;
  return simdjson::simdjson_result<bool>(value.is_null()).get(null) == simdjson::SUCCESS && null;
}

inline Wrong read_unsigned(ondemand::value& value, std::uint64_t max, std::uint64_t& out) {
  ondemand::number number;
  if (value.get_number().get(number) != simdjson::SUCCESS) return "an unsigned integer";
  if (number.is_uint64()) {
    out = number.get_uint64();
  } else if (number.is_int64()) {
    if (number.get_int64() < 0) return "an unsigned integer";
    out = static_cast<std::uint64_t>(number.get_int64());
  } else {
    // Some shippers turn numbers into floating point.
    const double real = number.get_double();
    if (!(real >= 0 && real <= 9007199254740992.0) || real != std::floor(real)) return "an unsigned integer";
    out = static_cast<std::uint64_t>(real);
  }
  return out <= max ? kFine : "a smaller number";
}

inline Wrong read_text(ondemand::value& value, std::string_view& out) {
  return value.get_string().get(out) == simdjson::SUCCESS ? kFine : "text";
}

inline Wrong read_address(ondemand::value& value, IpAddress& out) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return "an IP address";
  Result<IpAddress> parsed = IpAddress::parse(text);
  if (!parsed.ok()) return "an IP address";
  out = parsed.value();
  return kFine;
}

/// Reads each element of an array with `read`.
template <typename T, typename Read>
Wrong read_array(ondemand::value& value, std::vector<T>& out, Read&& read) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return "a list or null";
  for (auto element : array) {
    ondemand::value item;
    if (element.get(item) != simdjson::SUCCESS) return "a list";
    T element_value{};
    if (const Wrong wrong = read(item, element_value); wrong != kFine) return wrong;
    out.push_back(std::move(element_value));
  }
  return kFine;
}

inline Wrong read_string(ondemand::value& value, std::string& out) {
  std::string_view text;
  const Wrong wrong = read_text(value, text);
  if (wrong == kFine) out.assign(text);
  return wrong;
}

/// Calls `visit(key, value)` for the members of an object; values that it does not read are skipped.
template <typename Visit>
Wrong read_members(ondemand::value& value, Visit&& visit) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return "an object or null";
  for (auto member : object) {
    ondemand::field field;
    std::string_view key;
    if (std::move(member).get(field) != simdjson::SUCCESS) return "an object";
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return "an object";
    if (const Wrong wrong = visit(key, field.value()); wrong != kFine) return wrong;
  }
  return kFine;
}

inline Wrong read_labels(ondemand::value& value, model::LabelSet& out) {
  const Wrong wrong = read_members(value, [&](std::string_view key, ondemand::value& member) -> Wrong {
    if (key != "labels" || is_null(member)) return kFine;
    out.pairs.clear();
    return read_array(member, out.pairs, read_string);
  });
  std::sort(out.pairs.begin(), out.pairs.end());
  out.pairs.erase(std::unique(out.pairs.begin(), out.pairs.end()), out.pairs.end());
  return wrong;
}

/// A line with the padding that the parser needs, and its parser.
struct LineParser {
  ondemand::parser parser;
  std::string padded;
  ondemand::document document;

  static Error not_json(simdjson::error_code error) {
    return data_loss(std::string("not JSON: ") + simdjson::error_message(error));
  }

  /// Calls `visit(name, value)` for each member of the line's object; it returns what was expected or kFine. Text that
  /// `visit` takes lives until the next line.
  template <typename Visit>
  Status read(std::string_view line, std::size_t max_bytes, Visit&& visit) {
    if (line.size() > max_bytes) return data_loss("the line is longer than 16 MiB");
    padded.assign(line);
    padded.append(simdjson::SIMDJSON_PADDING, ' ');
    const simdjson::padded_string_view view(padded.data(), line.size(), padded.size());
    ondemand::object object;
    if (const auto error = parser.iterate(view).get(document)) return not_json(error);
    if (const auto error = document.get_object().get(object)) return not_json(error);
    for (auto member : object) {
      ondemand::field field;
      std::string_view name;
      if (const auto error = std::move(member).get(field)) return not_json(error);
      if (const auto error = field.unescaped_key().get(name)) return not_json(error);
      if (const Wrong wrong = visit(name, field.value()); wrong != kFine) {
        return data_loss("field " + std::string(name) + ": expected " + wrong);
      }
    }
    // At the end there is no location.
    if (document.current_location().error() == simdjson::SUCCESS) return data_loss("not JSON: text after the object");
    return {};
  }
};

/// Adds `"name":value` to an object in the making: a member that no field takes.
inline Wrong keep_member(std::string& object, std::string_view name, ondemand::value& value) {
  std::string_view text;
  if (simdjson::to_json_string(value).get(text) != simdjson::SUCCESS) return "JSON";
  object += object.empty() ? '{' : ',';
  json::append_string(object, name);
  object += ':';
  object += text;
  return kFine;
}

}  // namespace weir::flowlog
