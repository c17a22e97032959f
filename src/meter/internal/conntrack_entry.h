#pragma once

#include <cstdint>

#include "base/hash.h"
#include "base/ip.h"
#include "meter/internal/timer_wheel.h"
#include "model/conntrack.h"

namespace weir::meter {

// Bits of ConntrackEvent::status (linux/netfilter/nf_conntrack_common.h).
inline constexpr std::uint32_t kStatusSeenReply = 1 << 1, kStatusAssured = 1 << 2, kStatusSourceNat = 1 << 4;

// Values of ConntrackEvent::tcp_state (linux/netfilter/nf_conntrack_tcp.h).
inline constexpr std::uint8_t kCtSynSent = 1, kCtSynRecv = 2, kCtEstablished = 3, kCtFinWait = 4, kCtCloseWait = 5,
                              kCtLastAck = 6, kCtTimeWait = 7, kCtClose = 8, kCtSynSent2 = 9;

/// The connection has ended by its own protocol.
inline bool is_over(std::uint8_t tcp_state) { return tcp_state == kCtTimeWait || tcp_state == kCtClose; }

/// One connection: an entry of the connection tracker, or what denied packets tell of one that it does not have.
struct ConntrackEntry {
  static constexpr std::uint16_t kUsed = 1 << 0;
  static constexpr std::uint16_t kFromHits = 1 << 1;  ///< known by denied packets only
  static constexpr std::uint16_t kDirty = 1 << 2;     ///< something to say since the last update
  static constexpr std::uint16_t kReported = 1 << 3;  ///< an update was emitted
  static constexpr std::uint16_t kClosed = 1 << 4;    ///< an update with `closed` was emitted
  static constexpr std::uint16_t kSeenReply = 1 << 5;
  static constexpr std::uint16_t kEstablished = 1 << 6;  ///< TCP: was established at some time
  static constexpr std::uint16_t kAssured = 1 << 7;
  static constexpr std::uint16_t kResumed = 1 << 8;
  static constexpr std::uint16_t kDnat = 1 << 9;  ///< stands in the index of flows after DNAT too

  IpAddress source, original_dest, dest;
  std::uint16_t source_port, original_dest_port, dest_port, nat_port;
  std::uint32_t id;
  std::uint16_t zone;
  std::uint8_t protocol;
  std::uint8_t tcp_state;
  /// As the kernel said last: original, reply.
  std::uint64_t packets[2], bytes[2];
  // Since the last update.
  std::uint64_t new_packets[2], new_bytes[2];
  std::int64_t start_ns, newest_ns;
  /// Of the original tuple, and of the one after DNAT (kDnat).
  std::uint32_t hash, flow_hash;
  std::uint16_t flags;
  Timer timer;
  /// The slot stands in the list of touched ones, for this connection or an earlier one in this slot.
  bool listed;
  model::Outcome outcome;

  bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
  void set(std::uint16_t flag) { flags = static_cast<std::uint16_t>(flags | flag); }
  void clear(std::uint16_t flag) { flags = static_cast<std::uint16_t>(flags & ~flag); }

  model::Tuple original() const { return {source, original_dest, source_port, original_dest_port, protocol}; }
  model::Tuple flow() const { return {source, dest, source_port, dest_port, protocol}; }
};
static_assert(sizeof(ConntrackEntry) == 160);

/// Of a tuple as it is, direction included. The kernel has no two entries with the same original tuple in a zone.
inline std::uint32_t hash_tuple(const model::Tuple& t, std::uint64_t seed) {
  const std::uint64_t ports = std::uint64_t{t.source_port} << 24 | std::uint64_t{t.dest_port} << 8 | t.protocol;
  std::uint64_t hash = mix64(t.source.low() ^ seed, t.dest.low() + ports * 0x9E3779B97F4A7C15ULL);
  if ((t.source.high() | t.dest.high()) != 0) hash ^= mix64(t.source.high() + seed, t.dest.high());
  return static_cast<std::uint32_t>(mix64(hash, seed + ports) >> 32);
}

}  // namespace weir::meter
