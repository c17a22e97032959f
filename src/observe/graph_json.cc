// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include "observe/graph_text.h"

namespace weir::observe {
namespace {

namespace dom = simdjson::dom;

void read_text(const dom::element& object, const char* key, std::string& out) {
  std::string_view text;
  if (object[key].get(text) == simdjson::SUCCESS) out = text;
}

void read_number(const dom::element& object, const char* key, std::int64_t& out) {
  std::int64_t number = 0;
  if (object[key].get(number) == simdjson::SUCCESS) out = number;
}

void read_end(const dom::element& edge, const char* key, query::GraphEnd& end) {
  dom::element object;
  if (edge[key].get(object) != simdjson::SUCCESS) return;
  read_text(object, "namespace", end.namespace_name);
  read_text(object, "workload", end.workload);
  read_text(object, "kind", end.kind);
  read_text(object, "type", end.type);
  if (end.kind == "-") end.kind.clear();
}

}  // namespace

Result<query::Graph> parse_graph(const std::string& json, std::string& completeness) {
  dom::parser parser;
  dom::element root;
  dom::array edges;
  if (parser.parse(json).get(root) != simdjson::SUCCESS || root["edges"].get(edges) != simdjson::SUCCESS) {
    return data_loss("the server's answer is no graph");
  }
  query::Graph graph;
  for (const dom::element item : edges) {
    query::GraphEdge& edge = graph.edges.emplace_back();
    read_end(item, "source", edge.source);
    read_end(item, "dest", edge.dest);
    read_number(item, "port", edge.port);
    read_text(item, "protocol", edge.protocol);
    read_number(item, "flows_allowed", edge.flows_allowed);
    read_number(item, "flows_denied", edge.flows_denied);
    read_number(item, "bytes_to_dest", edge.bytes_to_dest);
    read_number(item, "bytes_to_source", edge.bytes_to_source);
    read_number(item, "packets_to_dest", edge.packets_to_dest);
    read_number(item, "packets_to_source", edge.packets_to_source);
  }
  bool truncated = false;
  if (root["truncated"].get(truncated) == simdjson::SUCCESS) graph.truncated = truncated;
  dom::element complete;
  if (root["completeness"].get(complete) == simdjson::SUCCESS) completeness = simdjson::minify(complete);
  return graph;
}

}  // namespace weir::observe
