// `weir dns`: lookups out of dns.log, printed like flows.

#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/observe_files.h"
#include "app/observe_server.h"
#include "app/output_options.h"
#include "app/query_options.h"
#include "observe/dns_flags.h"
#include "observe/dns_printer.h"

namespace weir::app {
namespace {

constexpr const char* kCommand = "weir dns";

struct DnsOptions {
  SourceOptions source;
  TimeOptions times;
  FilterOptions flags{observe::dns_flags(), observe::dns_filter};
  OutputOptions output;
};

Result<int> show(const CLI::App& app, DnsOptions& options) {
  observe::Selection selection;
  TRY_ASSIGN(selection.filter, options.flags.filter(app));
  if (options.output.print_filter) {
    std::printf("%s\n", selection.filter.c_str());
    return 0;
  }
  TRY(options.times.select(std::time(nullptr), selection));
  TRY_ASSIGN(observe::PrintOptions print, options.output.print_options(options.times.follow));
  TRY_ASSIGN(std::optional<observe::ServerClient> server, options.source.open(kCommand));
  if (server && options.times.follow) return invalid_argument("a server follows flows only: --input-file");
  if (server) {
    const ServerQuestion question{"dns", std::move(selection), !options.source.all_reporters, options.times.follow};
    return print_server<model::LogType::kDns, observe::DnsPrinter>(kCommand, *server, question, std::move(print),
                                                                   !options.output.no_pager);
  }
  return print_files<model::LogType::kDns, observe::DnsPrinter>({kCommand, options.source.files, std::move(selection),
                                                                 std::move(print), options.times.follow,
                                                                 !options.output.no_pager, options.output.silent});
}

}  // namespace

int run_dns(std::span<const char* const> args) {
  DnsOptions options;
  CLI::App app("Shows DNS lookups: who asked whom for what, how it was answered, and how long it took.", kCommand);
  options.source.add_to(app);
  options.times.add_range_to(app);
  options.times.add_counts_to(app);
  options.flags.add_to(app);
  options.output.add_to(app, {"compact", "table", "tab", "dict", "json", "csv"}, "compact, table, dict, json, csv");
  app.footer("Exit code: 0 done, 1 failed or lines were damaged, 2 usage. docs/cli.md has examples.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const Result<int> done = show(app, options);
  return done.ok() ? done.value() : report(kCommand, done.error());
}

}  // namespace weir::app
