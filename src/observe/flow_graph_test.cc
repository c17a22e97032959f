#include "observe/flow_graph.h"

#include <gtest/gtest.h>

#include "observe/graph_text.h"
#include "observe/top.h"

namespace weir::observe {
namespace {

using query::GraphLevel;

struct Report {
  std::string_view reporter, action;
  std::uint64_t flows, to_dest, to_source;
};

/// shop/web to bank/ledger, as one end reports it.
model::FlowRecord record_of(const Report& report) {
  model::FlowRecord r;
  r.reporter = report.reporter;
  r.action = report.action;
  r.protocol = 6;
  r.source_type = r.dest_type = "wep";
  r.source_namespace = "shop";
  r.source_workload = "web";
  r.source_workload_kind = "Deployment";
  r.dest_namespace = "bank";
  r.dest_workload = "ledger";
  r.dest_workload_kind = "Deployment";
  r.dest_port = 5432;
  r.num_flows = report.flows;
  const bool dest = report.reporter == "dst";
  (dest ? r.bytes_in : r.bytes_out) = report.to_dest;
  (dest ? r.bytes_out : r.bytes_in) = report.to_source;
  return r;
}

/// To an address outside.
model::FlowRecord outside_of(const Report& report) {
  model::FlowRecord r = record_of(report);
  r.dest_type = "net";
  r.dest_namespace = r.dest_workload = r.dest_workload_kind = "-";
  r.dest_name_aggr = "pub";
  r.dest_port = 443;
  return r;
}

TEST(FlowGraph, AConnectionThatBothEndsReportCountsOnce) {
  const struct {
    const char* name;
    std::vector<Report> reports;
    std::int64_t allowed, denied, to_dest;
  } cases[] = {
      {"source only", {{"src", "allow", 3, 100, 10}}, 3, 0, 100},
      {"destination only", {{"dst", "allow", 3, 100, 10}}, 3, 0, 100},
      {"both", {{"src", "allow", 3, 100, 10}, {"dst", "allow", 3, 100, 10}}, 3, 0, 100},
      {"one end's log has less", {{"src", "allow", 5, 120, 10}, {"dst", "allow", 3, 100, 10}}, 5, 0, 120},
      {"denied at the source", {{"src", "deny", 2, 0, 0}}, 0, 2, 0},
      {"let go by the source, denied at the destination",
       {{"src", "allow", 4, 60, 0}, {"dst", "deny", 4, 60, 0}},
       0,
       4,
       60},
      {"some denied at either end",
       {{"src", "deny", 1, 0, 0}, {"src", "allow", 5, 60, 0}, {"dst", "deny", 2, 0, 0}, {"dst", "allow", 3, 60, 0}},
       3,
       3,
       60},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    FlowGraph flows(GraphLevel::kPort);
    for (const Report& report : c.reports) flows.add(record_of(report));
    const query::Graph graph = flows.graph(10);
    ASSERT_EQ(graph.edges.size(), 1u);
    EXPECT_EQ(graph.edges[0].flows_allowed, c.allowed);
    EXPECT_EQ(graph.edges[0].flows_denied, c.denied);
    EXPECT_EQ(graph.edges[0].bytes_to_dest, c.to_dest);
    EXPECT_EQ(graph.edges[0].port, 5432);
  }
}

query::Graph small_graph(GraphLevel level) {
  FlowGraph flows(level);
  flows.add(record_of({"src", "allow", 12, 2000, 34'000}));
  model::FlowRecord icmp = record_of({"src", "deny", 1, 84, 0});
  icmp.protocol = 1;
  icmp.dest_port = 8 * 256;
  flows.add(icmp);
  flows.add(outside_of({"src", "deny", 2, 120, 0}));
  return flows.graph(10);
}

TEST(GraphText, TreeMarksWhatWasDenied) {
  EXPECT_EQ(graph_tree(small_graph(GraphLevel::kPort), false),
            "shop\n"
            "└─ web (Deployment)\n"
            "   ├─ ✗ pub          tcp/443   2 denied\n"
            "   ├─ ✗ bank/ledger  icmp/8    1 denied\n"
            "   └─ → bank/ledger  tcp/5432  12 flows, 2000 out, 34.0K in\n");
  EXPECT_EQ(graph_tree(small_graph(GraphLevel::kWorkload), false),
            "shop\n"
            "└─ web (Deployment)\n"
            "   ├─ ✗ pub          2 denied\n"
            "   └─ ◐ bank/ledger  12 flows, 2084 out, 34.0K in, 1 denied\n");
  EXPECT_EQ(graph_tree(small_graph(GraphLevel::kNamespace), true),
            "\x1b[1mshop\x1b[0m\n"
            "├─ \x1b[31m✗\x1b[0m pub   \x1b[31m2 denied\x1b[0m\n"
            "└─ \x1b[33m◐\x1b[0m bank  12 flows, 2084 out, 34.0K in, 1 denied\n");
}

TEST(GraphText, DotAndMermaidHaveANodeAnEnd) {
  EXPECT_EQ(graph_dot(small_graph(GraphLevel::kWorkload)),
            "digraph weir {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n"
            "  subgraph cluster_1 {\n    label=\"bank\";\n    n1 [label=\"ledger\"];\n  }\n"
            "  subgraph cluster_2 {\n    label=\"outside\";\n    n2 [label=\"pub\"];\n  }\n"
            "  subgraph cluster_3 {\n    label=\"shop\";\n    n3 [label=\"web\"];\n  }\n"
            "  n3 -> n1 [label=\"12 flows, 2084 out, 34.0K in, 1 denied\", color=orange];\n"
            "  n3 -> n2 [label=\"2 denied\", color=red, style=dashed];\n}\n");
  EXPECT_EQ(graph_mermaid(small_graph(GraphLevel::kNamespace)),
            "flowchart LR\n  subgraph ns1[\"bank\"]\n    n1[\"bank\"]\n  end\n"
            "  subgraph ns2[\"outside\"]\n    n2[\"pub\"]\n  end\n  subgraph ns3[\"shop\"]\n    n3[\"shop\"]\n  end\n"
            "  n3 -->|\"12 flows, 2084 out, 34.0K in, 1 denied\"| n1\n  n3 -.->|\"2 denied\"| n2\n"
            "  linkStyle 0 stroke:orange\n  linkStyle 1 stroke:red\n");
}

TEST(GraphText, JsonHasEveryEdge) {
  FlowGraph flows(GraphLevel::kPort);
  flows.add(record_of({"src", "allow", 12, 2000, 34}));
  EXPECT_EQ(graph_json(flows.graph(1)),
            R"({"edges":[{"source":{"namespace":"shop","workload":"web","kind":"Deployment","type":"wep"},)"
            R"("dest":{"namespace":"bank","workload":"ledger","kind":"Deployment","type":"wep"},"port":5432,)"
            R"("protocol":"tcp","flows_allowed":12,"flows_denied":0,"bytes_to_dest":2000,"bytes_to_source":34,)"
            R"("packets_to_dest":0,"packets_to_source":0}],"truncated":false})"
            "\n");
}

TEST(Top, RanksWhatIsAskedFor) {
  const auto names_of = [](TopOf of, TopBy by) {
    Top top(of);
    top.add(record_of({"src", "allow", 12, 2000, 34'000}));
    top.add(record_of({"dst", "allow", 12, 2000, 34'000}));
    top.add(outside_of({"src", "deny", 20, 120, 0}));
    std::string names;
    for (const TopRow& row : top.rows(by, 10)) {
      names.append(names.empty() ? "" : ", ")
          .append(row.name)
          .append(" ")
          .append(std::to_string(measure(row.totals, by)));
    }
    return names;
  };
  EXPECT_EQ(names_of(TopOf::kSource, TopBy::kBytes), "shop/web 36120");
  EXPECT_EQ(names_of(TopOf::kDest, TopBy::kBytes), "bank/ledger 36000, pub 120");
  EXPECT_EQ(names_of(TopOf::kDest, TopBy::kFlows), "pub 20, bank/ledger 12");
  EXPECT_EQ(names_of(TopOf::kPair, TopBy::kDenied), "shop/web -> pub 20");
  EXPECT_EQ(names_of(TopOf::kNamespace, TopBy::kFlows), "shop 32, outside 20, bank 12");
  EXPECT_EQ(names_of(TopOf::kPort, TopBy::kBytes), "tcp/5432 36000, tcp/443 120");
  EXPECT_EQ(names_of(TopOf::kPolicy, TopBy::kFlows), "- 44") << "each end decides by policies of its own";
  EXPECT_EQ(names_of(TopOf::kDomain, TopBy::kBytes), "");
}

}  // namespace
}  // namespace weir::observe
