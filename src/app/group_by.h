#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "app/observe_server.h"
#include "app/query_options.h"
#include "base/result.h"
#include "query/request.h"

namespace weir::app {

/// --group-by and what goes with it.
struct GroupOptions {
  std::string group_by, metrics, interval, order;
  std::uint32_t limit = 100;

  void add_to(CLI::App& app);
  bool wanted() const { return !group_by.empty() || !metrics.empty() || !interval.empty(); }
  /// Errors: "metrics: …".
  Result<query::Request> request(const ServerQuestion& question) const;
};

/// The groups as rows of JSON, and the names of their columns.
struct Groups {
  std::vector<std::string> columns, rows;
};
/// Of a server.
Result<Groups> ask_groups(observe::ServerClient& client, const ServerQuestion& question, const GroupOptions& options);
/// Of log files: their records go through a store in a temporary folder, the same one that a server has.
Result<Groups> group_files(const std::vector<std::string>& files, const ServerQuestion& question,
                           const GroupOptions& options);

/// `format`: json, csv, or else a table.
Status print_groups(const Groups& groups, const std::string& format);

}  // namespace weir::app
