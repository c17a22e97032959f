// `weir graph`: the service graph of flow records.

#include <cstdio>
#include <optional>
#include <string>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/flow_sums.h"
#include "app/output_options.h"
#include "app/pager.h"
#include "observe/flow_graph.h"
#include "observe/graph_text.h"

namespace weir::app {
namespace {

constexpr const char* kCommand = "weir graph";

struct GraphOptions {
  SumOptions flows;
  std::string output = "tree", level = "port", colour = "auto";
  std::size_t limit = 10'000;
  bool no_pager = false;
};

std::string text_of(const query::Graph& graph, const GraphOptions& options) {
  if (options.output == "dot") return observe::graph_dot(graph);
  if (options.output == "mermaid") return observe::graph_mermaid(graph);
  if (options.output == "json") return observe::graph_json(graph);
  return observe::graph_tree(graph, wants_colour(options.colour));
}

Result<int> show(const CLI::App& app, GraphOptions& options) {
  TRY_ASSIGN(const query::GraphLevel level, query::graph_level_named(options.level));
  TRY_ASSIGN(FlowSource source, open_flows(kCommand, app, options.flows));
  bool whole = true;
  query::Graph graph;
  if (source.server) {
    TRY_ASSIGN(graph, ask_graph(source, level, options.limit));
  } else {
    observe::FlowGraph flows(level);
    TRY_ASSIGN(whole, read_flows(kCommand, source, options.flows,
                                 [&](const model::FlowRecord& record) { flows.add(record); }));
    graph = flows.graph(options.limit);
  }
  const std::string text = text_of(graph, options);
  {
    const Pager pager(options.output == "tree" && !options.no_pager);
    std::fputs(text.c_str(), stdout);
  }
  if (graph.truncated) {
    std::fprintf(stderr, "%s: the %zu edges with the most bytes; there are more (--limit)\n", kCommand, options.limit);
  }
  return whole ? 0 : 1;
}

}  // namespace

int run_graph(std::span<const char* const> args) {
  GraphOptions options;
  CLI::App app("Shows who talks to whom, as a graph of namespaces, workloads and ports.", kCommand);
  options.flows.add_to(app);
  app.add_option("-o,--output", options.output, "tree, dot (Graphviz), mermaid, json")
      ->check(CLI::IsMember({"tree", "dot", "mermaid", "json"}))
      ->capture_default_str()
      ->group("Output");
  app.add_option("--level", options.level, "namespace, workload or port")
      ->check(CLI::IsMember({"namespace", "workload", "port"}))
      ->capture_default_str()
      ->group("Output");
  app.add_option("--limit", options.limit, "edges, those with the most bytes")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}))
      ->capture_default_str()
      ->group("Output");
  add_terminal_options(app, options.colour, options.no_pager);
  app.footer("Exit code: 0 done, 1 failed or lines were damaged, 2 usage. docs/cli.md has examples.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const Result<int> done = show(app, options);
  return done.ok() ? done.value() : report(kCommand, done.error());
}

}  // namespace weir::app
