#pragma once

#include <cstdint>
#include <cstring>

#include "base/ip.h"

/// Big-endian loads of header fields, from any alignment. The caller has checked that the bytes are there.
namespace weir::packet {

inline std::uint16_t load_be16(const std::uint8_t* at) {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap16(value);
}
inline std::uint32_t load_be32(const std::uint8_t* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}
inline std::uint16_t load_le16(const std::uint8_t* at) {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
inline std::uint32_t load_le32(const std::uint8_t* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// The 4 or 16 bytes of an address, inline: the decoder does this twice a packet.
inline void load_v4(const std::uint8_t* at, IpAddress& out) {
  std::memset(out.bytes.data(), 0, 8);
  std::memset(out.bytes.data() + 8, 0, 2);
  std::memset(out.bytes.data() + 10, 0xFF, 2);
  std::memcpy(out.bytes.data() + 12, at, 4);
}
inline void load_v6(const std::uint8_t* at, IpAddress& out) { std::memcpy(out.bytes.data(), at, 16); }

}  // namespace weir::packet
