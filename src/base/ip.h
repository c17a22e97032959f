#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"

namespace weir {

/// An IPv4 or IPv6 address: 16 bytes in network order, IPv4 as its IPv4-mapped form (::ffff:a.b.c.d, RFC 4291 2.5.5.2).
/// A real IPv4-mapped IPv6 address is therefore the same as the IPv4 address it maps, on purpose.
/// The value of a default-constructed address is `::`, which stands for "none" where a field allows that.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  static IpAddress v4(std::uint32_t host_order);
  /// `bytes`: 4 bytes in network order.
  static IpAddress v4(const std::uint8_t* bytes);
  /// `bytes`: 16 bytes in network order.
  static IpAddress v6(const std::uint8_t* bytes);
  /// Dotted quad or RFC 4291 text, without a zone.
  static Result<IpAddress> parse(std::string_view text);

  bool is_v4() const { return high() == 0 && (low() & 0x00000000FFFFFFFFULL) == kMappedMark; }
  bool is_none() const { return high() == 0 && low() == 0; }
  /// Only for is_v4().
  std::uint32_t v4_host_order() const;
  /// The bytes as two words, in memory order: for hashing and equality, not for ordering.
  std::uint64_t high() const { return word(0); }
  std::uint64_t low() const { return word(8); }

  /// RFC 5952 text; at most 45 characters. Writes at `out`, no terminator, and returns the end.
  char* format(char* out) const;
  std::string to_string() const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) { return a.high() == b.high() && a.low() == b.low(); }
  friend auto operator<=>(const IpAddress& a, const IpAddress& b) {
    return std::memcmp(a.bytes.data(), b.bytes.data(), 16) <=> 0;
  }
  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {  // NOLINT(readability-identifier-naming): absl's name
    return H::combine(std::move(h), a.high(), a.low());
  }

 private:
  // Bytes 8..11 of a mapped address, 00 00 ff ff, as loaded from memory on a little-endian machine.
  static constexpr std::uint64_t kMappedMark = 0xFFFF0000ULL;
  std::uint64_t word(std::size_t at) const {
    std::uint64_t value;
    std::memcpy(&value, bytes.data() + at, 8);
    return value;
  }
};

inline constexpr std::size_t kMaxIpText = 45;

inline std::uint64_t hash_value(const IpAddress& a) { return mix64(a.high(), a.low()); }

/// A CIDR block. Host bits are cleared on construction by parse().
struct IpPrefix {
  IpAddress address;
  /// 0 to 128, counted in the 16-byte form: an IPv4 /24 has 120.
  std::uint8_t length = 0;

  /// "10.0.0.0/8", "2001:db8::/32", or a bare address as its /32 or /128.
  static Result<IpPrefix> parse(std::string_view text);
  bool is_v4() const { return address.is_v4() && length >= 96; }
  /// An IPv4 block holds IPv4 addresses only, `::/0` holds IPv6 only.
  bool contains(const IpAddress& ip) const;
  std::string to_string() const;

  friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
  friend auto operator<=>(const IpPrefix&, const IpPrefix&) = default;
};

}  // namespace weir
