#pragma once

#include <cstdint>

#include "base/hash.h"
#include "base/ip.h"
#include "model/policy_trace.h"
#include "model/reported_flow.h"

namespace weir::aggregate {

/// What an aggregation level keeps of a flow. Each level drops what the one before it drops, and more.
enum class Level : std::uint8_t {
  kTuple = 0,  ///< everything
  kNoSourcePort = 1,
  kGroups = 2,  ///< no addresses, no full names: pod prefixes, network sets, pub and pvt
  kNoDestPort = 3,
};
inline constexpr Level kWidest = Level::kNoDestPort;

inline Level wider(Level level) { return static_cast<Level>(static_cast<std::uint8_t>(level) + 1); }
inline bool has_addresses(Level level) { return level <= Level::kNoSourcePort; }

/// The small key fields of a flow, packed in one word so that they compare and hash as one.
struct KeyScalars {
  /// What is left of the word: 15 bits.
  static constexpr int kProcessShift = 49;

  std::uint16_t source_port = 0;
  std::uint16_t dest_port = 0;
  std::uint8_t protocol = 0;
  model::Reporter reporter = model::Reporter::kSource;
  model::Action action = model::Action::kAllow;
  model::VerdictSource verdict_source = model::VerdictSource::kObserved;
  Level level = Level::kTuple;
  /// The flow's traces hold a deny: it belongs to the store of denied flows, whatever its verdict.
  bool denied_store = false;
  /// ProcessNames::Id.
  std::uint16_t process = 0;

  std::uint64_t pack() const {
    return std::uint64_t{source_port} | std::uint64_t{dest_port} << 16 | std::uint64_t{protocol} << 32 |
           static_cast<std::uint64_t>(reporter) << 40 | static_cast<std::uint64_t>(action) << 42 |
           static_cast<std::uint64_t>(verdict_source) << 44 | static_cast<std::uint64_t>(level) << 46 |
           std::uint64_t{denied_store} << 48 | std::uint64_t{process} << kProcessShift;
  }
  static KeyScalars unpack(std::uint64_t word) {
    KeyScalars scalars;
    scalars.source_port = static_cast<std::uint16_t>(word);
    scalars.dest_port = static_cast<std::uint16_t>(word >> 16);
    scalars.protocol = static_cast<std::uint8_t>(word >> 32);
    scalars.reporter = static_cast<model::Reporter>(word >> 40 & 3);
    scalars.action = static_cast<model::Action>(word >> 42 & 3);
    scalars.verdict_source = static_cast<model::VerdictSource>(word >> 44 & 3);
    scalars.level = static_cast<Level>(word >> 46 & 3);
    scalars.denied_store = (word >> 48 & 1) != 0;
    scalars.process = static_cast<std::uint16_t>(word >> kProcessShift);
    return scalars;
  }
};

/// What flows must share to be counted in one record. The enforced trace is part of it, so that a connection counts in
/// exactly one record per window and reporter.
struct FlowKey {
  /// Levels 2, 3: the EndpointGroup's address. Levels 0, 1: that, mixed with a 64-bit hash of the endpoint's name.
  std::uint64_t source = 0;
  std::uint64_t dest = 0;
  const model::PolicyTrace* trace = nullptr;
  /// 64-bit hash of what the level keeps of the service; 0 if none.
  std::uint64_t service = 0;
  /// KeyScalars.
  std::uint64_t scalars = 0;

  Level level() const { return static_cast<Level>(scalars >> 46 & 3); }
  std::uint16_t process() const { return static_cast<std::uint16_t>(scalars >> KeyScalars::kProcessShift); }
  /// The same key, whatever the process.
  FlowKey without_process() const {
    FlowKey key = *this;
    key.scalars &= (std::uint64_t{1} << KeyScalars::kProcessShift) - 1;
    return key;
  }
  friend bool operator==(const FlowKey& a, const FlowKey& b) {
    return ((a.source ^ b.source) | (a.dest ^ b.dest) | (a.service ^ b.service) | (a.scalars ^ b.scalars)) == 0 &&
           a.trace == b.trace;
  }
};

/// The part of a key that only levels 0 and 1 have; none at the others.
struct KeyAddresses {
  IpAddress source;
  IpAddress dest;
  friend bool operator==(const KeyAddresses&, const KeyAddresses&) = default;
};

inline std::uint64_t hash_key(const FlowKey& key, const KeyAddresses& addresses) {
  const std::uint64_t ends = mix64(key.source, key.dest);
  const std::uint64_t rest = mix64(reinterpret_cast<std::uintptr_t>(key.trace) ^ key.service, key.scalars);
  if (!has_addresses(key.level())) return mix64(ends, rest);
  return mix64(mix64(ends, hash_value(addresses.source)), mix64(rest, hash_value(addresses.dest)));
}

}  // namespace weir::aggregate
