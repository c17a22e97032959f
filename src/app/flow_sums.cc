#include "app/flow_sums.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "app/observe_files.h"
#include "app/pager.h"
#include "flowlog/flow_log_reader.h"
#include "observe/flow_flags.h"
#include "observe/graph_text.h"
#include "observe/record_scan.h"

namespace weir::app {

SumOptions::SumOptions() : flags(observe::flow_flags(), observe::flow_filter) {}

void SumOptions::add_to(CLI::App& app) {
  source.add_to(app);
  times.add_range_to(app);
  flags.add_to(app);
}

Result<FlowSource> open_flows(const char* command, const CLI::App& app, SumOptions& options) {
  FlowSource source;
  TRY_ASSIGN(source.question.selection.filter, options.flags.filter(app));
  // Sums are of all.
  options.times.all = true;
  const std::int64_t now = std::time(nullptr);
  TRY(options.times.select(now, source.question.selection));
  source.question.deduplicate = !options.source.all_reporters;
  TRY_ASSIGN(source.server, options.source.open(command));
  constexpr std::int64_t kHour = 3600;
  if (source.server && options.times.since.empty()) {
    source.question.selection.range.from = std::min(now, source.question.selection.range.to) - kHour;
  }
  return source;
}

Result<bool> read_flows(const char* command, FlowSource& source, const SumOptions& options,
                        const std::function<void(const model::FlowRecord&)>& on_record) {
  Progress progress("reading");
  if (source.server) {
    flowlog::FlowLogReader reader;
    std::uint64_t rows = 0;
    Status failure;
    TRY(ask_rows(*source.server, source.question, [&](std::string_view line) {
      const auto record = reader.read(line);
      if (record.ok()) on_record(*record.value());
      if (!record.ok()) failure = record.error();
      progress.show(++rows, 0);
      return failure.ok();
    }));
    TRY(failure);
    return true;
  }
  TRY_ASSIGN(std::vector<observe::LogFiles> logs, observe::find_log_files(options.source.files, "flows.log"));
  TRY_ASSIGN(auto scan,
             observe::RecordScan<model::LogType::kFlows>::create(std::move(logs), source.question.selection));
  scan.lines().on_progress([&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
  TRY(scan.run([&](const model::FlowRecord& record, std::string_view) { on_record(record); }));
  progress.clear();
  report_losses(scan.lines().logs(), source.question.selection.range);
  return report_bad_lines(command, scan.lines().stats(), false);
}

Result<query::Graph> ask_graph(FlowSource& source, query::GraphLevel level, std::size_t limit) {
  constexpr const char* kLevels[] = {"namespace", "workload", "port"};
  observe::ServerClient::Parameters parameters = parameters_of(source.question);
  parameters.emplace_back("level", kLevels[static_cast<std::size_t>(level)]);
  parameters.emplace_back("limit", std::to_string(limit));
  TRY_ASSIGN(const std::string body, source.server->get_json("/api/v1/graph", parameters));
  std::string completeness;
  TRY_ASSIGN(query::Graph graph, observe::parse_graph(body, completeness));
  std::fputs(observe::completeness_text(completeness, true).c_str(), stderr);
  return graph;
}

}  // namespace weir::app
