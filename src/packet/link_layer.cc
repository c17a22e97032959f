// Everything of a frame that comes before an IP header, one function a header. Each returns the layer after its header.

#include "packet/internal/layer.h"
#include "packet/internal/wire.h"

namespace weir::packet {
namespace {

constexpr Layer kTruncatedLayer{LayerKind::kTruncated, 0, nullptr, 0, 0};
constexpr std::uint16_t kEthernetMaxLength = 1500;

/// An EtherType, or below 1501 the length of an 802.3 frame that goes on with LLC.
Layer by_ether_type(const Layer& from, std::uint32_t header, std::uint16_t type) {
  if (type > kEthernetMaxLength) return from.after(header, LayerKind::kEtherType, type);
  Layer llc = from.after(header, LayerKind::kLlc);
  llc.trim(type);
  return llc;
}

Layer ethernet(const Layer& l) {
  if (l.captured < 14) return kTruncatedLayer;
  return by_ether_type(l, 14, load_be16(l.data + 12));
}

Layer vlan(const Layer& l) {
  if (l.captured < 4) return kTruncatedLayer;
  return by_ether_type(l, 4, load_be16(l.data + 2));
}

/// IEEE 802.1ah I-TAG: flags and service id, then the customer's whole Ethernet header.
Layer provider_backbone(const Layer& l) {
  if (l.captured < 4) return kTruncatedLayer;
  return l.after(4, LayerKind::kEthernet);
}

/// IEEE 802.1AE: only frames that are authenticated and not encrypted show their EtherType.
Layer macsec(const Layer& l) {
  constexpr std::uint8_t kSci = 0x20, kEncrypted = 0x08, kChanged = 0x04;
  if (l.captured < 6) return kTruncatedLayer;
  if ((l.data[0] & (kEncrypted | kChanged)) != 0) return {};
  const std::uint32_t header = (l.data[0] & kSci) != 0 ? 14 : 6;
  if (l.captured < header + 2) return kTruncatedLayer;
  return by_ether_type(l, header + 2, load_be16(l.data + header));
}

/// ERSPAN type II has 8 bytes, type III 12 or 20, then the mirrored Ethernet frame.
Layer erspan(const Layer& l, bool third) {
  if (l.captured < (third ? 12u : 8u)) return kTruncatedLayer;
  const std::uint32_t header = !third ? 8 : (l.data[11] & 1) != 0 ? 20 : 12;
  if (l.captured < header) return kTruncatedLayer;
  return l.after(header, LayerKind::kEthernet);
}

/// Cisco TrustSec: version, number of 4-byte options, options, EtherType.
Layer cisco_metadata(const Layer& l) {
  if (l.captured < 2) return kTruncatedLayer;
  const std::uint32_t header = 2 + l.data[1] * 4u;
  if (l.captured < header + 2) return kTruncatedLayer;
  return by_ether_type(l, header + 2, load_be16(l.data + header));
}

Layer ether_type(const Layer& l) {
  switch (l.type) {
    case kEtherTypeIpv4:
      return l.after(0, LayerKind::kIpv4);
    case kEtherTypeIpv6:
      return l.after(0, LayerKind::kIpv6);
    case 0x8100:
    case 0x88A8:
    case 0x9100:
      return vlan(l);
    case 0x8847:
    case 0x8848:
      return l.after(0, LayerKind::kMpls);
    case 0x8864:
      return l.after(0, LayerKind::kPppoe);
    case 0x880B:
      return l.after(0, LayerKind::kPpp);
    case 0x6558:
      return l.after(0, LayerKind::kEthernet);
    case 0x88BE:
      return erspan(l, false);
    case 0x22EB:
      return erspan(l, true);
    case 0x88E7:
      return provider_backbone(l);
    case 0x88E5:
      return macsec(l);
    case 0x8909:
      return cisco_metadata(l);
    default:
      return {};
  }
}

Layer llc(const Layer& l) {
  constexpr std::uint8_t kSapIp = 0x06, kSapSnap = 0xAA, kUnnumbered = 0x03;
  if (l.captured < 3) return kTruncatedLayer;
  if (l.data[0] == kSapIp && l.data[2] == kUnnumbered) return l.after(3, LayerKind::kIpv4);
  if (l.data[0] != kSapSnap || l.data[2] != kUnnumbered) return {};
  if (l.captured < 8) return kTruncatedLayer;
  const std::uint32_t organisation = load_be32(l.data + 2) & 0xFFFFFF;
  const std::uint16_t type = load_be16(l.data + 6);
  // 00-00-F8 is 802.1H bridge-tunnel encapsulation, 00-80-C2 type 1 and 7 an Ethernet frame (RFC 2684).
  if (organisation == 0 || organisation == 0x0000F8) return l.after(8, LayerKind::kEtherType, type);
  if (organisation == 0x0080C2 && (type == 1 || type == 7)) return l.after(8, LayerKind::kEthernet);
  return {};
}

bool leads_to_ip(const std::uint8_t* ethernet) {
  switch (load_be16(ethernet + 12)) {
    case kEtherTypeIpv4:
    case kEtherTypeIpv6:
    case 0x8100:
    case 0x88A8:
    case 0x9100:
    case 0x8847:
    case 0x8864:
      return true;
    default:
      return false;
  }
}

/// Nothing in a label stack says what it carries: IP shows its version, a pseudowire (RFC 4448) an Ethernet header
/// that leads to IP, behind its control word or without one.
Layer mpls(const Layer& l) {
  constexpr std::uint8_t kBottom = 1;
  std::uint32_t at = 0;
  do {
    at += 4;
    if (l.captured < at + 1) return kTruncatedLayer;
  } while ((l.data[at - 2] & kBottom) == 0);
  const std::uint8_t nibble = l.data[at] >> 4;
  if (nibble == 4 || nibble == 6) {
    // A MAC address may begin like an IP version.
    const bool header = nibble == 6 || (l.data[at] & 15) >= 5;
    if (header) return l.after(at, LayerKind::kIp);
  }
  if (nibble == 0 && l.captured >= at + 18 && leads_to_ip(l.data + at + 4))
    return l.after(at + 4, LayerKind::kEthernet);
  if (l.captured >= at + 14 && leads_to_ip(l.data + at)) return l.after(at, LayerKind::kEthernet);
  return {};
}

Layer pppoe(const Layer& l) {
  if (l.captured < 6) return kTruncatedLayer;
  if (l.data[0] != 0x11 || l.data[1] != 0) return {};
  Layer ppp = l.after(6, LayerKind::kPpp);
  ppp.trim(load_be16(l.data + 4));
  return ppp;
}

Layer ppp(const Layer& l) {
  std::uint32_t at = 0;
  if (l.captured >= 2 && l.data[0] == 0xFF && l.data[1] == 0x03) at = 2;
  if (l.captured < at + 2) return kTruncatedLayer;
  // An odd first byte is a protocol number compressed to one byte (RFC 1661 6.5).
  const bool compressed = (l.data[at] & 1) != 0;
  const std::uint16_t protocol = compressed ? l.data[at] : load_be16(l.data + at);
  at += compressed ? 1 : 2;
  switch (protocol) {
    case 0x0021:
      return l.after(at, LayerKind::kIpv4);
    case 0x0057:
      return l.after(at, LayerKind::kIpv6);
    case 0x0281:
    case 0x0283:
      return l.after(at, LayerKind::kMpls);
    default:
      return {};
  }
}

Layer hdlc(const Layer& l) {
  if (l.captured < 4) return kTruncatedLayer;
  return l.after(4, LayerKind::kEtherType, load_be16(l.data + 2));
}

/// Data frames in the clear; IEEE 802.11 9.2.
Layer ieee80211(const Layer& l) {
  constexpr std::uint8_t kTypeMask = 0x0C, kData = 0x08, kQos = 0x80, kNoData = 0x40;
  constexpr std::uint8_t kBothDistribution = 0x03, kProtected = 0x40, kOrder = 0x80;
  if (l.captured < 24) return kTruncatedLayer;
  const std::uint8_t control = l.data[0], flags = l.data[1];
  if ((control & kTypeMask) != kData || (control & kNoData) != 0 || (flags & kProtected) != 0) return {};
  std::uint32_t header = 24;
  if ((flags & kBothDistribution) == kBothDistribution) header += 6;
  if ((control & kQos) != 0) header += (flags & kOrder) != 0 ? 6 : 2;
  if (l.captured < header) return kTruncatedLayer;
  return l.after(header, LayerKind::kLlc);
}

/// RFC 2784, 2890, and version 1 of RFC 2637.
Layer gre(const Layer& l) {
  constexpr std::uint16_t kChecksum = 0x8000, kRouting = 0x4000, kKey = 0x2000, kSequence = 0x1000, kAck = 0x0080;
  if (l.captured < 4) return kTruncatedLayer;
  const std::uint16_t flags = load_be16(l.data), type = load_be16(l.data + 2);
  if ((flags & kRouting) != 0 || (flags & 7) > 1) return {};
  std::uint32_t header = 4;
  for (const std::uint16_t flag : {kChecksum, kKey, kSequence, kAck}) header += (flags & flag) != 0 ? 4 : 0;
  if (l.captured < header) return kTruncatedLayer;
  // ERSPAN type I is type II without sequence number and header.
  if (type == 0x88BE && (flags & kSequence) == 0) return l.after(header, LayerKind::kEthernet);
  // Cisco TrustSec in GRE has the EtherType before its one option, not after.
  if (type == 0x8909) {
    if (l.captured < header + 8) return kTruncatedLayer;
    return l.after(header + 8, LayerKind::kEtherType, load_be16(l.data + header));
  }
  // MikroTik EoIP: version 1, its key is a length and a tunnel number.
  if (type == 0x6400) return l.after(header, LayerKind::kEthernet);
  return l.after(header, LayerKind::kEtherType, type);
}

/// Linux "cooked": 16 or 20 bytes, the protocol at `type_at`. Protocols below 1536 are ETH_P_ numbers of Linux.
Layer cooked(const Layer& l, std::uint32_t header, std::uint32_t type_at) {
  constexpr std::uint16_t kEthP8022 = 4;
  if (l.captured < header) return kTruncatedLayer;
  const std::uint16_t type = load_be16(l.data + type_at);
  if (type == kEthP8022) return l.after(header, LayerKind::kLlc);
  return l.after(header, LayerKind::kEtherType, type);
}

/// BSD loopback: 4 bytes of address family in the capturing machine's byte order, whose numbers for IPv6 differ.
Layer loopback(const Layer& l) {
  if (l.captured < 4) return kTruncatedLayer;
  std::uint32_t family = load_le32(l.data);
  if ((family & 0xFFFF0000) != 0) family = __builtin_bswap32(family);
  switch (family) {
    case 2:
      return l.after(4, LayerKind::kIpv4);
    case 10:
    case 23:
    case 24:
    case 28:
    case 30:
      return l.after(4, LayerKind::kIpv6);
    default:
      return {};
  }
}

/// The radio headers before an 802.11 frame hold their own length, at `length_at`.
Layer after_radio_header(const Layer& l, std::uint32_t length) {
  if (length < 8 || l.captured < length) return kTruncatedLayer;
  return l.after(length, LayerKind::kIeee80211);
}

enum LinkType : std::uint16_t {
  kNull = 0,
  kEthernet = 1,
  kPpp = 9,
  kRawBsd = 12,
  kRawOpenBsd = 14,
  kPppHdlc = 50,
  kPppEther = 51,
  kRaw = 101,
  kCiscoHdlc = 104,
  kIeee80211 = 105,
  kLoop = 108,
  kLinuxSll = 113,
  kPrism = 119,
  kRadiotap = 127,
  kAvs = 163,
  kPppPppd = 166,
  kIpv4 = 228,
  kIpv6 = 229,
  kLinuxSll2 = 276,
};

}  // namespace

bool knows_link_type(std::uint16_t link_type) {
  switch (link_type) {
    case kNull:
    case kEthernet:
    case kPpp:
    case kRawBsd:
    case kRawOpenBsd:
    case kPppHdlc:
    case kPppEther:
    case kRaw:
    case kCiscoHdlc:
    case kIeee80211:
    case kLoop:
    case kLinuxSll:
    case kPrism:
    case kRadiotap:
    case kAvs:
    case kPppPppd:
    case kIpv4:
    case kIpv6:
    case kLinuxSll2:
      return true;
    default:
      return false;
  }
}

Layer first_layer(const PacketView& view) {
  const Layer frame{LayerKind::kNone, 0, view.data, view.captured_bytes, view.wire_bytes};
  switch (view.link_type) {
    case kEthernet:
      return frame.after(0, LayerKind::kEthernet);
    case kNull:
    case kLoop:
      return loopback(frame);
    case kRawBsd:
    case kRawOpenBsd:
    case kRaw:
      return frame.after(0, LayerKind::kIp);
    case kIpv4:
      return frame.after(0, LayerKind::kIpv4);
    case kIpv6:
      return frame.after(0, LayerKind::kIpv6);
    case kLinuxSll:
      return cooked(frame, 16, 14);
    case kLinuxSll2:
      return cooked(frame, 20, 0);
    case kPpp:
      return frame.after(0, LayerKind::kPpp);
    case kPppHdlc:
      // 0x0F and 0x8F are addresses of Cisco HDLC, which shares this link type.
      if (frame.captured > 0 && (frame.data[0] & 0x7F) == 0x0F) return hdlc(frame);
      return frame.after(0, LayerKind::kPpp);
    case kPppPppd:
      if (frame.captured < 1) return kTruncatedLayer;
      return frame.after(1, LayerKind::kPpp);
    case kPppEther:
      return frame.after(0, LayerKind::kPppoe);
    case kCiscoHdlc:
      return frame.after(0, LayerKind::kHdlc);
    case kIeee80211:
      return frame.after(0, LayerKind::kIeee80211);
    case kRadiotap:
      return frame.captured < 8 ? kTruncatedLayer : after_radio_header(frame, load_le16(frame.data + 2));
    case kPrism:
      return frame.captured < 8 ? kTruncatedLayer : after_radio_header(frame, load_le32(frame.data + 4));
    case kAvs:
      return frame.captured < 8 ? kTruncatedLayer : after_radio_header(frame, load_be32(frame.data + 4));
    default:
      return {};
  }
}

Layer next_layer(const Layer& layer) {
  switch (layer.kind) {
    case LayerKind::kEthernet:
      return ethernet(layer);
    case LayerKind::kEtherType:
      return ether_type(layer);
    case LayerKind::kLlc:
      return llc(layer);
    case LayerKind::kMpls:
      return mpls(layer);
    case LayerKind::kPppoe:
      return pppoe(layer);
    case LayerKind::kPpp:
      return ppp(layer);
    case LayerKind::kHdlc:
      return hdlc(layer);
    case LayerKind::kIeee80211:
      return ieee80211(layer);
    case LayerKind::kGre:
      return gre(layer);
    case LayerKind::kNone:
    case LayerKind::kTruncated:
    case LayerKind::kIp:
    case LayerKind::kIpv4:
    case LayerKind::kIpv6:
      return {};
  }
  return {};
}

}  // namespace weir::packet
