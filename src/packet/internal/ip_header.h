#pragma once

#include <cstdint>

#include "packet/decoder.h"
#include "packet/internal/fragment_table.h"
#include "packet/internal/layer.h"

namespace weir::packet {

/// An IPv4 header, or an IPv6 header with its extension headers.
struct IpHeader {
  IpAddress source;
  IpAddress dest;
  /// Of the payload: behind all extension headers that could be read.
  std::uint8_t protocol = 0;
  std::uint32_t ip_bytes = 0;
  /// From the transport header on, without padding. Nothing captured if an extension header or option was cut off.
  Layer payload;

  bool fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;
  std::uint32_t fragment_id = 0;
  /// Protocol of the fragmented part, as all its fragments state it.
  std::uint8_t fragment_protocol = 0;

  bool later_fragment() const { return fragment && fragment_offset != 0; }
  FragmentKey fragment_key() const { return {source, dest, fragment_id, fragment_protocol}; }
};

/// Reads the header at `layer` (kIp, kIpv4 or kIpv6). `out` is whole if kOk.
DecodeStatus read_ip_header(const Layer& layer, IpHeader& out);

/// The tuple of the packet that begins with `ip`, as model::Tuple defines the ports. False if the protocol has ports
/// and they were not captured, they are 0 then.
bool read_tuple(const IpHeader& ip, model::Tuple& out);

}  // namespace weir::packet
