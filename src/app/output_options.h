#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "observe/flow_printer.h"

namespace weir::app {

/// How records are printed.
struct OutputOptions {
  std::string output = "compact", colour = "auto", time_format = "StampMilli", columns;
  bool print_node = false, policy_names = true, numeric = false, print_filter = false, silent = false, no_pager = false;

  /// `formats`: the values of -o; `what` is said of them in the help.
  void add_to(CLI::App& app, const std::vector<std::string>& formats, const std::string& what);
  /// Errors: options that do not go together.
  Result<observe::PrintOptions> print_options(bool follow) const;
};

/// Adds --color, --no-pager.
void add_terminal_options(CLI::App& app, std::string& colour, bool& no_pager);

/// Whether a person reads it, who may want a pager.
bool is_for_people(observe::Format format);

}  // namespace weir::app
