#include "query/graph.h"

#include <gtest/gtest.h>

#include <string>

#include "filter/filter.h"

namespace weir::query {
namespace {

Request base() {
  Request request;
  request.from = 100;
  request.to = 400;
  return request;
}

TEST(Graph, JoinsAllowedAndDeniedOfAnEdge) {
  const Request request = graph_request(base(), GraphLevel::kPort);
  ASSERT_TRUE(validate(request).ok());
  Answer answer;
  const auto row = [](const char* action, std::int64_t flows, std::int64_t bytes) {
    std::vector<Value> values;
    for (const char* text : {"shop", "wep", "web", "Deployment", "web-*", "-", "net", "-", "-", "pub"}) {
      values.emplace_back(std::string(text));
    }
    values.insert(values.end(), {std::int64_t{443}, std::string("tcp"), std::string(action), bytes, flows, bytes,
                                 std::int64_t{0}, std::int64_t{1}, std::int64_t{0}});
    return values;
  };
  answer.rows = {row("allow", 5, 1000), row("deny", 2, 60)};
  const Graph graph = to_graph(answer, GraphLevel::kPort);
  ASSERT_EQ(graph.edges.size(), 1u);
  const GraphEdge& edge = graph.edges[0];
  EXPECT_EQ(edge.source.workload, "web");
  EXPECT_EQ(edge.source.kind, "Deployment");
  EXPECT_EQ(edge.dest.workload, "pub");
  EXPECT_EQ(edge.dest.kind, "");
  EXPECT_EQ(edge.port, 443);
  EXPECT_EQ(edge.flows_allowed, 5);
  EXPECT_EQ(edge.flows_denied, 2);
  EXPECT_EQ(edge.bytes_to_dest, 1060);
}

TEST(Hints, AskForEveryFieldOfAWordByItsPrefix) {
  const auto requests = hint_requests(base(), "ns", "a\"b\\c*");
  ASSERT_TRUE(requests.ok());
  ASSERT_EQ(requests.value().size(), 2u);
  for (const Request& request : requests.value()) ASSERT_TRUE(validate(request).ok()) << request.filter;
  const auto filter = filter::Filter::compile(requests.value()[0].filter);
  model::FlowRecord record;
  record.source_namespace = "a\"b\\c*d";
  EXPECT_TRUE(filter.value().matches(record));
  record.source_namespace = "a\"b\\cd";
  EXPECT_FALSE(filter.value().matches(record));
  EXPECT_FALSE(hint_requests(base(), "labels", "").ok());
  EXPECT_FALSE(hint_requests(base(), "nsx", "").ok());
}

TEST(Hints, AreMergedMostFrequentFirst) {
  Answer a, b;
  a.rows = {{std::string("web"), std::int64_t{3}}, {std::string("-"), std::int64_t{9}}};
  b.rows = {{std::string("db"), std::int64_t{4}}, {std::string("web"), std::int64_t{2}}};
  const auto hints = merge_hints({a, b}, "", 10);
  ASSERT_EQ(hints.size(), 2u);
  EXPECT_EQ(hints[0].value, "web");
  EXPECT_EQ(hints[0].count, 5);
}

}  // namespace
}  // namespace weir::query
