#include "query/graph.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "filter/field_words.h"
#include "model/log_fields.h"
#include "query/plan.h"

namespace weir::query {
namespace {

std::vector<std::string> end_fields(const std::string& end, GraphLevel level) {
  std::vector<std::string> fields{end + "_namespace", end + "_type"};
  if (level != GraphLevel::kNamespace) {
    fields.insert(fields.end(), {end + "_workload", end + "_workload_kind", end + "_name_aggr"});
  }
  return fields;
}

const std::string& text_at(const std::vector<Value>& row, std::size_t column) {
  static const std::string kAbsent;
  const auto* text = std::get_if<std::string>(&row[column]);
  return text != nullptr ? *text : kAbsent;
}
std::int64_t number_at(const std::vector<Value>& row, std::size_t column, std::int64_t absent = 0) {
  const auto* number = std::get_if<std::int64_t>(&row[column]);
  return number != nullptr ? *number : absent;
}

/// Reads an end from `column` on, and moves past it.
GraphEnd read_end(const std::vector<Value>& row, GraphLevel level, std::size_t& column) {
  GraphEnd end;
  end.namespace_name = text_at(row, column++);
  end.type = text_at(row, column++);
  if (level == GraphLevel::kNamespace) return end;
  const std::string& workload = text_at(row, column++);
  const std::string& kind = text_at(row, column++);
  const std::string& name_aggr = text_at(row, column++);
  const bool known = !workload.empty() && workload != "-";
  end.workload = known ? workload : name_aggr;
  if (known) end.kind = kind;
  return end;
}

/// As a value of the filter language that begins with `prefix`.
std::string quoted_prefix(std::string_view prefix) {
  std::string text = "\"";
  for (const char c : prefix) {
    // Once for the pattern, once for the quotes.
    if (c == '*' || c == '?') text += "\\\\";
    if (c == '\\') text += "\\\\\\";
    if (c == '"') text += '\\';
    text += c;
  }
  return text + "*\"";
}

}  // namespace

Result<GraphLevel> graph_level_named(std::string_view name) {
  if (name == "namespace") return GraphLevel::kNamespace;
  if (name == "workload") return GraphLevel::kWorkload;
  if (name == "port") return GraphLevel::kPort;
  return invalid_argument("level '" + std::string(name) + "': expected namespace, workload or port");
}

Request graph_request(const Request& base, GraphLevel level) {
  Request request = base;
  request.log = LogType::kFlows;
  request.columns.clear();
  request.order.clear();
  request.cursor.clear();
  request.interval = 0;
  request.group_by = end_fields("source", level);
  for (std::string& field : end_fields("dest", level)) request.group_by.push_back(std::move(field));
  if (level == GraphLevel::kPort) request.group_by.insert(request.group_by.end(), {"dest_port", "proto"});
  request.group_by.push_back("action");
  request.metrics.clear();
  for (const char* field :
       {"bytes", "num_flows", "bytes_to_dest", "bytes_to_source", "packets_to_dest", "packets_to_source"}) {
    request.metrics.push_back({Aggregate::kSum, field});
  }
  // An edge is up to two groups: allowed and denied.
  request.limit = std::min(kMaxLimit, base.limit > kMaxLimit / 2 ? kMaxLimit : base.limit * 2);
  return request;
}

Graph to_graph(const Answer& answer, GraphLevel level) {
  Graph graph;
  graph.truncated = !answer.next_cursor.empty();
  graph.completeness = answer.completeness;
  graph.statistics = answer.statistics;
  std::map<std::tuple<GraphEnd, GraphEnd, std::int64_t, std::string>, GraphEdge> edges;
  for (const std::vector<Value>& row : answer.rows) {
    std::size_t column = 0;
    GraphEnd source = read_end(row, level, column);
    GraphEnd dest = read_end(row, level, column);
    std::int64_t port = -1;
    std::string protocol;
    if (level == GraphLevel::kPort) {
      port = number_at(row, column++, -1);
      protocol = text_at(row, column++);
    }
    const bool denied = text_at(row, column++) == "deny";
    ++column;  // bytes, which orders the answer
    GraphEdge& edge = edges[{source, dest, port, protocol}];
    edge.source = std::move(source);
    edge.dest = std::move(dest);
    edge.port = port;
    edge.protocol = std::move(protocol);
    (denied ? edge.flows_denied : edge.flows_allowed) += number_at(row, column++);
    edge.bytes_to_dest += number_at(row, column++);
    edge.bytes_to_source += number_at(row, column++);
    edge.packets_to_dest += number_at(row, column++);
    edge.packets_to_source += number_at(row, column++);
  }
  for (auto& [key, edge] : edges) graph.edges.push_back(std::move(edge));
  std::stable_sort(graph.edges.begin(), graph.edges.end(), [](const GraphEdge& a, const GraphEdge& b) {
    return a.bytes_to_dest + a.bytes_to_source > b.bytes_to_dest + b.bytes_to_source;
  });
  return graph;
}

Result<std::vector<Request>> hint_requests(const Request& base, std::string_view field, std::string_view prefix) {
  const std::optional<filter::Target> target = filter::find_target(base.log, field);
  if (!target) {
    const std::string near = filter::nearest_word(base.log, field);
    return invalid_argument("unknown field '" + std::string(field) + "'" +
                            (near.empty() ? std::string() : "; did you mean " + near + "?"));
  }
  std::vector<Request> requests;
  for (const std::uint8_t row : target->rows) {
    const model::LogField& about = model::log_fields(base.log)[row];
    if (model::is_list(about.kind) || column_kind(about.kind) == ColumnKind::kJson) continue;
    Request request = base;
    request.columns.clear();
    request.order.clear();
    request.cursor.clear();
    request.interval = 0;
    request.group_by = {std::string(about.name)};
    request.metrics = {Metric{}};
    const bool is_text = about.kind == model::FieldKind::kKeyword;
    // What is no text is compared with the prefix afterwards; it needs room for what does not match.
    if (!is_text) request.limit = kMaxLimit;
    if (is_text && !prefix.empty()) {
      const std::string begins = std::string(about.name) + " = " + quoted_prefix(prefix);
      request.filter = base.filter.empty() ? begins : "(" + base.filter + ") AND " + begins;
    }
    requests.push_back(std::move(request));
  }
  if (requests.empty()) return Error{ErrorCode::kUnsupported, "no hints for lists such as " + std::string(field)};
  return requests;
}

std::vector<Hint> merge_hints(const std::vector<Answer>& answers, std::string_view prefix, std::size_t limit) {
  std::map<std::string, std::int64_t> counts;
  for (const Answer& answer : answers) {
    for (const std::vector<Value>& row : answer.rows) {
      std::string value = text_at(row, 0);
      if (const auto* number = std::get_if<std::int64_t>(&row[0])) value = std::to_string(*number);
      if (value.empty() || value == "-" || !value.starts_with(prefix)) continue;
      counts[value] += number_at(row, 1);
    }
  }
  std::vector<Hint> hints;
  for (const auto& [value, count] : counts) hints.push_back({value, count});
  std::stable_sort(hints.begin(), hints.end(), [](const Hint& a, const Hint& b) { return a.count > b.count; });
  if (hints.size() > limit) hints.resize(limit);
  return hints;
}

}  // namespace weir::query
