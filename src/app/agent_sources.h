#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "app/connection_feed.h"
#include "app/hit_feed.h"
#include "app/nat_feed.h"
#include "app/source_choice.h"
#include "config/settings.h"

namespace weir::app {

struct AgentSources {
  std::unique_ptr<ConnectionFeed> feed;
  /// Packets for the DNS and L7 logs, where the feed has none; else null.
  std::unique_ptr<ConnectionFeed> payloads;
  /// Verdicts of the data plane; null: none to be had, or not wanted.
  std::unique_ptr<HitFeed> hits;
  /// Address translations, for feeds that see packets before them; null: the feed knows them itself, or nobody does.
  std::unique_ptr<NatFeed> nat;
  /// What became of each source that there is.
  std::vector<SourceChoice> choices;
};

/// Opens the sources that the settings ask for. `auto`: the best one that this kernel and our privileges allow, in the
/// order eBPF, conntrack, AF_PACKET; a note says which, and why not the ones before it. Connections older than
/// `counted_until_ns` (0: none) were counted by an earlier run.
Result<AgentSources> open_agent_sources(const config::Settings& settings, std::int64_t counted_until_ns,
                                        const std::function<void(std::string_view)>& note);

}  // namespace weir::app
