#pragma once

#include <string_view>

namespace weir::observe {

/// A filter flag of a command. "from-" or "to-" before its name says which end it is about.
struct FilterFlag {
  std::string_view name;
  /// "-n"; empty: none.
  std::string_view short_name;
  /// What its value is called in the help; empty: it takes none.
  std::string_view value;
  /// For the help and docs/cli.md.
  std::string_view what;
  /// Where it is not empty: no record can answer it; what to use instead.
  std::string_view instead;
};

/// A flag as it was typed.
struct FlagUse {
  /// Without dashes: "from-pod".
  std::string_view name;
  std::string_view value;
  /// `--not` stood before it.
  bool negated = false;
};

}  // namespace weir::observe
