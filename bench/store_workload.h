#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flowlog/flow_log.h"
#include "model/flow_record.h"
#include "random.h"

/// Flow records of a cluster of 100 nodes: 60,000 edges between 5000 workloads of 200 namespaces, 5 % denied, a tenth
/// with an address, reported in windows of 300 s. The same seed gives the same rows.
namespace weir::bench {

inline constexpr std::int64_t kStoreBenchStart = 1'767'225'600;  // 2026-01-01 00:00 UTC
inline constexpr std::uint64_t kRowsOfWindow = 34'723;           // 10 million a day

class StoreWorkload {
 public:
  explicit StoreWorkload(std::uint64_t seed = 42);

  /// Appends `count` lines of flows.log from row `first` on, in the order of their arrival.
  void append_lines(std::uint64_t first, std::uint64_t count, std::string& out);
  /// Window start of a row.
  static std::int64_t time_of(std::uint64_t row) {
    return kStoreBenchStart + 300 * static_cast<std::int64_t>(row / kRowsOfWindow);
  }

 private:
  struct Workload {
    std::string namespace_name, name, name_aggr;
    model::LabelSet labels;
  };
  struct Edge {
    std::uint32_t source, dest;
    std::uint16_t port;
    bool denied, external;
    std::uint32_t bytes;
    model::PolicyTrace enforced, pending;
    std::string service;
  };
  void append_line(std::uint64_t row, std::string& out);

  Random random_;
  std::vector<Workload> workloads_;
  std::vector<Edge> edges_;
  flowlog::FlowLogWriter writer_;
};

}  // namespace weir::bench
