#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::app {

/// A set of Linux capabilities (capabilities(7)): bit n is capability n.
using Capabilities = std::uint64_t;

/// What the agent can use at all: BPF, PERFMON, NET_ADMIN and NET_RAW. Nothing else is ever needed, but for files that
/// belong to somebody else (DAC_OVERRIDE).
Capabilities agent_capabilities();
/// What is needed once the sources are open, to watch the pods that come and go; `sources`: those in use, by their
/// names
/// ("ebpf", "conntrack", "afpacket", "nflog", "nat").
Capabilities running_capabilities(const std::vector<std::string_view>& sources);
/// DAC_OVERRIDE.
Capabilities file_capability();

/// Those that the calling thread may use now.
Capabilities held_capabilities();
/// Gives up all but `keep`, of the calling thread and of what it starts later: permitted, effective, inheritable and
/// ambient ones, and as far as allowed the bounding set; programs started later gain none. What is not held stays so.
Status keep_capabilities(Capabilities keep);

/// Whether path can be used with the capabilities `with` of those held; a path that is not there: its first parent that
/// is, for writing.
bool can_use(const std::string& path, bool write, Capabilities with);

/// "BPF", "NET_ADMIN", …; a number where there is no name.
std::vector<std::string> capability_names(Capabilities set);

}  // namespace weir::app
