#pragma once

#include <string>

#include "base/result.h"
#include "query/graph.h"

/// The service graph for people and for other programs.
namespace weir::observe {

/// A tree: namespace, workload, what it talks to by port. Denied edges are marked with "✗", partly denied ones with
/// "◐".
std::string graph_tree(const query::Graph& graph, bool colour);
/// Graphviz; a cluster a namespace, denied edges red and dashed.
std::string graph_dot(const query::Graph& graph);
/// A Mermaid flowchart; a subgraph a namespace, denied edges dotted.
std::string graph_mermaid(const query::Graph& graph);
/// One object {"edges":[{"source":{…},"dest":{…},"port":…,"protocol":…,"flows_allowed":…,…},…],"truncated":false}.
std::string graph_json(const query::Graph& graph);

/// The graph that a server answered with, and the JSON of its completeness.
Result<query::Graph> parse_graph(const std::string& json, std::string& completeness);

}  // namespace weir::observe
