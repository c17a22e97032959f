#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/settings.h"

namespace weir::app {

/// `--config FILE` and `--set KEY=VALUE`, which most commands have.
struct SettingsFlags {
  std::string config_file;
  std::vector<std::string> set;
};
void add_settings_flags(CLI::App& app, SettingsFlags& flags);

/// Settings, and where the values came from that are not defaults.
struct ResolvedSettings {
  config::Settings settings;
  config::Origins origins;
};

/// Defaults, then the file if one is named, then the environment.
Result<ResolvedSettings> load_settings(const std::string& config_file);
/// Applies the assignments of `--set`; they win over what was there.
Status apply_assignments(const std::vector<std::string>& set, ResolvedSettings& resolved);
/// Both.
Result<ResolvedSettings> resolve_settings(const SettingsFlags& flags);

}  // namespace weir::app
