#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "app/demo_lines.h"
#include "model/flow_record.h"

namespace weir::app {

/// What a live demonstration showed, lost and cost.
class DemoSummary {
 public:
  /// `bytes`: of its line.
  void add_flow(const model::FlowRecord& record, std::size_t bytes);
  void add_lookup(const Lookup& lookup);
  /// A line of a node's agent.log; one that cannot be read is passed over.
  void add_agent_line(const std::string& node, std::string_view line);

  std::uint64_t records() const { return records_; }
  /// For a person, several lines.
  std::string to_string() const;

 private:
  struct Node {
    double cpu_seconds = 0;
    std::uint64_t rss_bytes = 0;
    std::int64_t start = 0, end = 0;
  };
  std::uint64_t records_ = 0, denied_records_ = 0, bytes_ = 0;
  /// Contributions to records: without aggregation, each were a record of its own.
  std::uint64_t flows_ = 0;
  std::uint64_t lookups_ = 0, failed_lookups_ = 0, lookup_records_ = 0;
  /// By source and reason.
  std::map<std::string, std::uint64_t> lost_;
  std::map<std::string, Node> nodes_;
};

}  // namespace weir::app
