#pragma once

#include <cstdint>

#include "base/hash.h"
#include "model/connection.h"
#include "model/protocol.h"

namespace weir::meter {

/// The ends of a connection in an order that does not depend on who sends, so that both directions meet: addresses as
/// words (IpAddress::low, high), ports as a's << 16 | b's. Each pod's interface (zone) is metered on its own.
/// ICMP: the identifier and type stay in their places, since request and reply carry the same (model::Tuple).
struct ConnectionKey {
  std::uint64_t a_low, a_high, b_low, b_high;
  /// ports | zone << 32 | protocol << 48: 56 bits that are compared at once.
  std::uint64_t rest;
};

inline std::uint16_t port_a(std::uint64_t rest) { return static_cast<std::uint16_t>(rest >> 16); }
inline std::uint16_t port_b(std::uint64_t rest) { return static_cast<std::uint16_t>(rest); }
inline std::uint16_t zone_of(std::uint64_t rest) { return static_cast<std::uint16_t>(rest >> 32); }
inline std::uint8_t protocol_of(std::uint64_t rest) { return static_cast<std::uint8_t>(rest >> 48); }

inline bool is_icmp(std::uint8_t protocol) { return protocol == model::kProtoIcmp || protocol == model::kProtoIcmp6; }

/// `from_a` tells whether the tuple's source is end a. Who sends is a coin toss to the branch predictor, hence the
/// selections without a branch.
inline ConnectionKey make_key(const model::Tuple& t, std::uint16_t zone, bool& from_a) {
  const std::uint64_t source_low = t.source.low(), source_high = t.source.high();
  const std::uint64_t dest_low = t.dest.low(), dest_high = t.dest.high();
  // Any total order will do: this one compares words as they lie in memory.
  bool ordered = source_low < dest_low;
  if (source_low == dest_low)
    ordered = source_high != dest_high ? source_high < dest_high : t.source_port <= t.dest_port;
  const std::uint32_t as_sent = (std::uint32_t{t.source_port} << 16) | t.dest_port;
  const bool ports_ordered = ordered || is_icmp(t.protocol);
  ConnectionKey key;
  key.a_low = ordered ? source_low : dest_low;
  key.a_high = ordered ? source_high : dest_high;
  key.b_low = ordered ? dest_low : source_low;
  key.b_high = ordered ? dest_high : source_high;
  key.rest = (ports_ordered ? as_sent : (as_sent << 16) | (as_sent >> 16)) | (std::uint64_t{zone} << 32) |
             (std::uint64_t{t.protocol} << 48);
  from_a = ordered;
  return key;
}

inline std::uint32_t hash_key(const ConnectionKey& key, std::uint64_t seed) {
  std::uint64_t hash = mix64(key.a_low ^ seed, key.b_low + key.rest * 0x9E3779B97F4A7C15ULL);
  // Zero for IPv4, which then skips a multiplication.
  if ((key.a_high | key.b_high) != 0) hash ^= mix64(key.a_high + seed, key.b_high);
  return static_cast<std::uint32_t>(mix64(hash, seed + key.rest) >> 32);
}

}  // namespace weir::meter
