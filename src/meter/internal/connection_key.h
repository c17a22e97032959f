#pragma once

#include <cstdint>
#include <utility>

#include "base/hash.h"
#include "model/connection.h"
#include "model/protocol.h"

namespace weir::meter {

/// The ends of a connection in an order that does not depend on who sends, so that both directions meet.
/// ICMP: the identifier and type stay in their places, since request and reply carry the same (model::Tuple).
struct ConnectionKey {
  IpAddress a, b;
  std::uint16_t port_a = 0, port_b = 0;
  std::uint8_t protocol = 0;
};

inline bool is_icmp(std::uint8_t protocol) { return protocol == model::kProtoIcmp || protocol == model::kProtoIcmp6; }

/// Any total order will do: this one compares words as they lie in memory.
inline bool in_key_order(const model::Tuple& t) {
  if (t.source.low() != t.dest.low()) return t.source.low() < t.dest.low();
  if (t.source.high() != t.dest.high()) return t.source.high() < t.dest.high();
  return t.source_port <= t.dest_port;
}

/// `from_a` tells whether the tuple's source is end a.
inline ConnectionKey make_key(const model::Tuple& t, bool& from_a) {
  from_a = in_key_order(t);
  ConnectionKey key{t.source, t.dest, t.source_port, t.dest_port, t.protocol};
  if (!from_a) {
    std::swap(key.a, key.b);
    if (!is_icmp(t.protocol)) std::swap(key.port_a, key.port_b);
  }
  return key;
}

inline std::uint32_t hash_key(const ConnectionKey& key, std::uint64_t seed) {
  const std::uint64_t ports = (std::uint64_t{key.port_a} << 32) | (std::uint64_t{key.port_b} << 16) | key.protocol;
  std::uint64_t hash = mix64(key.a.low() ^ seed, key.b.low() + ports * 0x9E3779B97F4A7C15ULL);
  // Zero for IPv4, which then skips a multiplication.
  if ((key.a.high() | key.b.high()) != 0) hash ^= mix64(key.a.high() + seed, key.b.high());
  return static_cast<std::uint32_t>(mix64(hash, seed + ports) >> 32);
}

}  // namespace weir::meter
