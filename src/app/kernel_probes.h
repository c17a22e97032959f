#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace weir::app {

/// One thing that the kernel (or the node) offers this process, or why it does not.
struct Finding {
  std::string_view name;
  bool ok = false;
  /// What was found, or the reason and what helps against it.
  std::string detail;
};

/// Everything `weir doctor` looks at, each by a probe of its own: direct system calls that leave nothing behind. Never
/// fails: what cannot be probed is not offered.
std::vector<Finding> probe_kernel(const config::Settings& settings);

/// The finding of that name. It must be there.
const Finding& find(const std::vector<Finding>& findings, std::string_view name);

/// Interfaces of this network namespace whose names match one of the wildcards, by name.
std::vector<std::string> matching_interfaces(const std::vector<std::string>& wildcards);

/// Name and version, as uname(2) gives them.
std::string kernel_release();

}  // namespace weir::app
