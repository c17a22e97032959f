// `weir observe`: flow records out of a node's files or a server, filtered and printed as `hubble observe` does flows.

#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/group_by.h"
#include "app/observe_files.h"
#include "app/observe_server.h"
#include "app/output_options.h"
#include "app/query_options.h"
#include "observe/flow_flags.h"
#include "observe/flow_printer.h"

namespace weir::app {
namespace {

constexpr const char* kCommand = "weir observe";

struct ObserveOptions {
  SourceOptions source;
  TimeOptions times;
  FilterOptions flags{observe::flow_flags(), observe::flow_filter};
  OutputOptions output;
  GroupOptions groups;
};

Result<int> show_groups(std::optional<observe::ServerClient>& server, ServerQuestion question,
                        const ObserveOptions& options) {
  if (options.times.follow || options.times.first > 0 || options.times.last > 0) {
    return invalid_argument("--group-by adds up all records: it goes with --since, --until and filters");
  }
  question.selection.last.reset();
  TRY_ASSIGN(const Groups groups, server ? ask_groups(*server, question, options.groups)
                                         : group_files(options.source.files, question, options.groups));
  TRY(print_groups(groups, options.output.output));
  return 0;
}

Result<int> observe(const CLI::App& app, ObserveOptions& options) {
  observe::Selection selection;
  TRY_ASSIGN(selection.filter, options.flags.filter(app));
  if (options.output.print_filter) {
    std::printf("%s\n", selection.filter.c_str());
    return 0;
  }
  TRY(options.times.select(std::time(nullptr), selection));
  TRY_ASSIGN(observe::PrintOptions print, options.output.print_options(options.times.follow));
  TRY_ASSIGN(std::optional<observe::ServerClient> server, options.source.open(kCommand));
  const ServerQuestion question{"flows", std::move(selection), server && !options.source.all_reporters,
                                options.times.follow};
  if (options.groups.wanted()) return show_groups(server, question, options);
  if (server) {
    return print_server<model::LogType::kFlows, observe::FlowPrinter>(kCommand, *server, question, std::move(print),
                                                                      !options.output.no_pager);
  }
  return print_files<model::LogType::kFlows, observe::FlowPrinter>({kCommand, options.source.files, question.selection,
                                                                    std::move(print), options.times.follow,
                                                                    !options.output.no_pager, options.output.silent});
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
  options.groups.add_to(app);
  options.output.add_to(app, {"compact", "table", "tab", "dict", "json", "jsonpb", "csv"},
                        "compact, table, dict, json, jsonpb (Hubble's flow JSON), csv");
  app.add_flag("--print-policy-names,!--no-policy-names", options.output.policy_names,
               "with the rule that decided (default)")
      ->group("Output");
  app.footer(
      "The same filter again is OR, different filters are AND, --not excludes what the next one selects.\n"
      "Exit code: 0 done, 1 failed or lines were damaged, 2 usage. docs/cli.md has examples.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const Result<int> done = observe(app, options);
  return done.ok() ? done.value() : report(kCommand, done.error());
}

}  // namespace weir::app
