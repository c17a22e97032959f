#include "query/request.h"

#include "base/json.h"
#include "query/plan.h"

#include <charconv>
#include <cmath>

namespace weir::query {
namespace {

void append_list(std::string& out, const std::vector<std::string>& list, bool numbers = false) {
  char separator = '[';
  for (const std::string& element : list) {
    out += separator;
    if (numbers) {
      out += element;
    } else {
      json::append_string(out, element);
    }
    separator = ',';
  }
  if (separator == '[') out += '[';
  out += ']';
}

void append_real(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void append_value(std::string& out, const Value& value, ColumnKind kind) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return json::append_int(out, *number);
  if (const auto* real = std::get_if<double>(&value)) return append_real(out, *real);
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (kind == ColumnKind::kJson) {
      out += *text;
    } else {
      json::append_string(out, *text);
    }
    return;
  }
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  if (list == nullptr) {
    out += "null";
  } else if (kind == ColumnKind::kLabels) {
    out += "{\"labels\":";
    append_list(out, *list);
    out += '}';
  } else {
    append_list(out, *list, kind == ColumnKind::kNumbers);
  }
}

bool is_absent(const Value& value) { return std::holds_alternative<std::monostate>(value); }

/// Writes the columns that share the part before the dot as one object; null if all are absent. Returns the column
/// after them.
std::size_t append_nested(std::string& out, const Answer& answer, const std::vector<Value>& row, std::size_t column) {
  const std::string& first = answer.columns[column].name;
  const std::string prefix = first.substr(0, first.find('.') + 1);
  json::append_string(out, std::string_view(prefix).substr(0, prefix.size() - 1));
  out += ':';
  char separator = '{';
  for (; column < answer.columns.size() && answer.columns[column].name.starts_with(prefix); ++column) {
    if (is_absent(row[column])) continue;
    out += separator;
    json::append_string(out, std::string_view(answer.columns[column].name).substr(prefix.size()));
    out += ':';
    append_value(out, row[column], answer.columns[column].kind);
    separator = ',';
  }
  out += separator == '{' ? "null" : "}";
  return column;
}

}  // namespace

std::string Metric::name() const {
  switch (aggregate) {
    case Aggregate::kCount:
      return "count";
    case Aggregate::kSum:
      return "sum(" + field + ")";
    case Aggregate::kMin:
      return "min(" + field + ")";
    case Aggregate::kMax:
      return "max(" + field + ")";
    case Aggregate::kRate:
      return "rate(" + field + ")";
    case Aggregate::kDistinct:
      return "distinct(" + field + ")";
  }
  return "count";
}

Result<Metric> Metric::parse(std::string_view text) {
  if (text == "count") return Metric{};
  static constexpr std::pair<std::string_view, Aggregate> kNames[] = {{"sum", Aggregate::kSum},
                                                                      {"min", Aggregate::kMin},
                                                                      {"max", Aggregate::kMax},
                                                                      {"rate", Aggregate::kRate},
                                                                      {"distinct", Aggregate::kDistinct}};
  const std::size_t open = text.find('(');
  if (open != std::string_view::npos && text.ends_with(')')) {
    for (const auto& [name, aggregate] : kNames) {
      if (text.substr(0, open) == name) {
        return Metric{aggregate, std::string(text.substr(open + 1, text.size() - open - 2))};
      }
    }
  }
  return invalid_argument("metric '" + std::string(text) +
                          "': expected count, sum(FIELD), min(FIELD), max(FIELD), rate(FIELD) or distinct(FIELD)");
}

Status validate(const Request& request) {
  TRY(make_plan(request));
  return {};
}

void append_json_object(std::string& out, const Answer& answer, std::size_t at) {
  const std::vector<Value>& row = answer.rows[at];
  char separator = '{';
  for (std::size_t column = 0; column < answer.columns.size();) {
    const Column& about = answer.columns[column];
    if (about.kind == ColumnKind::kMembers) {
      // The text of an object: its members become ours.
      const auto* text = std::get_if<std::string>(&row[column++]);
      if (text == nullptr || text->size() <= 2) continue;
      out += separator;
      out.append(*text, 1, text->size() - 2);
      separator = ',';
      continue;
    }
    out += separator;
    separator = ',';
    // "sum(a.b)" has no such dot.
    if (about.name.find('.') != std::string::npos && about.name.find('(') == std::string::npos) {
      column = append_nested(out, answer, row, column);
      continue;
    }
    json::append_string(out, about.name);
    out += ':';
    append_value(out, row[column++], about.kind);
  }
  if (separator == '{') out += '{';
  out += '}';
}

}  // namespace weir::query
