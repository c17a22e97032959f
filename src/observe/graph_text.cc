#include "observe/graph_text.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "base/json.h"
#include "base/text_table.h"
#include "observe/flow_printer.h"
#include "observe/flow_text.h"

namespace weir::observe {
namespace {

using query::Graph;
using query::GraphEdge;
using query::GraphEnd;

constexpr std::string_view kOutside = "outside";

bool has_namespace(const GraphEnd& end) { return !end.namespace_name.empty() && end.namespace_name != "-"; }

std::string namespace_of(const GraphEnd& end) {
  return has_namespace(end) ? end.namespace_name : std::string(kOutside);
}

/// What stands for the end under its namespace.
std::string name_of(const GraphEnd& end) { return end.workload.empty() ? namespace_of(end) : end.workload; }

std::string full_name(const GraphEnd& end) {
  return has_namespace(end) && !end.workload.empty() ? end.namespace_name + "/" + end.workload : name_of(end);
}

std::string port_of(const GraphEdge& edge) { return port_text(edge.protocol, edge.port); }

std::string count_text(std::int64_t count) {
  return short_count(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0)));
}

/// "12 flows, 1.2K → 3.4M"; "12 denied" for what was.
std::string totals_text(const GraphEdge& edge) {
  std::string text;
  if (edge.flows_allowed > 0 || edge.flows_denied == 0) {
    text = count_text(edge.flows_allowed) + (edge.flows_allowed == 1 ? " flow, " : " flows, ") +
           count_text(edge.bytes_to_dest) + " out, " + count_text(edge.bytes_to_source) + " in";
  }
  if (edge.flows_denied > 0) text += (text.empty() ? "" : ", ") + count_text(edge.flows_denied) + " denied";
  return text;
}

bool is_denied(const GraphEdge& edge) { return edge.flows_denied > 0 && edge.flows_allowed == 0; }

std::string edge_line(const GraphEdge& edge, bool colour, std::size_t name_width, std::size_t port_width) {
  const bool denied = is_denied(edge);
  std::string line = painted(colour,
                             denied                  ? kRed
                             : edge.flows_denied > 0 ? kYellow
                                                     : kGreen,
                             denied                  ? "✗"
                             : edge.flows_denied > 0 ? "◐"
                                                     : "→");
  std::string name = full_name(edge.dest), port = port_of(edge);
  name.append(name.size() < name_width ? name_width - name.size() : 0, ' ');
  port.append(port.size() < port_width ? port_width - port.size() : 0, ' ');
  line.append(" ").append(name).append("  ");
  if (port_width > 0) line.append(port).append("  ");
  const std::string totals = totals_text(edge);
  return line + (denied ? painted(colour, kRed, totals) : totals);
}

/// Text between quotes in DOT and Mermaid.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') {
      out += "&quot;";
    } else if (c == '\\') {
      out += "\\\\";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    }
  }
  return out + '"';
}

/// The ends of a graph, numbered, by namespace.
struct Nodes {
  std::map<GraphEnd, std::size_t> ids;
  std::map<std::string, std::vector<GraphEnd>> by_namespace;

  explicit Nodes(const Graph& graph) {
    for (const GraphEdge& edge : graph.edges) {
      for (const GraphEnd* end : {&edge.source, &edge.dest}) {
        if (ids.emplace(*end, 0).second) by_namespace[namespace_of(*end)].push_back(*end);
      }
    }
    std::size_t next = 0;
    for (auto& [name, ends] : by_namespace) {
      std::sort(ends.begin(), ends.end());
      for (const GraphEnd& end : ends) ids[end] = ++next;
    }
  }
  std::string id(const GraphEnd& end) const { return "n" + std::to_string(ids.at(end)); }
};

std::string edge_label(const GraphEdge& edge) {
  const std::string port = port_of(edge);
  return port.empty() ? totals_text(edge) : port + ": " + totals_text(edge);
}

void append_json_end(std::string& out, const GraphEnd& end) {
  out += "{\"namespace\":";
  json::append_string(out, end.namespace_name);
  out += ",\"workload\":";
  json::append_string(out, end.workload);
  out += ",\"kind\":";
  json::append_string(out, end.kind);
  out += ",\"type\":";
  json::append_string(out, end.type);
  out += '}';
}

}  // namespace

std::string graph_tree(const Graph& graph, bool colour) {
  // Namespace, workload and kind, edges by what they lead to.
  std::map<std::string, std::map<std::pair<std::string, std::string>, std::vector<const GraphEdge*>>> tree;
  std::size_t name_width = 0, port_width = 0;
  for (const GraphEdge& edge : graph.edges) {
    tree[namespace_of(edge.source)][{name_of(edge.source), edge.source.kind}].push_back(&edge);
    name_width = std::max(name_width, full_name(edge.dest).size());
    port_width = std::max(port_width, port_of(edge).size());
  }
  std::string text;
  for (auto& [namespace_name, workloads] : tree) {
    text += painted(colour, kBold, namespace_name) + "\n";
    for (auto workload = workloads.begin(); workload != workloads.end(); ++workload) {
      const bool last_workload = std::next(workload) == workloads.end();
      const auto& [name, kind] = workload->first;
      // At the level of namespaces there is nothing between.
      const bool flat = name == namespace_name;
      if (!flat) {
        text += last_workload ? "└─ " : "├─ ";
        text += painted(colour, kCyan, name) + (kind.empty() ? "" : " (" + kind + ")") + "\n";
      }
      std::vector<const GraphEdge*>& edges = workload->second;
      std::sort(edges.begin(), edges.end(), [](const GraphEdge* a, const GraphEdge* b) {
        return std::tie(a->dest, a->protocol, a->port) < std::tie(b->dest, b->protocol, b->port);
      });
      for (std::size_t i = 0; i < edges.size(); ++i) {
        if (!flat) text += last_workload ? "   " : "│  ";
        text += i + 1 == edges.size() ? "└─ " : "├─ ";
        text += edge_line(*edges[i], colour, name_width, port_width) + "\n";
      }
    }
  }
  return text;
}

std::string graph_dot(const Graph& graph) {
  const Nodes nodes(graph);
  std::string text = "digraph weir {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n";
  std::size_t cluster = 0;
  for (const auto& [name, ends] : nodes.by_namespace) {
    text += "  subgraph cluster_" + std::to_string(++cluster) + " {\n    label=" + quoted(name) + ";\n";
    for (const GraphEnd& end : ends) text += "    " + nodes.id(end) + " [label=" + quoted(name_of(end)) + "];\n";
    text += "  }\n";
  }
  for (const GraphEdge& edge : graph.edges) {
    text += "  " + nodes.id(edge.source) + " -> " + nodes.id(edge.dest) + " [label=" + quoted(edge_label(edge));
    if (edge.flows_denied > 0) text += is_denied(edge) ? ", color=red, style=dashed" : ", color=orange";
    text += "];\n";
  }
  return text + "}\n";
}

std::string graph_mermaid(const Graph& graph) {
  const Nodes nodes(graph);
  std::string text = "flowchart LR\n", styles;
  std::size_t cluster = 0;
  for (const auto& [name, ends] : nodes.by_namespace) {
    text += "  subgraph ns" + std::to_string(++cluster) + "[" + quoted(name) + "]\n";
    for (const GraphEnd& end : ends) text += "    " + nodes.id(end) + "[" + quoted(name_of(end)) + "]\n";
    text += "  end\n";
  }
  for (std::size_t i = 0; i < graph.edges.size(); ++i) {
    const GraphEdge& edge = graph.edges[i];
    text += "  " + nodes.id(edge.source) + (is_denied(edge) ? " -.->|" : " -->|") + quoted(edge_label(edge)) + "| " +
            nodes.id(edge.dest) + "\n";
    if (edge.flows_denied > 0) {
      styles += "  linkStyle " + std::to_string(i) + " stroke:" + (is_denied(edge) ? "red" : "orange") + "\n";
    }
  }
  return text + styles;
}

std::string graph_json(const Graph& graph) {
  std::string out = "{\"edges\":[";
  for (const GraphEdge& edge : graph.edges) {
    if (out.back() != '[') out += ',';
    out += "{\"source\":";
    append_json_end(out, edge.source);
    out += ",\"dest\":";
    append_json_end(out, edge.dest);
    out += ",\"port\":";
    json::append_int(out, edge.port);
    out += ",\"protocol\":";
    json::append_string(out, edge.protocol);
    const std::pair<const char*, std::int64_t> counts[] = {
        {"flows_allowed", edge.flows_allowed},     {"flows_denied", edge.flows_denied},
        {"bytes_to_dest", edge.bytes_to_dest},     {"bytes_to_source", edge.bytes_to_source},
        {"packets_to_dest", edge.packets_to_dest}, {"packets_to_source", edge.packets_to_source}};
    for (const auto& [name, count] : counts) {
      out.append(",\"").append(name).append("\":");
      json::append_int(out, count);
    }
    out += '}';
  }
  out += "],\"truncated\":";
  out += graph.truncated ? "true}\n" : "false}\n";
  return out;
}

}  // namespace weir::observe
