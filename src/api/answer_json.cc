#include "api/internal/answer_json.h"

#include "base/json_writer.h"

namespace weir::api {
namespace {

void write_statistics(JsonWriter& w, const query::Statistics& statistics) {
  w.open("statistics", '{');
  w.number("segments_read", statistics.segments_read);
  w.number("segments_skipped", statistics.segments_skipped);
  w.number("rows_considered", statistics.rows_considered);
  w.truth("used_rollup", statistics.used_rollup);
  w.number("elapsed_us", statistics.elapsed_us);
  w.close('}');
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

void write_end(JsonWriter& w, std::string_view name, const query::GraphEnd& end, query::GraphLevel level) {
  w.open(name, '{');
  w.text("namespace", end.namespace_name);
  if (level != query::GraphLevel::kNamespace) {
    w.text("workload", end.workload);
    w.text("kind", end.kind);
  }
  w.text("type", end.type);
  w.close('}');
}

void write_edge(JsonWriter& w, const query::GraphEdge& edge, query::GraphLevel level) {
  w.open('{');
  write_end(w, "source", edge.source, level);
  write_end(w, "dest", edge.dest, level);
  if (level == query::GraphLevel::kPort) {
    w.number("port", edge.port);
    w.text("protocol", edge.protocol);
  }
  w.number("flows_allowed", edge.flows_allowed);
  w.number("flows_denied", edge.flows_denied);
  w.number("bytes_to_dest", edge.bytes_to_dest);
  w.number("bytes_to_source", edge.bytes_to_source);
  w.number("packets_to_dest", edge.packets_to_dest);
  w.number("packets_to_source", edge.packets_to_source);
  w.close('}');
}

/// The members that every answer ends with.
void write_end_of_answer(JsonWriter& w, std::string& out, const query::Completeness& completeness,
                         const query::Statistics& statistics) {
  w.key("completeness");
  append_completeness(out, completeness);
  write_statistics(w, statistics);
  w.close('}');
  out += '\n';
}

}  // namespace

void append_completeness(std::string& out, const query::Completeness& completeness) {
  JsonWriter w(out);
  w.open('{');
  w.truth("complete", completeness.complete);
  w.number("nodes", completeness.nodes);
  w.number("lost_events", completeness.lost_events);
  w.number("dropped_flows", completeness.dropped_flows);
  w.number("dropped_lines", completeness.dropped_lines);
  w.truth("beyond_retention", completeness.beyond_retention);
  w.open("silent_nodes", '[');
  for (const query::Completeness::SilentNode& node : completeness.silent_nodes) {
    w.open('{');
    w.text("node", node.node);
    w.number("last_seen", node.last_seen);
    w.close('}');
  }
  w.close(']');
  w.close('}');
}

std::string answer_json(const query::Answer& answer) {
  std::string out;
  JsonWriter w(out);
  w.open('{');
  w.open("items", '[');
  for (std::size_t i = 0; i < answer.rows.size(); ++i) {
    if (i > 0) out += ',';
    query::append_json_object(out, answer, i);
  }
  w.close(']');
  w.open("columns", '[');
  for (const query::Column& column : answer.columns) {
    w.open('{');
    w.text("name", column.name);
    w.text("type", kind_name(column.kind));
    w.close('}');
  }
  w.close(']');
  w.text_or_null("cursor", answer.next_cursor);
  write_end_of_answer(w, out, answer.completeness, answer.statistics);
  return out;
}

std::string graph_json(const query::Graph& graph, query::GraphLevel level) {
  std::string out;
  JsonWriter w(out);
  w.open('{');
  w.open("edges", '[');
  for (const query::GraphEdge& edge : graph.edges) write_edge(w, edge, level);
  w.close(']');
  w.truth("truncated", graph.truncated);
  write_end_of_answer(w, out, graph.completeness, graph.statistics);
  return out;
}

}  // namespace weir::api
