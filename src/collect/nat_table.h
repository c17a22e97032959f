#pragma once

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "model/conntrack.h"

namespace weir::collect {

/// What the connection tracker did to one connection's addresses.
struct Translation {
  /// As the client sends: to the service.
  model::Tuple original;
  /// After DNAT, with the client's own address: the tuple of its flow.
  model::Tuple flow;
  /// As the other end receives: after DNAT and SNAT.
  model::Tuple received;

  friend bool operator==(const Translation&, const Translation&) = default;
};

struct TupleHash {
  std::size_t operator()(const model::Tuple& t) const;
};

struct NatTableStats {
  std::uint64_t learned = 0, forgotten = 0;
  /// Translations not learnt for want of room; forgotten as nothing told of them for Options::max_age.
  std::uint64_t no_room = 0, aged = 0;
};

/// Remembers which connections have their addresses translated, so that a source that sees one end only (a pod's
/// interface) knows the other side of the translation.
///
/// In:      all ConntrackEvents; entries without NAT are passed over. Zones are not told apart: the newest counts.
/// Bounds:  Options::max_entries, about 400 B each in three tables; no allocation but the tables'.
/// Threads: one.
class NatTable {
 public:
  struct Options {
    std::size_t max_entries = 500'000;
    /// A translation is known this long after its entry is gone, for what is reported late.
    std::chrono::nanoseconds grace = std::chrono::seconds(10);
    /// And this long without an event or a dump that tells of it: its DESTROY was lost.
    std::chrono::nanoseconds max_age = std::chrono::minutes(30);
  };
  NatTable() : NatTable(Options{}) {}
  explicit NatTable(Options options) : options_(options) {}

  void learn(const model::ConntrackEvent& event);
  /// Forgets what is due; learn() does so too, by the time of its events.
  void advance(std::int64_t now_ns);

  /// By the tuple that the client sends (before DNAT); null: not translated, as far as is known. Valid until learn() or
  /// advance().
  const Translation* translated(const model::Tuple& before) const;
  /// By the flow's tuple, or by the one that the other end receives (after DNAT, and after SNAT where there is some).
  const Translation* original(const model::Tuple& after) const;

  std::size_t size() const { return entries_.size(); }
  const NatTableStats& stats() const { return stats_; }

 private:
  struct Entry {
    Translation translation;
    std::uint32_t id = 0;
    std::int64_t heard_ns = 0;
    /// When it is forgotten; 0: its entry is there.
    std::int64_t forget_ns = 0;
  };
  /// Of those gone, in order of time.
  struct Gone {
    model::Tuple original;
    std::int64_t forget_ns = 0;
  };
  using Entries = absl::flat_hash_map<model::Tuple, Entry, TupleHash>;

  void forget(Entries::iterator at);
  void sweep();

  Options options_;
  /// By the tuple before NAT; and from those after it to that.
  Entries entries_;
  absl::flat_hash_map<model::Tuple, model::Tuple, TupleHash> by_flow_, by_received_;
  /// A ring: the oldest at front_.
  std::vector<Gone> gone_;
  std::size_t front_ = 0;
  std::int64_t now_ns_ = 0, swept_ns_ = 0;
  NatTableStats stats_;
};

}  // namespace weir::collect
