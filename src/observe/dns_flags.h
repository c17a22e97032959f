#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "observe/filter_flag.h"

/// The filter flags of `weir dns` as expressions of the one filter language over dns.log.
namespace weir::observe {

std::span<const FilterFlag> dns_flags();

/// As flow_filter(). There is one end, the client.
Result<std::string> dns_filter(std::span<const FlagUse> uses, std::string_view expression);

}  // namespace weir::observe
