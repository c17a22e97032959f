// `weir observe`: flow records out of a node's files or a server, filtered and printed as `hubble observe` does flows.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/observe_files.h"
#include "app/pager.h"
#include "app/query_options.h"
#include "observe/flow_printer.h"
#include "observe/follower.h"

namespace weir::app {
namespace {

constexpr const char* kCommand = "weir observe";

const std::vector<std::pair<std::string, observe::Format>> kFormats = {
    {"compact", observe::Format::kCompact}, {"table", observe::Format::kTable}, {"tab", observe::Format::kTable},
    {"dict", observe::Format::kDict},       {"json", observe::Format::kJson},   {"jsonpb", observe::Format::kJsonpb},
    {"csv", observe::Format::kCsv}};

struct ObserveOptions {
  SourceOptions source;
  TimeOptions times;
  FlowFlagOptions flags;
  std::string output = "compact", colour = "auto", time_format = "StampMilli", columns;
  bool print_node = false, policy_names = true, numeric = false, print_filter = false, silent = false, no_pager = false;
};

void add_output_options(CLI::App& app, ObserveOptions& options) {
  app.add_option("-o,--output", options.output, "compact, table, dict, json, jsonpb (Hubble's flow JSON), csv")
      ->check(CLI::IsMember({"compact", "table", "tab", "dict", "json", "jsonpb", "csv"}))
      ->capture_default_str()
      ->group("Output");
  app.add_option("--field-mask,--columns", options.columns,
                 "json, jsonpb: only these members, csv: these columns; a comma list, nested ones with dots")
      ->group("Output");
  app.add_option("--time-format", options.time_format,
                 "StampMilli, YearMonthDay, YearMonthDayHour, YearMonthDayHourMinute, RFC3339, RFC3339Milli, "
                 "RFC3339Micro, RFC3339Nano, RFC1123Z, or a pattern of strftime")
      ->capture_default_str()
      ->group("Output");
  app.add_flag("--print-node-name", options.print_node, "with the node that reports")->group("Output");
  app.add_flag("--print-policy-names,!--no-policy-names", options.policy_names, "with the rule that decided (default)")
      ->group("Output");
  app.add_flag("--numeric", options.numeric, "addresses instead of names, where records have them")->group("Output");
  app.add_option("--color", options.colour, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str()
      ->group("Output");
  app.add_flag("--no-pager", options.no_pager, "do not page on a terminal")->group("Output");
  app.add_flag("-s,--silent-errors", options.silent, "say nothing of lines that are no records")->group("Output");
  app.add_flag("--print-raw-filters", options.print_filter, "print the filter that the flags mean, and end")
      ->group("Output");
}

Result<observe::PrintOptions> print_options(const ObserveOptions& options) {
  observe::PrintOptions print;
  print.format = std::find_if(kFormats.begin(), kFormats.end(), [&](const auto& known) {
                   return known.first == options.output;
                 })->second;
  if (print.format == observe::Format::kTable && options.times.follow) {
    return invalid_argument("-o table and --follow cannot be combined: a table is as wide as its widest row");
  }
  TRY_ASSIGN(print.time, observe::parse_time_format(options.time_format));
  print.columns = split_list(options.columns);
  const bool has_columns = print.format == observe::Format::kJson || print.format == observe::Format::kJsonpb ||
                           print.format == observe::Format::kCsv;
  if (!print.columns.empty() && !has_columns) return invalid_argument("--field-mask goes with -o json, jsonpb or csv");
  print.node_name = options.print_node;
  print.policy_names = options.policy_names;
  print.numeric = options.numeric;
  print.colour = wants_colour(options.colour);
  return print;
}

class FileObserver {
 public:
  FileObserver(observe::RecordScan<model::LogType::kFlows> scan, observe::FlowPrinter printer, OutputFile out)
      : scan_(std::move(scan)), printer_(std::move(printer)), out_(std::move(out)) {}

  Status run(bool follow) {
    Progress progress("reading");
    scan_.lines().on_progress([&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
    if (follow) scan_.lines().leave_unfinished();
    printer_.begin(out_.buffer());
    TRY(scan_.run([&](const model::FlowRecord& record, std::string_view line) { print(record, line); }));
    progress.clear();
    if (follow) TRY(follow_files());
    printer_.end(out_.buffer());
    TRY(failure_);
    return out_.close();
  }
  const observe::ScanStats& stats() { return scan_.lines().stats(); }
  const std::vector<observe::LogFiles>& logs() { return scan_.lines().logs(); }
  /// Of the records that were printed.
  observe::TimeRange printed_range() const { return printed_; }

 private:
  void print(const model::FlowRecord& record, std::string_view line) {
    printed_.from = std::min(printed_.from, record.start_time);
    printed_.to = std::max(printed_.to, record.end_time);
    printer_.print(record, line, record.host == "-" ? std::string_view() : record.host, out_.buffer());
    if (failure_.ok()) failure_ = out_.flush_if_large();
  }

  Status follow_files() {
    TRY(out_.flush());
    std::vector<observe::LogFiles>& logs = scan_.lines().logs();
    TRY_ASSIGN(LogWait wait, LogWait::create(logs));
    std::vector<observe::Follower> followers;
    for (std::size_t log = 0; log < logs.size(); ++log) {
      if (logs[log].path == "-") continue;
      followers.emplace_back(std::move(logs[log].generations.back()), scan_.lines().end_of(log));
    }
    // Standard input has ended.
    while (!followers.empty() && failure_.ok()) {
      for (std::size_t log = 0; log < followers.size(); ++log) {
        TRY(followers[log].poll([&](std::string_view line) {
          scan_.offer({line, log},
                      [&](const model::FlowRecord& record, std::string_view text) { print(record, text); });
        }));
      }
      TRY(out_.flush());
      wait.wait();
    }
    return {};
  }

  observe::RecordScan<model::LogType::kFlows> scan_;
  observe::FlowPrinter printer_;
  OutputFile out_;
  observe::TimeRange printed_{std::numeric_limits<std::int64_t>::max(), 0};
  Status failure_;
};

Result<int> observe_files(const ObserveOptions& options, observe::Selection selection) {
  TRY_ASSIGN(observe::PrintOptions print, print_options(options));
  const bool people_read = print.format == observe::Format::kCompact || print.format == observe::Format::kTable ||
                           print.format == observe::Format::kDict;
  TRY_ASSIGN(std::vector<observe::LogFiles> logs, observe::find_log_files(options.source.files, "flows.log"));
  TRY_ASSIGN(auto scan, observe::RecordScan<model::LogType::kFlows>::create(std::move(logs), std::move(selection)));
  TRY_ASSIGN(OutputFile out, OutputFile::open("-"));
  FileObserver observer(std::move(scan), observe::FlowPrinter(std::move(print)), std::move(out));
  {
    const Pager pager(people_read && !options.times.follow && !options.no_pager);
    TRY(observer.run(options.times.follow));
  }
  report_losses(observer.logs(), observer.printed_range());
  return report_bad_lines(kCommand, observer.stats(), options.silent) ? 0 : 1;
}

Result<int> observe(const CLI::App& app, ObserveOptions& options) {
  observe::Selection selection;
  TRY_ASSIGN(selection.filter, options.flags.filter(app));
  if (options.print_filter) {
    std::printf("%s\n", selection.filter.c_str());
    return 0;
  }
  TRY(options.times.select(std::time(nullptr), selection));
  if (options.source.files.empty()) {
    std::fprintf(stderr, "%s: reading %s\n", kCommand, kLogDirectory);
    options.source.files = {kLogDirectory};
  }
  return observe_files(options, std::move(selection));
}

}  // namespace

int run_observe(std::span<const char* const> args) {
  // `hubble observe flows` is the same.
  if (!args.empty() && std::string_view(args.front()) == "flows") args = args.subspan(1);
  ObserveOptions options;
  CLI::App app("Shows flow records: who talked to whom, how much, how it fared, and which policy decided.", kCommand);
  options.source.add_to(app);
  options.times.add_range_to(app);
  options.times.add_counts_to(app);
  options.flags.add_to(app);
  add_output_options(app, options);
  app.footer(
      "The same filter again is OR, different filters are AND, --not excludes what the next one selects.\n"
      "Exit code: 0 done, 1 failed or lines were damaged, 2 usage. docs/cli.md has examples.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const Result<int> done = observe(app, options);
  return done.ok() ? done.value() : report(kCommand, done.error());
}

}  // namespace weir::app
