#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "config/settings.h"

namespace weir::app {

/// The flags of a long-running command that set options: --config, --set, and short ways to some single options.
class SettingFlags {
 public:
  struct Flag {
    const char* flag;
    const char* key;
    const char* help;
  };
  explicit SettingFlags(std::vector<Flag> flags) : flags_(std::move(flags)), values_(flags_.size()) {}

  void add_to(CLI::App& app);
  /// Defaults, then the file of --config, the environment, --set, the flags. Reads the file anew at each call.
  Result<config::Settings> settings() const;
  const std::string& config_file() const { return config_file_; }

 private:
  std::vector<Flag> flags_;
  std::vector<std::vector<std::string>> values_;
  std::string config_file_;
  std::vector<std::string> set_;
};

}  // namespace weir::app
