#pragma once

#include <cstdint>

#include "model/connection.h"

namespace weir::model {

/// One message of the kernel's connection tracker, from an event or a dump, in its own terms (ctnetlink).
/// Counters are absolute, since the entry was made.
struct ConntrackEvent {
  enum class Kind : std::uint8_t {
    kNew,
    kUpdate,   ///< an update event, or an entry of a dump
    kDestroy,  ///< the entry is gone
  };
  Kind kind = Kind::kUpdate;
  /// As the opener sent it, and as the answer comes: NAT is what differs between them.
  /// ICMP: ports as Tuple says, the same in both.
  Tuple original, reply;
  /// The kernel's number of the entry; 0 where it does not tell.
  std::uint32_t id = 0;
  std::uint16_t zone = 0;
  /// IPS_* bits of linux/netfilter/nf_conntrack_common.h (seen reply, assured, source NAT, destination NAT, dying, …).
  std::uint32_t status = 0;
  /// TCP_CONNTRACK_* of linux/netfilter/nf_conntrack_tcp.h; 0 for others, or not told.
  std::uint8_t tcp_state = 0;
  /// Whether the entry has counters (nf_conntrack_acct).
  bool has_counters = false;
  std::uint64_t packets_original = 0, bytes_original = 0, packets_reply = 0, bytes_reply = 0;
  /// When the entry was made and destroyed, nanoseconds since the Unix epoch; 0: not told (nf_conntrack_timestamp).
  std::int64_t start_ns = 0, stop_ns = 0;
  /// When we read the message.
  std::int64_t time_ns = 0;
};

}  // namespace weir::model
