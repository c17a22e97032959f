#include "observe/flow_graph.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "model/protocol.h"

namespace weir::observe {
namespace {

using query::GraphEnd;
using query::GraphLevel;

GraphEnd end_of(std::string_view type, std::string_view namespace_name, std::string_view workload,
                std::string_view kind, std::string_view name_aggr) {
  GraphEnd end;
  end.namespace_name = namespace_name;
  end.type = type;
  end.workload = workload != "-" ? workload : name_aggr;
  if (workload != "-" && kind != "-") end.kind = kind;
  return end;
}

/// What the end is part of. Ends outside have no namespace: they are told apart by their kind of address at every
/// level.
GraphEnd coarsened(GraphEnd end, GraphLevel level) {
  if (level != GraphLevel::kNamespace || end.namespace_name == "-") return end;
  return {.namespace_name = std::move(end.namespace_name), .workload = {}, .kind = {}, .type = {}};
}

void add(query::GraphEdge& edge, const Totals& totals) {
  edge.flows_allowed += static_cast<std::int64_t>(totals.flows_allowed);
  edge.flows_denied += static_cast<std::int64_t>(totals.flows_denied);
  edge.bytes_to_dest += static_cast<std::int64_t>(totals.bytes_to_dest);
  edge.bytes_to_source += static_cast<std::int64_t>(totals.bytes_to_source);
  edge.packets_to_dest += static_cast<std::int64_t>(totals.packets_to_dest);
  edge.packets_to_source += static_cast<std::int64_t>(totals.packets_to_source);
}

void append_end(std::string& key, const GraphEnd& end) {
  for (const std::string* part : {&end.namespace_name, &end.workload, &end.kind, &end.type}) {
    key.append(*part).push_back('\0');
  }
}

}  // namespace

void Totals::add(const model::FlowRecord& r) {
  (r.action == "deny" ? flows_denied : flows_allowed) += r.num_flows;
  const bool dest = r.reporter == "dst";
  bytes_to_dest += dest ? r.bytes_in : r.bytes_out;
  bytes_to_source += dest ? r.bytes_out : r.bytes_in;
  packets_to_dest += dest ? r.packets_in : r.packets_out;
  packets_to_source += dest ? r.packets_out : r.packets_in;
}

void Totals::add(const Totals& other) {
  flows_allowed += other.flows_allowed;
  flows_denied += other.flows_denied;
  bytes_to_dest += other.bytes_to_dest;
  bytes_to_source += other.bytes_to_source;
  packets_to_dest += other.packets_to_dest;
  packets_to_source += other.packets_to_source;
}

Totals TotalsByReporter::once() const {
  Totals once;
  once.flows_denied = source.flows_denied + dest.flows_denied;
  const std::uint64_t let_through = source.flows_allowed - std::min(source.flows_allowed, dest.flows_denied);
  once.flows_allowed = std::max(dest.flows_allowed, let_through);
  once.bytes_to_dest = std::max(source.bytes_to_dest, dest.bytes_to_dest);
  once.bytes_to_source = std::max(source.bytes_to_source, dest.bytes_to_source);
  once.packets_to_dest = std::max(source.packets_to_dest, dest.packets_to_dest);
  once.packets_to_source = std::max(source.packets_to_source, dest.packets_to_source);
  return once;
}

Totals TotalsByReporter::both() const {
  Totals sum = source;
  sum.add(dest);
  return sum;
}

void FlowGraph::add(const model::FlowRecord& r) {
  query::GraphEdge edge;
  edge.source =
      end_of(r.source_type, r.source_namespace, r.source_workload, r.source_workload_kind, r.source_name_aggr);
  edge.dest = end_of(r.dest_type, r.dest_namespace, r.dest_workload, r.dest_workload_kind, r.dest_name_aggr);
  if (r.dest_port) edge.port = *r.dest_port;
  edge.protocol = model::protocol_name(r.protocol);
  key_.clear();
  append_end(key_, edge.source);
  append_end(key_, edge.dest);
  key_.append(edge.protocol).push_back('\0');
  key_.append(std::to_string(edge.port));
  const auto [found, is_new] = edges_.try_emplace(key_);
  if (is_new) found->second.ends = std::move(edge);
  found->second.totals.add(r);
}

query::Graph FlowGraph::graph(std::size_t limit) const {
  std::map<std::tuple<GraphEnd, GraphEnd, std::string, std::int64_t>, query::GraphEdge> coarse;
  for (const auto& [key, edge] : edges_) {
    query::GraphEdge ends = edge.ends;
    ends.source = coarsened(std::move(ends.source), level_);
    ends.dest = coarsened(std::move(ends.dest), level_);
    if (level_ != GraphLevel::kPort) {
      ends.port = -1;
      ends.protocol.clear();
    }
    const auto found = coarse.try_emplace({ends.source, ends.dest, ends.protocol, ends.port}, ends).first;
    observe::add(found->second, edge.totals.once());
  }
  query::Graph graph;
  for (auto& [key, edge] : coarse) graph.edges.push_back(std::move(edge));
  const auto before = [](const query::GraphEdge& a, const query::GraphEdge& b) {
    const std::int64_t bytes_a = a.bytes_to_dest + a.bytes_to_source, bytes_b = b.bytes_to_dest + b.bytes_to_source;
    if (bytes_a != bytes_b) return bytes_a > bytes_b;
    return std::tie(a.source, a.dest, a.protocol, a.port) < std::tie(b.source, b.dest, b.protocol, b.port);
  };
  std::sort(graph.edges.begin(), graph.edges.end(), before);
  graph.truncated = graph.edges.size() > limit;
  if (graph.truncated) graph.edges.resize(limit);
  return graph;
}

}  // namespace weir::observe
