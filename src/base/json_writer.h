#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace weir {

/// JSON for people's questions, appended member by member, with the commas where they belong. What is opened must be
/// closed. Not for hot paths: those keep rendered pieces.
class JsonWriter {
 public:
  /// Writes one value to the end of `out`.
  explicit JsonWriter(std::string& out) : out_(out), begin_(out.size()) {}

  void open(char bracket) {
    comma();
    out_ += bracket;
  }
  void open(std::string_view name, char bracket) {
    key(name);
    out_ += bracket;
  }
  void close(char bracket) { out_ += bracket; }

  void text(std::string_view name, std::string_view value) {
    key(name);
    json::append_string(out_, value);
  }
  void text_or_null(std::string_view name, std::string_view value) { value.empty() ? null(name) : text(name, value); }
  template <std::integral Number>
  void number(std::string_view name, Number value) {
    key(name);
    if constexpr (std::signed_integral<Number>) {
      json::append_int(out_, value);
    } else {
      json::append_uint(out_, value);
    }
  }
  /// With three decimals.
  void real(std::string_view name, double value) {
    key(name);
    char digits[48];
    out_.append(digits, std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed, 3).ptr);
  }
  void truth(std::string_view name, bool value) {
    key(name);
    out_ += value ? "true" : "false";
  }
  void null(std::string_view name) {
    key(name);
    out_ += "null";
  }
  /// An item of a list.
  void item(std::string_view value) {
    comma();
    json::append_string(out_, value);
  }
  /// Before a value that is appended to the text by other means.
  void key(std::string_view name) {
    comma();
    json::append_string(out_, name);
    out_ += ':';
  }

 private:
  void comma() {
    if (out_.size() > begin_ && out_.back() != '{' && out_.back() != '[' && out_.back() != ':') out_ += ',';
  }

  std::string& out_;
  const std::size_t begin_;
};

}  // namespace weir
