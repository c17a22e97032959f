#pragma once

#include "meter/internal/connection_entry.h"
#include "packet/packet.h"

namespace weir::meter {

/// Whether flags and sequence numbers can be read: the first 20 bytes of the header were captured.
inline bool has_tcp_header(const packet::DecodedPacket& p) { return p.tcp_valid || p.tcp_flags != 0; }

/// Follows a TCP connection by one more packet, sent by `end`: state, outcome, retransmissions, resets, RTT, MSS.
/// States follow the Linux connection tracker, RFC 9293; RTT: RFC 6298 and Karn's rule, one segment timed a direction.
/// The packet has a TCP header; the entry's flags already say who was seen before it.
void track_tcp(Entry& entry, const packet::DecodedPacket& packet, int end);

}  // namespace weir::meter
