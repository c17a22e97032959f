#include "app/settings_flags.h"

#include <unistd.h>

namespace weir::app {

void add_settings_flags(CLI::App& app, SettingsFlags& flags) {
  app.add_option("--config", flags.config_file, "options as a YAML file; docs/configuration.md lists them");
  app.add_option("--set", flags.set, "one option: KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Result<ResolvedSettings> load_settings(const std::string& config_file) {
  ResolvedSettings resolved;
  if (!config_file.empty()) TRY(config::load_settings_file(resolved.settings, config_file, &resolved.origins));
  TRY(config::apply_environment(resolved.settings, environ, &resolved.origins));
  return resolved;
}

Status apply_assignments(const std::vector<std::string>& set, ResolvedSettings& resolved) {
  for (const std::string& assignment : set) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) return invalid_argument("--set " + assignment + ": KEY=VALUE is wanted");
    const std::string key = assignment.substr(0, equals);
    const Status status = config::set_option(resolved.settings, key, assignment.substr(equals + 1));
    if (!status.ok()) return invalid_argument("--set " + status.error().message);
    resolved.origins[key] = "--set";
  }
  return {};
}

Result<ResolvedSettings> resolve_settings(const SettingsFlags& flags) {
  TRY_ASSIGN(ResolvedSettings resolved, load_settings(flags.config_file));
  TRY(apply_assignments(flags.set, resolved));
  return resolved;
}

}  // namespace weir::app
