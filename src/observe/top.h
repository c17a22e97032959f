#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/flow_record.h"
#include "observe/flow_graph.h"

namespace weir::observe {

/// What is ranked, and by what.
enum class TopOf : std::uint8_t { kSource, kDest, kPair, kNamespace, kPort, kPolicy, kDomain };
enum class TopBy : std::uint8_t { kBytes, kPackets, kFlows, kDenied };
inline constexpr std::string_view kTopOfNames[] = {"source", "dest", "pair", "namespace", "port", "policy", "domain"};
inline constexpr std::string_view kTopByNames[] = {"bytes", "packets", "flows", "denied"};

struct TopRow {
  std::string name;
  Totals totals;
};

std::uint64_t measure(const Totals& totals, TopBy by);

/// Adds records up by one thing, each connection once (TotalsByReporter, edge by edge).
/// Memory: one entry an edge of each name. Threads: one.
class Top {
 public:
  explicit Top(TopOf of) : of_(of) {}
  void add(const model::FlowRecord& record);
  /// What a server added up already. Not for kPolicy and kDomain.
  void add(const query::GraphEdge& edge);
  /// The largest, largest first; those with nothing to rank by are left out.
  std::vector<TopRow> rows(TopBy by, std::size_t count) const;

 private:
  struct Ends {
    std::string source, dest, port;
    std::string_view source_namespace, dest_namespace;
  };
  TotalsByReporter& totals_of(std::string_view name, const Ends& ends);
  template <typename Add>
  void add_ends(const Ends& ends, Add&& add);
  TopOf of_;
  /// By name, and behind a null byte the two ends and the port.
  std::unordered_map<std::string, TotalsByReporter> edges_;
};

/// The names of a row for JSON and CSV, and its figures: "bytes_to_dest", …
std::vector<std::pair<std::string_view, std::uint64_t>> figures(const Totals& totals);

/// A table with a bar for each row's share.
std::string top_table(const std::vector<TopRow>& rows, TopOf of, TopBy by, bool colour);

}  // namespace weir::observe
