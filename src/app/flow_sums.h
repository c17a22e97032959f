#pragma once

#include <functional>
#include <optional>
#include <string>

#include "app/observe_server.h"
#include "app/query_options.h"
#include "base/result.h"
#include "model/flow_record.h"
#include "query/graph.h"

namespace weir::app {

/// Which flows a command adds up: source, range, filters.
struct SumOptions {
  SumOptions();
  SourceOptions source;
  TimeOptions times;
  FilterOptions flags;

  void add_to(CLI::App& app);
};

/// Where the flows of a command are.
struct FlowSource {
  /// None: log files.
  std::optional<observe::ServerClient> server;
  ServerQuestion question;
};
/// Of a server without --since: the last hour.
Result<FlowSource> open_flows(const char* command, const CLI::App& app, SumOptions& options);

/// Shows every record that the options select. False if lines were damaged (reported).
Result<bool> read_flows(const char* command, FlowSource& source, const SumOptions& options,
                        const std::function<void(const model::FlowRecord&)>& on_record);

/// The graph of a server's flows at a level.
Result<query::Graph> ask_graph(FlowSource& source, query::GraphLevel level, std::size_t limit);

}  // namespace weir::app
