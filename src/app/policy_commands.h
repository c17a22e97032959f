#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"

namespace weir::app {

/// A subcommand of `weir policy`, declared.
struct PolicyCommand {
  CLI::App* command = nullptr;
  /// After parsing. The exit code.
  std::function<Result<int>()> run;
};

PolicyCommand declare_policy_trace(CLI::App& parent);
PolicyCommand declare_policy_lint(CLI::App& parent);

}  // namespace weir::app
