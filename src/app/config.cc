// `weir config`: is a configuration right, what does it come to, and what would Calico's come to.

#include <cstdio>
#include <string>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/settings_flags.h"
#include "base/file.h"
#include "config/import_felix.h"
#include "filter/filter.h"

namespace weir::app {
namespace {

int fail(const char* command, const Error& error) {
  std::fprintf(stderr, "weir config %s: %s\n", command, error.message.c_str());
  return 1;
}

Status check_settings(const config::Settings& settings) {
  TRY(config::validate_for_agent(settings));
  for (const std::string& text : settings.exclude) {
    const auto compiled = filter::Filter::compile(text);
    if (!compiled.ok()) return invalid_argument("exclude '" + text + "': " + compiled.error().message);
  }
  return {};
}

int check(const SettingsFlags& flags) {
  const auto resolved = resolve_settings(flags);
  if (!resolved.ok()) return fail("check", resolved.error());
  if (const Status status = check_settings(resolved.value().settings); !status.ok()) {
    return fail("check", status.error());
  }
  std::printf("ok: %zu options set, the rest have their defaults\n", resolved.value().origins.size());
  return 0;
}

int show(const SettingsFlags& flags) {
  const auto resolved = resolve_settings(flags);
  if (!resolved.ok()) return fail("show", resolved.error());
  std::fputs(config::settings_yaml(resolved.value().settings, resolved.value().origins).c_str(), stdout);
  return 0;
}

int import_felix(const std::string& path) {
  const auto file = FileBytes::open(path);
  if (!file.ok()) return fail("import-felix", file.error());
  const auto imported = config::import_felix(path == "-" ? "standard input" : path, file.value().text());
  if (!imported.ok()) return fail("import-felix", imported.error());
  for (const std::string& note : imported.value().notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  std::fputs(imported.value().yaml.c_str(), stdout);
  return 0;
}

}  // namespace

int run_config(std::span<const char* const> args) {
  SettingsFlags flags;
  std::string felix;
  CLI::App app("Options of the agent: docs/configuration.md lists them.", "weir config");
  app.require_subcommand(1);
  CLI::App* check_command =
      app.add_subcommand("check", "Say what is wrong with a configuration; exit code 1 if anything");
  add_settings_flags(*check_command, flags);
  CLI::App* show_command = app.add_subcommand("show", "Write every option with its value and where that came from");
  add_settings_flags(*show_command, flags);
  CLI::App* import_command = app.add_subcommand(
      "import-felix",
      "Make a configuration from Calico's: a FelixConfiguration object, or a file with FELIX_ variables");
  import_command->add_option("FILE", felix, "- is standard input")->required();
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  if (check_command->parsed()) return check(flags);
  return show_command->parsed() ? show(flags) : import_felix(felix);
}

}  // namespace weir::app
