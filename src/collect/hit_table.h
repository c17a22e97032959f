#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/connection.h"
#include "model/policy_hit.h"

namespace weir::collect {

/// Rule hits of the data plane that wait for their connection: of each tuple and direction the newest whole path, from
/// the first rule that passed on to the verdict.
///
/// Hits of one packet come in the order of its way through the rules. A hit after a verdict, or of a rule that the path
/// has already, begins a new path: the connection's next packet was judged. Hits of staged policies decide nothing and
/// are passed over.
/// Bounds:  kMaxPaths, about 100 B each; hits beyond are dropped (counted). Paths that nobody fetched go after kKeepNs.
/// Threads: one.
class HitTable {
 public:
  static constexpr std::size_t kMaxPaths = 262'144;
  static constexpr std::int64_t kKeepNs = 60'000'000'000;
  using Path = std::vector<model::PolicyHit>;

  void add(const model::PolicyHit& hit);
  /// The path of the tuple (after DNAT, from the opener) in that direction, which is then forgotten; empty if there is
  /// none, or none with a verdict yet. Of its hits, addresses before DNAT and counts are not kept. Valid until the next
  /// take().
  const Path& take(const model::Tuple& tuple, bool egress);
  bool has(const model::Tuple& tuple, bool egress) const { return paths_.contains(Key{tuple, egress}); }
  /// Forgets what waits too long.
  void expire(std::int64_t now_ns);

  bool empty() const { return paths_.empty(); }
  std::uint64_t dropped() const { return dropped_; }
  /// Paths whose connection never came.
  std::uint64_t unmatched() const { return unmatched_; }

 private:
  struct Key {
    model::Tuple tuple;
    bool egress;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& k) {  // NOLINT(readability-identifier-naming): absl's name
      return H::combine(std::move(h), k.tuple.source, k.tuple.dest, k.tuple.source_port, k.tuple.dest_port,
                        k.tuple.protocol, k.egress);
    }
  };

  /// A hit that waits, and the one after it on its path.
  struct Hit {
    std::int64_t time_ns;
    std::uint32_t next, id;
    std::int32_t rule;
    model::HitKind kind;
    model::Action action;
  };
  static constexpr std::uint32_t kNone = ~0u;
  struct Ends {
    std::uint32_t first = kNone, last = kNone;
  };

  std::uint32_t number_of(std::string_view id);
  void append(Ends& ends, const model::PolicyHit& hit);
  void release(Ends& ends);

  absl::flat_hash_map<Key, Ends> paths_;
  std::vector<Hit> pool_;
  /// The first of those that are not in use.
  std::uint32_t free_ = kNone;
  /// Names of policies and profiles by number: there are few, and many hits of each.
  std::vector<std::string> ids_;
  absl::flat_hash_map<std::string, std::uint32_t> id_numbers_;
  Path taken_;
  std::uint64_t dropped_ = 0, unmatched_ = 0;
};

}  // namespace weir::collect
