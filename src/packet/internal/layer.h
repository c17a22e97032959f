#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "packet/packet.h"

namespace weir::packet {

/// What some bytes of a frame are, as the header before them announced it.
enum class LayerKind : std::uint8_t {
  kNone,       ///< nothing that can lead to IP
  kTruncated,  ///< a header on the way to IP was not captured whole
  kEthernet,
  kEtherType,  ///< `type` is the EtherType
  kLlc,        ///< IEEE 802.2
  kMpls,
  kPppoe,
  kPpp,   ///< address and control bytes are optional
  kHdlc,  ///< Cisco HDLC
  kIeee80211,
  kGre,
  kIp,  ///< IPv4 or IPv6, as the version nibble says
  kIpv4,
  kIpv6,
};

/// A run of bytes inside a frame: `captured` of them can be read, `wire` of them were there.
struct Layer {
  LayerKind kind = LayerKind::kNone;
  std::uint16_t type = 0;
  const std::uint8_t* data = nullptr;
  std::uint32_t captured = 0;
  std::uint32_t wire = 0;

  /// The bytes after the first `bytes`, which the caller has checked to be captured.
  Layer after(std::uint32_t bytes, LayerKind next, std::uint16_t next_type = 0) const {
    return {next, next_type, data + bytes, captured - bytes, std::max(wire, bytes) - bytes};
  }
  /// At most `bytes` of it: drops padding and trailers.
  void trim(std::uint32_t bytes) {
    wire = std::min(wire, bytes);
    captured = std::min(captured, bytes);
  }
};

inline bool is_ip(LayerKind kind) {
  return kind == LayerKind::kIp || kind == LayerKind::kIpv4 || kind == LayerKind::kIpv6;
}

inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800, kEtherTypeIpv6 = 0x86DD;

/// The outermost layer of a frame; kNone if its link type is not one that we read.
Layer first_layer(const PacketView& view);
/// False for a link type that first_layer() never reads.
bool knows_link_type(std::uint16_t link_type);

/// Peels one header that is not IP: link layers, tags, labels, GRE. kNone where IP cannot follow.
Layer next_layer(const Layer& layer);

/// What an UDP tunnel carries, by the well-known port of its either end; kNone if it is no tunnel.
/// `payload` is the UDP payload. A destination port in `vxlan_ports` is VXLAN's too.
Layer udp_tunnel(const Layer& payload, std::uint16_t source_port, std::uint16_t dest_port,
                 std::span<const std::uint16_t> vxlan_ports);

}  // namespace weir::packet
