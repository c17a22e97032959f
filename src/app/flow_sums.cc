#include "app/flow_sums.h"

#include <cstdio>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "app/observe_files.h"
#include "app/pager.h"
#include "observe/flow_flags.h"
#include "observe/record_scan.h"

namespace weir::app {

SumOptions::SumOptions() : flags(observe::flow_flags(), observe::flow_filter) {}

void SumOptions::add_to(CLI::App& app) {
  source.add_to(app);
  times.add_range_to(app);
  flags.add_to(app);
}

Result<bool> read_flows(const char* command, const CLI::App& app, SumOptions& options,
                        const std::function<void(const model::FlowRecord&)>& on_record) {
  observe::Selection selection;
  TRY_ASSIGN(selection.filter, options.flags.filter(app));
  // Sums are of all.
  options.times.all = true;
  TRY(options.times.select(std::time(nullptr), selection));
  options.source.choose(command);
  TRY_ASSIGN(std::vector<observe::LogFiles> logs, observe::find_log_files(options.source.files, "flows.log"));
  const observe::TimeRange range = selection.range;
  TRY_ASSIGN(auto scan, observe::RecordScan<model::LogType::kFlows>::create(std::move(logs), std::move(selection)));
  Progress progress("reading");
  scan.lines().on_progress([&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
  TRY(scan.run([&](const model::FlowRecord& record, std::string_view) { on_record(record); }));
  progress.clear();
  report_losses(scan.lines().logs(), range);
  return report_bad_lines(command, scan.lines().stats(), false);
}

}  // namespace weir::app
