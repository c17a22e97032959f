#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/completion.h"

namespace weir::app {

/// Parses the words after the subcommand. A value is the exit code to leave with: 0 after --help, 2 after a usage
/// error, of which one line says what is wrong and where to look.
inline std::optional<int> parse_command_line(CLI::App& app, std::span<const char* const> args) {
  if (args.size() == 3 && args[0] == kCompleteWord) {
    print_completions(app, args[1], args[2]);
    return 0;
  }
  // The parser takes the words from the back.
  std::vector<std::string> words(args.rbegin(), args.rend());
  try {
    app.parse(std::move(words));
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "%s: %s; `%s --help` tells the options\n", app.get_name().c_str(), error.what(),
                 app.get_name().c_str());
    return 2;
  }
}

}  // namespace weir::app
