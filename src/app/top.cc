// `weir top`: who or what has the most of the traffic.

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/flow_sums.h"
#include "app/output_options.h"
#include "app/pager.h"
#include "base/json.h"
#include "observe/json_columns.h"
#include "observe/top.h"

namespace weir::app {
namespace {

constexpr const char* kCommand = "weir top";

struct TopOptions {
  SumOptions flows;
  std::string of = "source", by = "bytes", output = "table", colour = "auto";
  std::size_t count = 10;
  bool no_pager = false;
};

template <typename Enum, std::size_t kSize>
Enum named(const std::string_view (&names)[kSize], const std::string& name) {
  return static_cast<Enum>(std::find(std::begin(names), std::end(names), name) - std::begin(names));
}

std::string json_text(const std::vector<observe::TopRow>& rows, const std::string& of) {
  std::string out;
  for (const observe::TopRow& row : rows) {
    out += "{";
    json::append_string(out, of);
    out += ":";
    json::append_string(out, row.name);
    for (const auto& [name, value] : observe::figures(row.totals)) {
      out.append(",\"").append(name).append("\":");
      json::append_uint(out, value);
    }
    out += "}\n";
  }
  return out;
}

std::string csv_text(const std::vector<observe::TopRow>& rows, const std::string& of) {
  std::string out = of;
  for (const auto& [name, value] : observe::figures({})) out.append(",").append(name);
  out += "\r\n";
  for (const observe::TopRow& row : rows) {
    observe::append_csv_cell(out, row.name);
    for (const auto& [name, value] : observe::figures(row.totals)) out.append(",").append(std::to_string(value));
    out += "\r\n";
  }
  return out;
}

Result<int> show(const CLI::App& app, TopOptions& options) {
  const auto of = named<observe::TopOf>(observe::kTopOfNames, options.of);
  const auto by = named<observe::TopBy>(observe::kTopByNames, options.by);
  TRY_ASSIGN(FlowSource source, open_flows(kCommand, app, options.flows));
  observe::Top top(of);
  bool whole = true;
  // Policies and domains are no part of the graph.
  if (source.server && of != observe::TopOf::kPolicy && of != observe::TopOf::kDomain) {
    constexpr std::size_t kMostEdges = 100'000;
    TRY_ASSIGN(const query::Graph graph, ask_graph(source, query::GraphLevel::kPort, kMostEdges));
    if (graph.truncated) std::fprintf(stderr, "%s: of the %zu largest edges\n", kCommand, kMostEdges);
    for (const query::GraphEdge& edge : graph.edges) top.add(edge);
  } else {
    TRY_ASSIGN(whole,
               read_flows(kCommand, source, options.flows, [&](const model::FlowRecord& record) { top.add(record); }));
  }
  const std::vector<observe::TopRow> rows = top.rows(by, options.count);
  const std::string text = options.output == "json"  ? json_text(rows, options.of)
                           : options.output == "csv" ? csv_text(rows, options.of)
                                                     : observe::top_table(rows, of, by, wants_colour(options.colour));
  {
    const Pager pager(options.output == "table" && !options.no_pager);
    std::fputs(text.c_str(), stdout);
  }
  return whole ? 0 : 1;
}

}  // namespace

int run_top(std::span<const char* const> args) {
  TopOptions options;
  CLI::App app("Shows who or what has the most of the traffic.", kCommand);
  app.add_option("what", options.of, "source, dest, pair, namespace, port, policy or domain")
      ->check(CLI::IsMember({"source", "dest", "pair", "namespace", "port", "policy", "domain"}))
      ->capture_default_str();
  // -n is the namespace, as everywhere.
  app.add_option("--count,--top", options.count, "how many")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}))
      ->capture_default_str()
      ->group("Output");
  app.add_option("--by", options.by, "bytes, packets, flows or denied (flows)")
      ->check(CLI::IsMember({"bytes", "packets", "flows", "denied"}))
      ->capture_default_str()
      ->group("Output");
  app.add_option("-o,--output", options.output, "table, json, csv")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str()
      ->group("Output");
  add_terminal_options(app, options.colour, options.no_pager);
  options.flows.add_to(app);
  app.footer("Exit code: 0 done, 1 failed or lines were damaged, 2 usage. docs/cli.md has examples.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const Result<int> done = show(app, options);
  return done.ok() ? done.value() : report(kCommand, done.error());
}

}  // namespace weir::app
