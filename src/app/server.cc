// `weir server`: takes in what agents and other shippers send, keeps it, and answers questions.

#include <cstdio>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/server_runtime.h"
#include "app/settings_flags.h"
#include "app/shipping.h"
#include "app/wait_for_end.h"

namespace weir::app {
namespace {

constexpr struct {
  const char *flag, *key, *help;
} kFlags[] = {
    {"--data", "data_directory", "where everything is kept"},
    {"--listen", "listen_address", "ADDRESS:PORT of the API; port 0: the kernel chooses one"},
    {"--token-file", "token_file", "tokens that are let in"},
    {"--tls-certificate", "tls_certificate", "certificate chain (PEM)"},
    {"--tls-key", "tls_key", "its private key (PEM)"},
};

int fail(const Error& error) {
  std::fprintf(stderr, "weir server: %s\n", error.message.c_str());
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

}  // namespace

int run_server(std::span<const char* const> args) {
  CLI::App app{
      "Stores flow, DNS and L7 logs and answers questions about them (docs/server.md).\n"
      "Every option of docs/configuration.md can be given with --set KEY=VALUE or in the file of --config."};
  app.name("weir server");
  SettingsFlags flags;
  add_settings_flags(app, flags);
  std::vector<std::string> values(std::size(kFlags));
  for (std::size_t i = 0; i < values.size(); ++i) app.add_option(kFlags[i].flag, values[i], kFlags[i].help);
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].empty()) flags.set.push_back(std::string(kFlags[i].key) + "=" + values[i]);
  }
  const Result<ResolvedSettings> resolved = resolve_settings(flags);
  if (!resolved.ok()) return fail(resolved.error());
  const EndOfWork end;
  const auto runtime = ServerRuntime::start(resolved.value().settings, note_to_stderr);
  if (!runtime.ok()) return fail(runtime.error());
  note_to_stderr("listening at " + runtime.value()->url());
  while (!end.wait(std::chrono::hours(1))) {
  }
  runtime.value()->stop();
  return 0;
}

}  // namespace weir::app
