#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/settings.h"

namespace weir::app {

/// The command line of `weir replay`, resolved.
struct ReplayOptions {
  std::vector<std::string> files;
  std::vector<std::string> cluster_paths;
  std::string node;
  /// Outputs: a path, "-" for standard output, empty for none.
  std::string flows, dns, l7, stats;
  config::Settings settings;
};

/// Reads the words after `weir replay`. On a usage error, or after --help, prints what is to say and returns the exit
/// code instead.
struct ReplayOptionsOrExit {
  std::optional<ReplayOptions> options;
  int exit_code = 0;
};
ReplayOptionsOrExit parse_replay_options(std::span<const char* const> args);

}  // namespace weir::app
