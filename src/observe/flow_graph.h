#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/flow_record.h"
#include "query/graph.h"

namespace weir::observe {

/// What flow records add up to.
struct Totals {
  std::uint64_t flows_allowed = 0, flows_denied = 0;
  std::uint64_t bytes_to_dest = 0, bytes_to_source = 0, packets_to_dest = 0, packets_to_source = 0;

  void add(const model::FlowRecord& record);
  void add(const Totals& other);
  std::uint64_t flows() const { return flows_allowed + flows_denied; }
  std::uint64_t bytes() const { return bytes_to_dest + bytes_to_source; }
  std::uint64_t packets() const { return packets_to_dest + packets_to_source; }
};

/// Totals of one thing as both ends report it. Where both do, each connection is counted once: of what both counted the
/// larger, for an end may be on a node whose log is not at hand; what the source was denied and what the destination
/// denied are different connections, and the latter were let go by the source.
struct TotalsByReporter {
  Totals source, dest;
  void add(const model::FlowRecord& record) { (record.reporter == "dst" ? dest : source).add(record); }
  Totals once() const;
  /// Of each end its own: where they are different things, such as policies.
  Totals both() const;
};

/// Adds flow records up to the edges of the service graph.
/// Memory: one entry an edge. Threads: one.
class FlowGraph {
 public:
  explicit FlowGraph(query::GraphLevel level) : level_(level) {}
  void add(const model::FlowRecord& record);
  /// Largest number of bytes first; at most `limit`.
  query::Graph graph(std::size_t limit) const;

 private:
  struct Edge {
    query::GraphEdge ends;
    TotalsByReporter totals;
  };
  query::GraphLevel level_;
  /// By the text of its key, at the finest level: what both ends report is told apart by port.
  std::unordered_map<std::string, Edge> edges_;
  std::string key_;
};

}  // namespace weir::observe
