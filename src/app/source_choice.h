#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/kernel_probes.h"
#include "config/settings.h"

namespace weir::app {

struct SourceChoice {
  /// "ebpf", "conntrack", "afpacket", "nflog".
  std::string_view source;
  bool used = false;
  /// What it is for, or why it is not used.
  std::string reason;
};

/// Which sources an agent with these settings uses on this kernel, all four, in the order above.
///
/// `auto`: eBPF where it works, with conntrack for translated addresses; else conntrack (if it counts bytes) with
/// AF_PACKET for DNS and HTTP; else AF_PACKET alone. Named sources are used if they work, and only they.
std::vector<SourceChoice> choose_sources(const config::Settings& settings, const std::vector<Finding>& findings);

/// Whether connections are seen at all, and every source that was named works.
bool is_enough(const config::Settings& settings, const std::vector<SourceChoice>& choices);

}  // namespace weir::app
