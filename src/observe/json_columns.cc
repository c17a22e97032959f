#include "observe/json_columns.h"

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <algorithm>

#include "base/json.h"

namespace weir::observe {
namespace {

namespace dom = simdjson::dom;

void append_raw(std::string& out, const dom::element& value) {
  switch (value.type()) {
    case dom::element_type::ARRAY: {
      char separator = '[';
      dom::array items;
      if (value.get(items) != simdjson::SUCCESS) return;
      for (const dom::element item : items) {
        out += separator;
        append_raw(out, item);
        separator = ',';
      }
      out += separator == '[' ? "[]" : "]";
      return;
    }
    case dom::element_type::OBJECT: {
      char separator = '{';
      dom::object members;
      if (value.get(members) != simdjson::SUCCESS) return;
      for (const dom::key_value_pair member : members) {
        out += separator;
        json::append_string(out, member.key);
        out += ':';
        append_raw(out, member.value);
        separator = ',';
      }
      out += separator == '{' ? "{}" : "}";
      return;
    }
    case dom::element_type::STRING: {
      std::string_view text;
      if (value.get(text) == simdjson::SUCCESS) json::append_string(out, text);
      return;
    }
    default:
      out += simdjson::minify(value);
  }
}

/// What remains of `path` behind `key` and a dot; data() is null if the path does not go through the key.
std::string_view rest_behind(std::string_view path, std::string_view key) {
  if (!path.starts_with(key) || (path.size() > key.size() && path[key.size()] != '.')) return {};
  return path.size() == key.size() ? path.substr(path.size()) : path.substr(key.size() + 1);
}

void append_masked(std::string& out, const dom::object& object, const std::vector<std::string_view>& paths) {
  char separator = '{';
  for (const dom::key_value_pair member : object) {
    std::vector<std::string_view> inner;
    bool whole = false;
    for (const std::string_view path : paths) {
      const std::string_view rest = rest_behind(path, member.key);
      if (rest.data() == nullptr) continue;
      whole |= rest.empty();
      inner.push_back(rest);
    }
    if (inner.empty()) continue;
    out += separator;
    json::append_string(out, member.key);
    out += ':';
    separator = ',';
    dom::object nested;
    if (whole || member.value.get(nested) != simdjson::SUCCESS) {
      append_raw(out, member.value);
    } else {
      append_masked(out, nested, inner);
    }
  }
  out += separator == '{' ? "{}" : "}";
}

/// False if there is none.
bool find(const dom::object& object, std::string_view path, dom::element& out) {
  for (const dom::key_value_pair member : object) {
    const std::string_view rest = rest_behind(path, member.key);
    if (rest.data() == nullptr) continue;
    dom::object nested;
    if (rest.empty()) {
      out = member.value;
      return true;
    }
    if (member.value.get(nested) == simdjson::SUCCESS) return find(nested, rest, out);
  }
  return false;
}

}  // namespace

struct JsonColumns::State {
  dom::parser parser;
  std::vector<std::string_view> paths;

  Status parse(std::string_view text, dom::object& out) {
    dom::element root;
    if (const auto error = parser.parse(text.data(), text.size()).get(root)) {
      return data_loss(std::string("not JSON: ") + simdjson::error_message(error));
    }
    if (root.get(out) != simdjson::SUCCESS) return data_loss("not JSON: no object");
    return {};
  }
};

JsonColumns::JsonColumns(std::vector<std::string> paths) : paths_(std::move(paths)), state_(std::make_unique<State>()) {
  state_->paths.assign(paths_.begin(), paths_.end());
}
JsonColumns::JsonColumns(JsonColumns&&) noexcept = default;
JsonColumns& JsonColumns::operator=(JsonColumns&&) noexcept = default;
JsonColumns::~JsonColumns() = default;

Status JsonColumns::append_object(std::string_view object, std::string& out) {
  dom::object root;
  TRY(state_->parse(object, root));
  append_masked(out, root, state_->paths);
  return {};
}

Status JsonColumns::append_csv(std::string_view object, std::string& out) {
  dom::object root;
  TRY(state_->parse(object, root));
  std::string cell;
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    if (i > 0) out += ',';
    dom::element value;
    if (!find(root, paths_[i], value) || value.is_null()) continue;
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) {
      append_csv_cell(out, text);
      continue;
    }
    cell.clear();
    append_raw(cell, value);
    append_csv_cell(out, cell);
  }
  return {};
}

void append_csv_cell(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace weir::observe
