#include "packet/internal/ip_header.h"

#include "packet/internal/wire.h"

namespace weir::packet {
namespace {

enum ExtensionHeader : std::uint8_t {
  kHopByHop = 0,
  kRouting = 43,
  kFragment = 44,
  kAuthentication = 51,
  kDestination = 60
};

/// Leaves `out.payload` without captured bytes: what follows cannot be found.
void lose_payload(IpHeader& out) { out.payload = out.payload.after(0, LayerKind::kNone), out.payload.captured = 0; }

/// RFC 8200 4.5; false if this ends the walk.
bool read_fragment_header(IpHeader& out) {
  const std::uint8_t* at = out.payload.data;
  const std::uint16_t place = load_be16(at + 2);
  const std::uint16_t offset = place & 0xFFF8;
  out.protocol = at[0];
  // Offset 0 and nothing more: an atomic fragment is a whole packet (RFC 6946).
  out.more_fragments = (place & 1) != 0;
  out.fragment = offset != 0 || out.more_fragments;
  out.fragment_offset = offset;
  out.fragment_id = load_be32(at + 4);
  out.fragment_protocol = at[0];
  out.payload = out.payload.after(8, LayerKind::kNone);
  return offset == 0;
}

/// Steps over IPv6 extension headers, and over AH in either version. Every step takes 8 bytes or more: it ends.
void skip_extension_headers(IpHeader& out, bool v6) {
  for (;;) {
    const bool authentication = out.protocol == kAuthentication;
    const bool options = v6 && (out.protocol == kHopByHop || out.protocol == kRouting || out.protocol == kDestination);
    const bool fragment = v6 && out.protocol == kFragment;
    if (!authentication && !options && !fragment) return;
    if (out.payload.captured < 8) return lose_payload(out);
    if (fragment) {
      if (!read_fragment_header(out)) return;
      continue;
    }
    const std::uint8_t* at = out.payload.data;
    const std::uint32_t bytes = authentication ? (at[1] + 2u) * 4 : (at[1] + 1u) * 8;
    out.protocol = at[0];
    if (out.payload.captured < bytes) return lose_payload(out);
    out.payload = out.payload.after(bytes, LayerKind::kNone);
  }
}

DecodeStatus read_ipv4(const Layer& layer, IpHeader& out) {
  constexpr std::uint16_t kMore = 0x2000, kOffset = 0x1FFF;
  if (layer.captured < 20) return DecodeStatus::kTruncated;
  const std::uint8_t* at = layer.data;
  const std::uint32_t header = (at[0] & 15) * 4u, total = load_be16(at + 2);
  if (header < 20 || (total != 0 && total < header)) return DecodeStatus::kMalformed;
  load_v4(at + 12, out.source);
  load_v4(at + 16, out.dest);
  out.protocol = out.fragment_protocol = at[9];
  // Captured before segmentation offload: the length is that of the frame.
  out.ip_bytes = total == 0 ? layer.wire : total;
  const std::uint16_t place = load_be16(at + 6);
  out.more_fragments = (place & kMore) != 0;
  out.fragment_offset = static_cast<std::uint16_t>((place & kOffset) * 8);
  out.fragment = out.more_fragments || out.fragment_offset != 0;
  out.fragment_id = load_be16(at + 4);

  Layer packet = layer;
  packet.trim(out.ip_bytes);
  out.payload = packet.after(std::min(header, packet.captured), LayerKind::kNone);
  out.payload.wire = packet.wire > header ? packet.wire - header : 0;
  if (!out.later_fragment()) skip_extension_headers(out, false);
  return DecodeStatus::kOk;
}

DecodeStatus read_ipv6(const Layer& layer, IpHeader& out) {
  constexpr std::uint32_t kHeader = 40;
  if (layer.captured < 1) return DecodeStatus::kTruncated;
  if ((layer.data[0] >> 4) != 6) return DecodeStatus::kMalformed;
  if (layer.captured < kHeader) return DecodeStatus::kTruncated;
  const std::uint8_t* at = layer.data;
  load_v6(at + 8, out.source);
  load_v6(at + 24, out.dest);
  out.protocol = out.fragment_protocol = at[6];
  // 0: a jumbogram (RFC 2675), or captured before segmentation offload.
  const std::uint32_t payload = load_be16(at + 4);
  out.ip_bytes = payload == 0 ? layer.wire : kHeader + payload;
  Layer packet = layer;
  packet.trim(out.ip_bytes);
  out.payload = packet.after(kHeader, LayerKind::kNone);
  skip_extension_headers(out, true);
  return DecodeStatus::kOk;
}

/// An ICMP message that asks or answers has an identifier; the ports of both are those of the request.
void icmp_ports(const std::uint8_t* at, std::uint32_t captured, bool v6, model::Tuple& out) {
  std::uint8_t type = at[0];
  bool has_id = false;
  if (v6) {
    has_id = type == 128 || type == 129;
    if (type == 129) type = 128;
  } else {
    switch (type) {
      case 0:  // echo reply
        type = 8;
        has_id = true;
        break;
      case 14:  // timestamp, information and address mask reply: one above their request
      case 16:
      case 18:
        --type;
        has_id = true;
        break;
      case 8:
      case 13:
      case 15:
      case 17:
        has_id = true;
        break;
      default:
        break;
    }
  }
  out.dest_port = static_cast<std::uint16_t>((type << 8) | at[1]);
  out.source_port = has_id && captured >= 6 ? load_be16(at + 4) : 0;
}

}  // namespace

DecodeStatus read_ip_header(const Layer& layer, IpHeader& out) {
  if (layer.captured < 1) return DecodeStatus::kTruncated;
  const int version = layer.data[0] >> 4;
  // What is announced as IPv4 is often IP of either version (IP in IP); what is announced as IPv6 must be that.
  if (version == 6) return read_ipv6(layer, out);
  if (version == 4 && layer.kind != LayerKind::kIpv6) return read_ipv4(layer, out);
  return DecodeStatus::kMalformed;
}

bool read_tuple(const IpHeader& ip, model::Tuple& out) {
  constexpr std::uint8_t kDccp = 33, kUdpLite = 136;
  out.source = ip.source;
  out.dest = ip.dest;
  out.source_port = out.dest_port = 0;
  out.protocol = ip.protocol;
  if (ip.later_fragment()) return true;
  const Layer& l4 = ip.payload;
  switch (ip.protocol) {
    case model::kProtoTcp:
    case model::kProtoUdp:
    case model::kProtoSctp:
    case kDccp:
    case kUdpLite:
      if (l4.captured < 4) return false;
      out.source_port = load_be16(l4.data);
      out.dest_port = load_be16(l4.data + 2);
      return true;
    case model::kProtoIcmp:
    case model::kProtoIcmp6:
      if (l4.captured < 2) return false;
      icmp_ports(l4.data, l4.captured, ip.protocol == model::kProtoIcmp6, out);
      return true;
    default:
      return true;
  }
}

}  // namespace weir::packet
