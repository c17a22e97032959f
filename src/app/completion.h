#pragma once

#include <CLI/CLI.hpp>
#include <string_view>

namespace weir::app {

/// The word that shells' completion scripts call commands with: `weir observe __complete PREVIOUS CURRENT`.
inline constexpr std::string_view kCompleteWord = "__complete";

/// Prints what `current` may become behind `previous`, one a line: values of the option before it, else options and
/// subcommands.
void print_completions(const CLI::App& app, std::string_view previous, std::string_view current);

}  // namespace weir::app
