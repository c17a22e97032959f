#pragma once

#include <cstdint>

#include "meter/internal/connection_entry.h"
#include "model/connection.h"

namespace weir::meter {

/// One connection as a pod's interface sees it. End 0 is the pod, 1 its peer; flags are those of Entry, of which
/// kSeenFrom, kFinFrom, kSourceIsB (the peer opened it), kResumed, kDirty, kReported, kClosed and kRequest are used,
/// and this:
inline constexpr std::uint16_t kGuessed = 1 << 5;  ///< opened for a packet of the ring: no traffic was counted yet

struct alignas(64) DeltaEntry {
  // As IpAddress::low, high; the pod's port << 16 | the peer's, ICMP as model::Tuple says.
  std::uint64_t pod_low, pod_high, peer_low, peer_high;
  std::uint32_t ports;
  std::uint16_t zone;
  std::uint8_t protocol;
  State state;
  std::uint32_t hash;
  std::uint16_t flags;
  Timer timer;
  model::Outcome outcome;
  /// The slot stands in the list of touched ones, for this connection or an earlier one in this slot.
  bool listed;
  std::int64_t active_ns, start_ns, interface_since_ns;
  // Since the last update, by sending end.
  std::uint64_t packets[2], bytes[2];
  model::TcpSample tcp;
  std::uint32_t process_id;
  model::ProcessName process_name;
};

inline bool has(const DeltaEntry& e, std::uint16_t flag) { return (e.flags & flag) != 0; }
inline bool has(const DeltaEntry& e, std::uint16_t pair, int end) { return (e.flags & (pair << end)) != 0; }
inline void set(DeltaEntry& e, std::uint16_t flag) { e.flags = static_cast<std::uint16_t>(e.flags | flag); }
inline void set(DeltaEntry& e, std::uint16_t pair, int end) {
  e.flags = static_cast<std::uint16_t>(e.flags | (pair << end));
}
inline void clear(DeltaEntry& e, std::uint16_t flag) { e.flags = static_cast<std::uint16_t>(e.flags & ~flag); }
inline int source_end(const DeltaEntry& e) { return has(e, kSourceIsB) ? 1 : 0; }

}  // namespace weir::meter
