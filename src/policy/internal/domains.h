#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weir::policy {

/// Whether a name is meant by a rule's "example.org" or "*.example.org" (one or more labels in place of the "*"), or by
/// a pattern of Cilium's, which has "~" before it: each "*" is any characters but dots, "~*" any name. Case and a final
/// dot do not matter.
bool domain_matches(std::string_view pattern, std::string_view name);

}  // namespace weir::policy
