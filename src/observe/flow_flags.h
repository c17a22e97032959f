#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "observe/filter_flag.h"

/// The filter flags of `weir observe`, those that `hubble observe` users type, as expressions of the one filter
/// language.
namespace weir::observe {

/// Every flag, in the order of the help.
std::span<const FilterFlag> flow_flags();

/// The filter that the flags mean, and `expression` (--filter) beside it.
///
/// The same flag again is OR, different ones are AND, each `--not` excludes on its own. Flags about an end without
/// from- or to- mean either end, but one and the same: `-n shop -l app=web` is an end with both.
/// Errors: kInvalidArgument naming the flag: a value that it does not take, one that cannot be answered, two that
/// contradict each other.
Result<std::string> flow_filter(std::span<const FlagUse> uses, std::string_view expression);

}  // namespace weir::observe
