#pragma once

#include <cstdint>

#include "model/connection.h"

namespace weir::model {

/// What the kernel counted of one connection at one pod's interface since the drain before (eBPF): the two directions
/// as the interface sees them. Plain data.
struct FlowDelta {
  /// Source is the pod, dest the other end, whoever opened. Before DNAT where the pod addresses a service.
  /// ICMP: ports as Tuple says.
  Tuple tuple;
  /// Dense number of the pod's interface, 1 to 65,535; and when it came to be, nanoseconds since the Unix epoch.
  std::uint16_t zone = 0;
  std::int64_t interface_since_ns = 0;

  /// Sent by the pod, and to it.
  std::uint64_t packets_out = 0, packets_in = 0, bytes_out = 0, bytes_in = 0;
  /// First and newest packet of this span.
  std::int64_t first_ns = 0, newest_ns = 0;
  /// The first packet of the span was the pod's own; was an ICMP reply; and its TCP flags, as on the wire.
  bool first_is_out = false, first_is_reply = false;
  std::uint8_t first_flags = 0;
  /// Union of TCP flags (FIN 1, SYN 2, RST 4, ACK 16), by direction; `syn_*`: a SYN without ACK; `syn_ack_*`. FIN and
  /// ACK only of segments without SYN and RST: whoever has ACK has seen the other side's SYN.
  std::uint8_t tcp_flags_out = 0, tcp_flags_in = 0;
  bool syn_out = false, syn_in = false, syn_ack_out = false, syn_ack_in = false;
  /// An ICMP unreachable that quotes this connection passed, in either direction. Then there may be no packets.
  bool unreachable = false;
  /// A SYN came after the connection had closed within the span: there are two connections in it, or more. The flags
  /// are those of the newest.
  bool reopened = false;
  /// Of the span, as TcpSample says.
  TcpSample tcp;
  /// The pod's process, as in ConnectionUpdate.
  std::uint32_t process_id = 0;
  ProcessName process_name{};
};

}  // namespace weir::model
