#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "query/request.h"

/// The service graph and value hints: requests like any other, and what is made of their answers.
namespace weir::query {

/// How far ends are told apart.
enum class GraphLevel : std::uint8_t { kNamespace, kWorkload, kPort };

/// "namespace", "workload", "port".
Result<GraphLevel> graph_level_named(std::string_view name);

struct GraphEnd {
  std::string namespace_name;
  /// Empty at kNamespace. The workload if known, else the name prefix (`pub`, `pvt`, a network set).
  std::string workload, kind;
  /// `wep`, `hep`, `ns`, `net`.
  std::string type;
  friend auto operator<=>(const GraphEnd&, const GraphEnd&) = default;
};

struct GraphEdge {
  GraphEnd source, dest;
  /// kPort only; -1 absent, "" absent.
  std::int64_t port = -1;
  std::string protocol;
  std::int64_t flows_allowed = 0, flows_denied = 0;
  std::int64_t bytes_to_dest = 0, bytes_to_source = 0, packets_to_dest = 0, packets_to_source = 0;
};

struct Graph {
  /// Largest number of bytes first.
  std::vector<GraphEdge> edges;
  /// There are more edges than the request's limit: the largest are here.
  bool truncated = false;
  Completeness completeness;
  Statistics statistics;
};

/// `base` gives range, filter, deduplication and limit.
Request graph_request(const Request& base, GraphLevel level);
/// `answer` is that of graph_request(…, level).
Graph to_graph(const Answer& answer, GraphLevel level);

/// The most frequent values of a field (or a short word such as `ns`, which has several) in range and filter that
/// begin with `prefix`; most frequent first. One request a field.
Result<std::vector<Request>> hint_requests(const Request& base, std::string_view field, std::string_view prefix);
struct Hint {
  std::string value;
  std::int64_t count = 0;
};
std::vector<Hint> merge_hints(const std::vector<Answer>& answers, std::string_view prefix, std::size_t limit);

}  // namespace weir::query
