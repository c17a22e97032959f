#pragma once

#include <cstdint>

#include "base/ip.h"
#include "model/connection.h"

namespace weir::packet {

/// One captured frame. Borrows its bytes from the capture source until that source's next batch.
struct PacketView {
  const std::uint8_t* data = nullptr;
  /// Bytes at `data`, at most the length on the wire.
  std::uint32_t captured_bytes = 0;
  std::uint32_t wire_bytes = 0;
  /// Nanoseconds since the Unix epoch.
  std::int64_t time_ns = 0;
  /// LINKTYPE_ value (https://www.tcpdump.org/linktypes.html).
  std::uint16_t link_type = 1;
  /// The pod's interface at which it was captured (dense, from 1); 0: none, as in files.
  std::uint16_t zone = 0;
  /// With a zone: the pod sent it. Else it goes to the pod.
  bool from_pod = false;
};

/// TCP flag bits as on the wire.
inline constexpr std::uint8_t kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPsh = 8, kTcpAck = 16;

/// What metering and the payload parsers need of one packet. Payload pointers borrow from the PacketView's bytes.
struct DecodedPacket {
  std::int64_t time_ns = 0;
  /// As in PacketView.
  std::uint16_t zone = 0;
  bool from_pod = false;
  /// As on the wire: from sender to receiver. Fragments carry the ports of their first fragment when it is known.
  /// ICMP: ports as model::Tuple says; a reply (echo, timestamp, …) has the ports of its request, swapped ends only.
  model::Tuple tuple;
  /// IP length: header and payload, the original one, not what was captured.
  std::uint32_t ip_bytes = 0;

  std::uint8_t tcp_flags = 0;
  /// The packet is a fragment other than the first: it counts, and has no transport header.
  bool later_fragment = false;
  /// Some fragment of a fragmented datagram (the first too): its payload is not the whole message.
  bool fragment = false;
  /// An ICMP error; `quoted` is the tuple of the packet that it quotes, as that packet was sent.
  bool icmp_error = false;
  /// An ICMP error that says the quoted packet's destination cannot be reached (not: fragmentation needed).
  bool icmp_unreachable = false;
  /// An ICMP echo, timestamp, information or mask reply: its tuple has the request's ports, its own source and dest.
  bool icmp_reply = false;
  /// The TCP header was captured whole: seq, ack, window and options are valid.
  bool tcp_valid = false;
  /// Only if `fragment`: more fragments follow this one.
  bool more_fragments = false;
  /// Only if `fragment`: where its bytes lie in the datagram's IP payload (0: the first fragment), and the datagram's
  /// identification, unique with source, dest and protocol while it is in flight.
  std::uint16_t fragment_offset = 0;
  std::uint32_t fragment_id = 0;

  std::uint32_t tcp_seq = 0, tcp_ack = 0;
  std::uint16_t tcp_window = 0;
  /// MSS option of a SYN, 0 if none.
  std::uint16_t tcp_mss = 0;

  /// Transport payload (TCP, UDP): captured bytes, and its true length. Of a later fragment: its piece of the IP
  /// payload.
  const std::uint8_t* payload = nullptr;
  std::uint32_t payload_captured = 0;
  std::uint32_t payload_bytes = 0;

  /// Only if icmp_error.
  model::Tuple quoted;
};

}  // namespace weir::packet
