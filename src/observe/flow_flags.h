#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// The filter flags of `weir observe`, those that `hubble observe` users type, as expressions of the one filter
/// language.
namespace weir::observe {

/// One flag, with or without "from-" or "to-" before it.
struct FlowFlag {
  std::string_view name;
  /// "-n"; empty: none.
  std::string_view short_name;
  /// What its value is called in the help; empty: it takes none.
  std::string_view value;
  /// For the help and docs/cli.md.
  std::string_view what;
  /// Where it is not empty: no flow record can answer it; what to use instead.
  std::string_view instead;
};

/// Every flag, in the order of the help.
std::span<const FlowFlag> flow_flags();

/// A flag as it was typed.
struct FlagUse {
  /// Without dashes: "from-pod".
  std::string_view name;
  std::string_view value;
  /// `--not` stood before it.
  bool negated = false;
};

/// The filter that the flags mean, and `expression` (--filter) beside it.
///
/// The same flag again is OR, different ones are AND, each `--not` excludes on its own. Flags about an end without
/// from- or to- mean either end, but one and the same: `-n shop -l app=web` is an end with both.
/// Errors: kInvalidArgument naming the flag: a value that it does not take, one that cannot be answered, two that
/// contradict each other.
Result<std::string> flow_filter(std::span<const FlagUse> uses, std::string_view expression);

}  // namespace weir::observe
