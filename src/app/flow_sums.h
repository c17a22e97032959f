#pragma once

#include <functional>
#include <string>

#include "app/query_options.h"
#include "base/result.h"
#include "model/flow_record.h"

namespace weir::app {

/// Which flows a command adds up: source, range, filters.
struct SumOptions {
  SumOptions();
  SourceOptions source;
  TimeOptions times;
  FilterOptions flags;

  void add_to(CLI::App& app);
};

/// Shows every record of log files that the options select. False if lines were damaged (reported).
Result<bool> read_flows(const char* command, const CLI::App& app, SumOptions& options,
                        const std::function<void(const model::FlowRecord&)>& on_record);

}  // namespace weir::app
