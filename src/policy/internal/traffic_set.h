#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <vector>

#include "model/connection.h"

namespace weir::policy {

/// Protocols with something like a port: TCP, UDP and SCTP have one, ICMP and ICMPv6 have type << 8 | code.
inline constexpr std::size_t kPortedProtocols = 5;

/// 0 to 4 for those; -1 for others.
inline int ported_slot(std::uint8_t protocol) {
  switch (protocol) {
    case model::kProtoTcp:
      return 0;
    case model::kProtoUdp:
      return 1;
    case model::kProtoSctp:
      return 2;
    case model::kProtoIcmp:
      return 3;
    case model::kProtoIcmp6:
      return 4;
    default:
      return -1;
  }
}

/// Destination ports, inclusive.
struct PortSpan {
  std::uint16_t first = 0, last = 65'535;
  friend bool operator==(const PortSpan&, const PortSpan&) = default;
};
using PortSpans = std::vector<PortSpan>;

/// A set of (protocol, destination port). Equal sets compare equal.
class TrafficSet {
 public:
  static TrafficSet all();
  static TrafficSet none() { return {}; }
  static TrafficSet protocol(std::uint8_t protocol);
  /// `last` < `first`: nothing. Of a protocol without ports: all of it.
  static TrafficSet ports(std::uint8_t protocol, std::uint16_t first, std::uint16_t last);

  void unite(const TrafficSet& other);
  void intersect(const TrafficSet& other);
  void complement();
  void subtract(TrafficSet other);

  bool contains(std::uint8_t protocol, std::uint16_t port) const;
  bool is_all() const { return *this == all(); }
  bool empty() const { return *this == none(); }
  /// By slot: ascending, disjoint, not adjacent.
  const std::array<PortSpans, kPortedProtocols>& ported() const { return ported_; }
  /// Protocols without ports.
  const std::bitset<256>& whole() const { return whole_; }

  friend bool operator==(const TrafficSet&, const TrafficSet&) = default;

 private:
  std::array<PortSpans, kPortedProtocols> ported_;
  std::bitset<256> whole_;
};

}  // namespace weir::policy
