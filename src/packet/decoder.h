#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "packet/internal/fragment_table.h"
#include "packet/internal/wire.h"
#include "packet/packet.h"

namespace weir::packet {

/// Whether a frame can be metered, else why not.
enum class DecodeStatus : std::uint8_t {
  kOk,
  kNotIp,            ///< ARP, spanning tree, an unknown EtherType, …
  kUnknownLinkType,  ///< the capture's link type is none that we read
  kTruncated,        ///< the capture ends before the IP header does
  kMalformed,        ///< the IP header cannot be one: version, header length, total length
  kTunnelFragment,   ///< not the first fragment of a tunnel packet: the inner IP header in the first counted its bytes
};
inline constexpr std::size_t kDecodeStatuses = 6;
/// "ok", "not_ip", "unknown_link_type", "truncated", "malformed", "tunnel_fragment": the reason in counters.
const char* to_string(DecodeStatus status);

struct DecodeStats {
  /// Frames by DecodeStatus.
  std::array<std::uint64_t, kDecodeStatuses> frames{};
  /// Of the frames that are ok:
  std::uint64_t tunnelled = 0;         ///< metered on an inner IP header
  std::uint64_t later_fragments = 0;   ///< fragments other than the first
  std::uint64_t orphan_fragments = 0;  ///< of these, without ports as their first fragment was not seen before
  std::uint64_t transport_unreadable =
      0;  ///< TCP, UDP, SCTP, … header truncated or malformed; ports 0 where not captured
};

/// Of TCP options (RFC 9293 3.1); 0 if there is none.
std::uint16_t maximum_segment_size(const std::uint8_t* options, std::uint32_t size);

struct IpHeader;
struct Layer;

/// From a captured frame to what is metered: addresses, ports, IP length, TCP header, payload.
///
/// Reads link layers, VLAN tags, MPLS, PPPoE; IPv4 with options, IPv6 with extension headers; IP in IP, GRE, VXLAN,
/// Geneve, GTP-U, Teredo. The innermost IP header is metered, or the outermost with Options::outer.
/// Bounds:  no allocation but the fragment table's first; at most kMaxLayers headers of a frame are looked at.
/// Errors:  a DecodeStatus and a counter. Ports of a transport header that was not captured are 0.
/// Threads: one.
class Decoder {
 public:
  struct Options {
    /// Meter the outermost IP header: tunnels stay closed.
    bool outer = false;
    /// UDP ports of VXLAN besides 4789: Linux and Flannel use 8472. At most kMaxVxlanPorts, the rest is ignored.
    std::vector<std::uint16_t> vxlan_ports;
  };
  static constexpr std::size_t kMaxVxlanPorts = 2;
  static constexpr int kMaxLayers = 64;

  Decoder() : Decoder(Options{}) {}
  explicit Decoder(Options options);

  /// Fills `out` if kOk, else leaves it undefined. Payload pointers point into view.data.
  DecodeStatus decode(const PacketView& view, DecodedPacket& out) {
    if (decode_plain(view, out)) [[likely]] {
      ++stats_.frames[0];
      return DecodeStatus::kOk;
    }
    return decode_any(view, out);
  }

  /// decode() without its fast path: the same answer for every frame. Public so that tests can compare the two.
  DecodeStatus decode_any(const PacketView& view, DecodedPacket& out);

  const DecodeStats& stats() const { return stats_; }

 private:
  bool decode_plain(const PacketView& view, DecodedPacket& out) const;
  bool plain_tcp(const std::uint8_t* tcp, std::uint32_t wire, std::uint32_t captured, DecodedPacket& out) const;
  bool plain_udp(const std::uint8_t* udp, std::uint32_t wire, std::uint32_t captured, DecodedPacket& out) const;
  bool is_tunnel_port(std::uint16_t source, std::uint16_t dest) const {
    bool hit = false;
    for (const std::uint16_t port : tunnel_ports_) hit |= port == source || port == dest;
    return hit;
  }
  /// Of the IP header that was metered last.
  struct Notes {
    bool orphan = false;
    bool unreadable = false;
    bool in_tunnel = false;
  };
  Layer meter(const IpHeader& ip, const PacketView& view, DecodedPacket& out, Notes& notes);
  void assign_fragment(const IpHeader& ip, std::int64_t time_ns, DecodedPacket& out, Notes& notes);

  Options options_;
  /// UDP ports that only decode_any() may judge; unused places hold 0.
  alignas(16) std::array<std::uint16_t, 8> tunnel_ports_{};
  DecodeStats stats_;
  FragmentTable fragments_;
};

// The fast path: Ethernet, one IP header without options or fragments, TCP or UDP that is no tunnel, lengths that fit.
// It answers for nearly all packets; whatever is unusual in any way is left to decode_any(), which must agree with it.

inline bool Decoder::decode_plain(const PacketView& view, DecodedPacket& out) const {
  constexpr std::uint16_t kLinkTypeEthernet = 1;
  constexpr std::uint32_t kEthernet = 14, kIpv4 = 20, kIpv6 = 40, kUdp = 8;
  if (view.link_type != kLinkTypeEthernet || view.captured_bytes < kEthernet + kIpv4 + kUdp) return false;
  const std::uint8_t* ip = view.data + kEthernet;
  const std::uint32_t captured = view.captured_bytes - kEthernet, wire = view.wire_bytes - kEthernet;
  const std::uint16_t type = load_be16(view.data + 12);
  std::uint32_t header;
  if (type == 0x0800) {
    constexpr std::uint16_t kOffsetOrMore = 0x3FFF;
    out.ip_bytes = load_be16(ip + 2);
    if (ip[0] != 0x45 || (load_be16(ip + 6) & kOffsetOrMore) != 0) return false;
    header = kIpv4;
    out.tuple.protocol = ip[9];
    load_v4(ip + 12, out.tuple.source);
    load_v4(ip + 16, out.tuple.dest);
  } else if (type == 0x86DD) {
    const std::uint32_t payload = load_be16(ip + 4);
    out.ip_bytes = kIpv6 + payload;
    if ((ip[0] >> 4) != 6 || payload == 0 || captured < kIpv6 + kUdp) return false;
    header = kIpv6;
    out.tuple.protocol = ip[6];
    load_v6(ip + 8, out.tuple.source);
    load_v6(ip + 24, out.tuple.dest);
  } else {
    return false;
  }
  if (out.ip_bytes > wire || out.ip_bytes < header + kUdp) return false;
  out.time_ns = view.time_ns;
  out.zone = view.zone;
  out.from_pod = view.from_pod;
  out.later_fragment = out.fragment = out.icmp_error = out.icmp_unreachable = out.icmp_reply = false;
  const std::uint32_t l4_wire = out.ip_bytes - header, l4_captured = std::min(l4_wire, captured - header);
  if (out.tuple.protocol == model::kProtoTcp) return plain_tcp(ip + header, l4_wire, l4_captured, out);
  if (out.tuple.protocol == model::kProtoUdp) return plain_udp(ip + header, l4_wire, l4_captured, out);
  return false;
}

inline bool Decoder::plain_tcp(const std::uint8_t* tcp, std::uint32_t wire, std::uint32_t captured,
                               DecodedPacket& out) const {
  if (captured < 20) return false;
  const std::uint32_t header = (tcp[12] >> 4) * 4u;
  if (header < 20 || header > captured) return false;
  out.tuple.source_port = load_be16(tcp);
  out.tuple.dest_port = load_be16(tcp + 2);
  out.tcp_seq = load_be32(tcp + 4);
  out.tcp_ack = load_be32(tcp + 8);
  out.tcp_flags = tcp[13];
  out.tcp_window = load_be16(tcp + 14);
  out.tcp_mss = (tcp[13] & kTcpSyn) != 0 ? maximum_segment_size(tcp + 20, header - 20) : 0;
  out.tcp_valid = true;
  out.payload = tcp + header;
  out.payload_captured = captured - header;
  out.payload_bytes = wire - header;
  return true;
}

inline bool Decoder::plain_udp(const std::uint8_t* udp, std::uint32_t wire, std::uint32_t captured,
                               DecodedPacket& out) const {
  out.tuple.source_port = load_be16(udp);
  out.tuple.dest_port = load_be16(udp + 2);
  if (load_be16(udp + 4) != wire || captured < 8) return false;
  if (is_tunnel_port(out.tuple.source_port, out.tuple.dest_port)) return false;
  out.tcp_seq = out.tcp_ack = 0;
  out.tcp_flags = 0;
  out.tcp_window = out.tcp_mss = 0;
  out.tcp_valid = false;
  out.payload = udp + 8;
  out.payload_captured = captured - 8;
  out.payload_bytes = wire - 8;
  return true;
}

}  // namespace weir::packet
