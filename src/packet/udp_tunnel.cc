// Tunnels over UDP, told by their well-known ports and then checked by what their header must look like.

#include "packet/internal/layer.h"
#include "packet/internal/wire.h"

namespace weir::packet {
namespace {

/// RFC 7348. The I flag must be set; without it the payload is something else on that port.
Layer vxlan(const Layer& l) {
  constexpr std::uint8_t kVniValid = 0x08;
  if (l.captured < 8 || (l.data[0] & kVniValid) == 0) return {};
  return l.after(8, LayerKind::kEthernet);
}

/// draft-ietf-nvo3-vxlan-gpe: VXLAN with a next-protocol byte.
Layer vxlan_gpe(const Layer& l) {
  if (l.captured < 8) return {};
  switch (l.data[3]) {
    case 1:
      return l.after(8, LayerKind::kIpv4);
    case 2:
      return l.after(8, LayerKind::kIpv6);
    case 3:
      return l.after(8, LayerKind::kEthernet);
    case 5:
      return l.after(8, LayerKind::kMpls);
    default:
      return {};
  }
}

/// RFC 8926, version 0.
Layer geneve(const Layer& l) {
  if (l.captured < 8 || (l.data[0] >> 6) != 0) return {};
  const std::uint32_t header = 8 + (l.data[0] & 0x3Fu) * 4;
  if (l.captured < header) return {};
  return l.after(header, LayerKind::kEtherType, load_be16(l.data + 2));
}

/// 3GPP TS 29.281: version 1, a G-PDU, with its optional fields and extension headers.
Layer gtp_user(const Layer& l) {
  constexpr std::uint8_t kVersionAndType = 0xF0, kVersion1Gtp = 0x30, kExtension = 0x04, kAnyOptional = 0x07;
  constexpr std::uint8_t kUserPdu = 255;
  if (l.captured < 8 || (l.data[0] & kVersionAndType) != kVersion1Gtp || l.data[1] != kUserPdu) return {};
  std::uint32_t header = 8;
  if ((l.data[0] & kAnyOptional) != 0) {
    header = 12;
    if (l.captured < header) return {};
    bool more = (l.data[0] & kExtension) != 0 && l.data[11] != 0;
    while (more) {
      if (l.captured < header + 1 || l.data[header] == 0) return {};
      header += l.data[header] * 4u;
      if (l.captured < header) return {};
      more = l.data[header - 1] != 0;
    }
  }
  return l.after(header, LayerKind::kIp);
}

/// RFC 4380: optional authentication and origin indications, then IPv6.
Layer teredo(const Layer& l) {
  std::uint32_t at = 0;
  if (l.captured >= 4 && l.data[0] == 0 && l.data[1] == 1) at = 13u + l.data[2] + l.data[3];
  if (l.captured >= at + 2 && l.data[at] == 0 && l.data[at + 1] == 0) at += 8;
  if (l.captured < at + 1 || (l.data[at] >> 4) != 6) return {};
  return l.after(at, LayerKind::kIpv6);
}

}  // namespace

Layer udp_tunnel(const Layer& payload, std::uint16_t source_port, std::uint16_t dest_port,
                 std::span<const std::uint16_t> vxlan_ports) {
  for (const std::uint16_t port : vxlan_ports) {
    if (dest_port == port) return vxlan(payload);
  }
  // A tunnel's reply may leave from the well-known port.
  for (const std::uint16_t port : {dest_port, source_port}) {
    switch (port) {
      case 4789:
        return vxlan(payload);
      case 4790:
        return vxlan_gpe(payload);
      case 6081:
        return geneve(payload);
      case 2152:
        return gtp_user(payload);
      case 3544:
        return teredo(payload);
      case 6635:
        return payload.after(0, LayerKind::kMpls);
      default:
        break;
    }
  }
  return {};
}

}  // namespace weir::packet
