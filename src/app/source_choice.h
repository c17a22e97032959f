#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/kernel_probes.h"
#include "base/result.h"
#include "config/settings.h"

namespace weir::app {

struct SourceChoice {
  /// "ebpf", "conntrack", "afpacket", "nflog", "nat".
  std::string_view source;
  bool used = false;
  /// What it is for, or why it is not used.
  std::string reason;
};

/// What a source is opened for.
enum class SourceRole : std::uint8_t {
  kConnections,
  kPayloads,      ///< packets for the DNS and L7 logs, where the source of connections has none
  kVerdicts,      ///< rule hits of the data plane
  kTranslations,  ///< address translations, where the source sees packets before them
};

/// Opens a source for a role, or says why that cannot be.
using OpenSource = std::function<Status(SourceRole, std::string_view source)>;

/// Opens what an agent with these settings uses, by one rule for the agent and for what `weir doctor` foretells. One
/// source of connections: the first that opens of those named; `auto` means eBPF, conntrack, AF_PACKET. `choices` gets
/// a row for every source, also when this fails: with no source of connections, or without hits where they are
/// demanded (`nflog: on`).
Status choose_sources(const config::Settings& settings, const OpenSource& open, std::vector<SourceChoice>& choices);

/// Whether a source would open, by what the kernel was found to offer.
Status offered(const std::vector<Finding>& findings, std::string_view source);

}  // namespace weir::app
