#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

namespace weir::capture {

/// Why a reader stopped before the end of the file.
struct Damage {
  /// Offset in the file of the record or block that is damaged.
  std::size_t offset = 0;
  std::string what;
};

/// Packets larger than this are damage, not packets: the limit of libpcap and Wireshark.
inline constexpr std::uint32_t kMaxPacketBytes = 262'144;

/// A length on the wire beyond this is a lie; as much is counted.
inline constexpr std::uint32_t kMaxWireBytes = 0x7FFFFFFF;

/// An integer of the file, whose byte order is ours or the other one.
inline std::uint16_t load16(const std::uint8_t* at, bool swapped) {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return swapped ? __builtin_bswap16(value) : value;
}
inline std::uint32_t load32(const std::uint8_t* at, bool swapped) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return swapped ? __builtin_bswap32(value) : value;
}
inline std::uint64_t load64(const std::uint8_t* at, bool swapped) {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return swapped ? __builtin_bswap64(value) : value;
}

}  // namespace weir::capture
