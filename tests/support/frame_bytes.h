#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/ip.h"

/// Frames for tests, composed from the inside out: ethernet(0x0800, ipv4(17, "10.0.0.1", "10.0.0.2", udp(1, 2, data))).
/// Checksums are 0: no reader looks at them.
namespace weir::tests {

using Bytes = std::vector<std::uint8_t>;

inline Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}
inline Bytes be16(std::size_t value) {
  return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}
inline Bytes be32(std::size_t value) { return join({be16(value >> 16), be16(value & 0xFFFF)}); }
/// Hexadecimal digits; blanks are ignored.
inline Bytes hex(std::string_view text) {
  Bytes bytes;
  int digits = 0, value = 0;
  for (const char c : text) {
    if (c == ' ') continue;
    value = value * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    if (++digits % 2 == 0) {
      bytes.push_back(static_cast<std::uint8_t>(value));
      value = 0;
    }
  }
  return bytes;
}

inline Bytes address(std::string_view text) {
  const IpAddress ip = IpAddress::parse(text).value();
  return {ip.bytes.begin() + (ip.is_v4() ? 12 : 0), ip.bytes.end()};
}

inline Bytes ethernet(std::uint16_t type, const Bytes& payload) {
  return join({hex("020000000001 020000000002"), be16(type), payload});
}

struct Ipv4Fields {
  Bytes options{};
  std::uint16_t id = 0;
  bool more_fragments = false;
  /// In bytes.
  std::uint16_t offset = 0;
  /// -1: the true one.
  int total_length = -1;
};
inline Bytes ipv4(std::uint8_t protocol, std::string_view source, std::string_view dest, const Bytes& payload,
                  const Ipv4Fields& f = {}) {
  const std::size_t header = 20 + f.options.size();
  const std::size_t total = f.total_length >= 0 ? static_cast<std::size_t>(f.total_length) : header + payload.size();
  const Bytes first{static_cast<std::uint8_t>(0x40 | header / 4), 0};
  return join({first,
               be16(total),
               be16(f.id),
               be16((f.more_fragments ? 0x2000u : 0u) | f.offset / 8u),
               {64, protocol, 0, 0},
               address(source),
               address(dest),
               f.options,
               payload});
}
/// `next` is the protocol of the payload, or of the extension header that it begins with.
inline Bytes ipv6(std::uint8_t next, std::string_view source, std::string_view dest, const Bytes& payload) {
  return join({hex("60000000"), be16(payload.size()), {next, 64}, address(source), address(dest), payload});
}

inline Bytes udp(std::uint16_t source, std::uint16_t dest, const Bytes& payload) {
  return join({be16(source), be16(dest), be16(8 + payload.size()), be16(0), payload});
}
inline Bytes tcp(std::uint16_t source, std::uint16_t dest, std::uint8_t flags, const Bytes& payload,
                 const Bytes& options = {}) {
  const auto offset = static_cast<std::uint8_t>((20 + options.size()) / 4 << 4);
  return join({be16(source),
               be16(dest),
               be32(0x01020304),
               be32(0x05060708),
               {offset, flags},
               be16(4096),
               be32(0),
               options,
               payload});
}
inline Bytes icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Bytes& payload = {}) {
  return join({{type, code, 0, 0}, be32(rest), payload});
}

}  // namespace weir::tests
