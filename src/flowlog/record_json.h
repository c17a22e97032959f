#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>

#include "base/ip.h"
#include "base/json.h"
#include "model/labels.h"

/// Writing a record by its field table.
namespace weir::flowlog {

/// Calls `append(value)` for each value, between brackets and commas.
template <typename Range, typename Append>
void append_list(std::string& out, const Range& values, Append&& append) {
  char separator = '[';
  for (const auto& value : values) {
    out += separator;
    append(value);
    separator = ',';
  }
  if (separator == '[') out += '[';
  out += ']';
}

/// One overload a type of value. A record with types of its own derives from it.
struct ValueWriter {
  std::string& out;

  void operator()(std::string_view value) const { json::append_string(out, value); }
  void operator()(std::int64_t value) const { json::append_int(out, value); }
  void operator()(std::uint64_t value) const { json::append_uint(out, value); }
  void operator()(std::uint16_t value) const { json::append_uint(out, value); }
  void operator()(const IpAddress& value) const { json::append_ip(out, value); }
  template <typename T>
  void operator()(const std::optional<T>& value) const {
    if (value) {
      (*this)(*value);
    } else {
      out += "null";
    }
  }
  /// `null` if there is none.
  void operator()(std::span<const IpAddress> values) const {
    if (values.empty()) {
      out += "null";
    } else {
      append_list(out, values, *this);
    }
  }
  /// `{"labels":["k=v"]}`, or `null` where labels are not included.
  void operator()(const model::LabelSet* labels) const {
    if (labels == nullptr) {
      out += "null";
      return;
    }
    out += "{\"labels\":";
    append_list(out, labels->pairs, [&](const std::string& pair) { json::append_string(out, pair); });
    out += '}';
  }
};

/// Appends the record's JSON object. `Fields`: a tuple of model::RecordField.
template <typename Record, typename Fields, typename Writer>
void append_record(std::string& out, const Record& record, const Fields& fields, const Writer& write) {
  char separator = '{';
  const auto append = [&](const auto& field) {
    out += separator;
    out += '"';
    out += field.name;
    out += "\":";
    write(field.get(record));
    separator = ',';
  };
  std::apply([&](const auto&... field) { (append(field), ...); }, fields);
  out += '}';
}

}  // namespace weir::flowlog
