#include "api/internal/answer_json.h"

#include "base/json.h"

namespace weir::api {
namespace {

void append_field(std::string& out, std::string_view name, std::int64_t value) {
  if (out.back() != '{') out += ',';
  json::append_string(out, name);
  out += ':';
  json::append_int(out, value);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (out.back() != '{') out += ',';
  json::append_string(out, name);
  out += ':';
  json::append_string(out, value);
}

void append_bool(std::string& out, std::string_view name, bool value) {
  if (out.back() != '{') out += ',';
  json::append_string(out, name);
  out += value ? ":true" : ":false";
}

void append_statistics(std::string& out, const query::Statistics& statistics) {
  out += '{';
  append_field(out, "segments_read", statistics.segments_read);
  append_field(out, "segments_skipped", statistics.segments_skipped);
  append_field(out, "rows_considered", static_cast<std::int64_t>(statistics.rows_considered));
  append_bool(out, "used_rollup", statistics.used_rollup);
  append_field(out, "elapsed_us", static_cast<std::int64_t>(statistics.elapsed_us));
  out += '}';
}

std::string_view kind_name(query::ColumnKind kind) {
  switch (kind) {
    case query::ColumnKind::kInteger:
      return "integer";
    case query::ColumnKind::kReal:
      return "number";
    case query::ColumnKind::kTime:
      return "time";
    case query::ColumnKind::kText:
      return "text";
    case query::ColumnKind::kList:
      return "list";
    case query::ColumnKind::kNumbers:
      return "numbers";
    case query::ColumnKind::kLabels:
      return "labels";
    case query::ColumnKind::kMembers:
      return "members";
    case query::ColumnKind::kJson:
      return "json";
  }
  return "text";
}

void append_end(std::string& out, std::string_view name, const query::GraphEnd& end, query::GraphLevel level) {
  json::append_string(out, name);
  out += ":{";
  append_field(out, "namespace", end.namespace_name);
  if (level != query::GraphLevel::kNamespace) {
    append_field(out, "workload", end.workload);
    append_field(out, "kind", end.kind);
  }
  append_field(out, "type", end.type);
  out += '}';
}

void append_edge(std::string& out, const query::GraphEdge& edge, query::GraphLevel level) {
  out += '{';
  append_end(out, "source", edge.source, level);
  out += ',';
  append_end(out, "dest", edge.dest, level);
  if (level == query::GraphLevel::kPort) {
    append_field(out, "port", edge.port);
    append_field(out, "protocol", edge.protocol);
  }
  append_field(out, "flows_allowed", edge.flows_allowed);
  append_field(out, "flows_denied", edge.flows_denied);
  append_field(out, "bytes_to_dest", edge.bytes_to_dest);
  append_field(out, "bytes_to_source", edge.bytes_to_source);
  append_field(out, "packets_to_dest", edge.packets_to_dest);
  append_field(out, "packets_to_source", edge.packets_to_source);
  out += '}';
}

}  // namespace

void append_completeness(std::string& out, const query::Completeness& completeness) {
  out += '{';
  append_bool(out, "complete", completeness.complete);
  append_field(out, "nodes", completeness.nodes);
  append_field(out, "lost_events", static_cast<std::int64_t>(completeness.lost_events));
  append_field(out, "dropped_flows", static_cast<std::int64_t>(completeness.dropped_flows));
  append_field(out, "dropped_lines", static_cast<std::int64_t>(completeness.dropped_lines));
  append_bool(out, "beyond_retention", completeness.beyond_retention);
  out += ",\"silent_nodes\":[";
  bool first = true;
  for (const query::Completeness::SilentNode& node : completeness.silent_nodes) {
    out += first ? "{" : ",{";
    first = false;
    append_field(out, "node", node.node);
    append_field(out, "last_seen", node.last_seen);
    out += '}';
  }
  out += "]}";
}

std::string answer_json(const query::Answer& answer) {
  std::string out = "{\"items\":[";
  for (std::size_t i = 0; i < answer.rows.size(); ++i) {
    if (i > 0) out += ',';
    query::append_json_object(out, answer, i);
  }
  out += "],\"columns\":[";
  for (std::size_t i = 0; i < answer.columns.size(); ++i) {
    out += i > 0 ? ",{" : "{";
    append_field(out, "name", answer.columns[i].name);
    append_field(out, "type", kind_name(answer.columns[i].kind));
    out += '}';
  }
  out += "],\"cursor\":";
  if (answer.next_cursor.empty()) {
    out += "null";
  } else {
    json::append_string(out, answer.next_cursor);
  }
  out += ",\"completeness\":";
  append_completeness(out, answer.completeness);
  out += ",\"statistics\":";
  append_statistics(out, answer.statistics);
  return out + "}\n";
}

std::string graph_json(const query::Graph& graph, query::GraphLevel level) {
  std::string out = "{\"edges\":[";
  for (std::size_t i = 0; i < graph.edges.size(); ++i) {
    if (i > 0) out += ',';
    append_edge(out, graph.edges[i], level);
  }
  out += graph.truncated ? "],\"truncated\":true" : "],\"truncated\":false";
  out += ",\"completeness\":";
  append_completeness(out, graph.completeness);
  out += ",\"statistics\":";
  append_statistics(out, graph.statistics);
  return out + "}\n";
}

}  // namespace weir::api
