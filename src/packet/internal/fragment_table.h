#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/ip.h"

namespace weir::packet {

/// What all fragments of one datagram share (RFC 791 3.2, RFC 8200 4.5).
struct FragmentKey {
  IpAddress source;
  IpAddress dest;
  std::uint32_t id = 0;
  /// As in the IPv4 header or the IPv6 fragment header.
  std::uint8_t protocol = 0;

  friend bool operator==(const FragmentKey&, const FragmentKey&) = default;
};

/// What the first fragment tells about the later ones.
struct FragmentPorts {
  std::uint16_t source_port = 0;
  std::uint16_t dest_port = 0;
  /// The transport, where extension headers stand between it and FragmentKey::protocol.
  std::uint8_t protocol = 0;
  /// The datagram is a tunnel whose inner IP header was in the first fragment, and is metered there.
  bool tunnel = false;
};

/// Remembers the ports of first fragments for the later ones, which have none.
///
/// Bounds:  kSets * kWays datagrams, the oldest of a set gives way; an entry is void after kLifetimeNs of packet time.
///          Memory (about 250 KiB) is taken at the first fragment.
/// Threads: one.
class FragmentTable {
 public:
  void remember(const FragmentKey& key, const FragmentPorts& ports, std::int64_t time_ns);
  /// Null if the first fragment was not seen, or too long ago.
  const FragmentPorts* find(const FragmentKey& key, std::int64_t time_ns) const;

 private:
  static constexpr std::size_t kSets = 1024, kWays = 4;
  /// The reassembly limit of RFC 8200 4.5: an id may come again after it.
  static constexpr std::int64_t kLifetimeNs = 60'000'000'000;
  struct Entry {
    FragmentKey key;
    FragmentPorts ports;
    bool used = false;
    std::int64_t time_ns = 0;
  };
  using Set = std::array<Entry, kWays>;

  static std::size_t set_of(const FragmentKey& key);
  std::vector<Set> sets_;
};

}  // namespace weir::packet
