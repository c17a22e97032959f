#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace weir::app {

/// JSON text piece by piece, with the commas between: what is opened must be closed, and a key wants a value behind it.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}
  void open(char bracket) {
    separate();
    out_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }
  void key(std::string_view name) {
    separate();
    json::append_string(out_, name);
    out_ += ':';
    first_ = true;
  }
  void text(std::string_view value) {
    separate();
    json::append_string(out_, value);
  }
  void number(std::int64_t value) {
    separate();
    json::append_int(out_, value);
  }
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void raw(const char* value) {
    separate();
    out_ += value;
  }

 private:
  void separate() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  std::string& out_;
  bool first_ = true;
};

}  // namespace weir::app
