#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "meter/internal/connection_index.h"
#include "meter/internal/conntrack_entry.h"
#include "meter/internal/paged_array.h"
#include "meter/internal/slot_cycle.h"
#include "meter/internal/slot_lists.h"
#include "meter/internal/timer_wheel.h"
#include "meter/meter.h"
#include "model/connection.h"
#include "model/conntrack.h"
#include "model/policy_hit.h"

namespace weir::meter {

struct ConntrackMeterOptions {
  /// Connections held at once, about 190 B each. Those that find no room are told of when they end (counted).
  std::uint32_t max_connections = 1'000'000;
  /// A denied connection ends when no packet of it was denied for this long.
  std::chrono::nanoseconds denied_timeout = std::chrono::seconds(10);
  /// What the kernel's timeouts are: its last packet was that long before an entry timed out.
  Timeouts timeouts{};
  /// Connections that began before this time were counted by an earlier run of the agent: they are `resumed`, and their
  /// counters so far are not told again. Nanoseconds since the Unix epoch; 0: there was no earlier run.
  std::int64_t resume_before_ns = 0;
  /// As in MeterOptions.
  std::uint64_t hash_seed = 0;
  Status validate() const;  // names every violated bound
};

struct ConntrackMeterStats {
  std::uint64_t events = 0;
  /// started = ended + open.
  std::uint64_t started = 0, ended = 0, open = 0;
  std::uint64_t resumed = 0;
  /// Ended because a dump had them no longer, or because another entry has their tuple: their DESTROY was lost, and
  /// with it what they counted since the dump before.
  std::uint64_t missing = 0, replaced = 0;
  /// Connections first heard of by their DESTROY: their NEW was lost or found no room. Their counters are whole.
  std::uint64_t at_end_only = 0;
  /// Events and denied packets that found no room in the table.
  std::uint64_t no_room = 0;
  std::uint64_t counters_backwards = 0;
  /// Connections known by denied packets only; of these, ended as the connection tracker had them after all.
  std::uint64_t denied = 0, denied_superseded = 0;
  /// Denied packets of connections that the tracker has: its counters have them.
  std::uint64_t denied_packets_tracked = 0;
};

/// The connection tracker's entries, and denied packets that have none, as connection updates.
///
/// In:      ConntrackEvents in the order of their reader, begin_dump() and end_dump() where it says so; denied
///          PolicyHits (others are passed over).
/// Out:     ConnectionUpdates as of Meter: flush() gives one for each connection with news since the last flush,
///          updates() the final ones of those that ended. The tuple is that after DNAT.
/// Time:    the tracker does not date packets. The newest packet of an update is dated by the dump that had it, and of
///          an entry that timed out by its timeout before that.
/// Slots:   as of Meter: reused after clear_updates().
/// Bounds:  ConntrackMeterOptions::max_connections; no allocation an event. At most kMaxBatch events and hits between
///          two calls of clear_updates(), or slots run out: that is a bug of the caller and ends the process.
/// Threads: one. Errors: create() fails if the kernel refuses the addresses to reserve.
/// Source:  Linux nf_conntrack.
class ConntrackMeter {
 public:
  static constexpr std::size_t kMaxBatch = 65'536;
  static constexpr std::size_t kFlushSpan = 256;

  static Result<std::unique_ptr<ConntrackMeter>> create(ConntrackMeterOptions options);

  void add(std::span<const model::ConntrackEvent> events);
  void begin_dump() { ++generation_; }
  /// Ends the connections that nothing has told of since begin_dump().
  void end_dump();
  void add(const model::PolicyHit& hit);
  /// Ends denied connections whose time has passed.
  void advance(std::int64_t now_ns);

  /// The updates since clear_updates(). Valid until add(), end_dump(), advance() or clear_updates().
  std::span<const model::ConnectionUpdate> updates() const { return updates_; }
  void clear_updates();
  /// As Meter::flush(): call it until the span is empty.
  std::span<const model::ConnectionUpdate> flush();
  /// The input ended: who was not answered by now is unanswered, though still open. Call flush() after it.
  void end_input();

  const ConntrackMeterStats& stats() const { return stats_; }
  std::size_t used_bytes() const;

 private:
  using Entry = ConntrackEntry;
  using Slot = model::ConnectionSlot;

  explicit ConntrackMeter(const ConntrackMeterOptions& options);

  void add_event(const model::ConntrackEvent& event, std::uint32_t hash);
  void apply(Entry& entry, Slot slot, const model::ConntrackEvent& event);
  void count(Entry& entry, Slot slot, const model::ConntrackEvent& event);
  std::int64_t newest_packet(const Entry& entry, const model::ConntrackEvent& event) const;
  std::int64_t timeout_of(const Entry& entry) const;
  bool is_resumed(const model::ConntrackEvent& event) const;

  Slot find(const model::ConntrackEvent& event, std::uint32_t hash) const;
  Slot find_tracked(const model::Tuple& flow, const model::Tuple& original) const;
  Slot find_denied(const model::Tuple& original) const;
  Slot open(const model::Tuple& original, const model::Tuple& flow, std::uint32_t hash);
  Slot open_tracked(const model::ConntrackEvent& event, std::uint32_t hash);
  void supersede_denied(const model::ConntrackEvent& event);
  void end(Slot slot);

  void touch(Entry& entry, Slot slot);
  void drain(Entry& entry, Slot slot, model::ConnectionUpdate& update);
  void move_clock(std::int64_t time_ns);
  void on_due(Slot slot);
  std::int64_t deadline_tick(const Entry& entry) const {
    return TimerWheel::tick_of(entry.newest_ns + denied_timeout_ns_);
  }

  ConntrackMeterOptions options_;
  std::int64_t denied_timeout_ns_;
  std::int64_t now_ns_ = 0;
  /// Counts dumps; an entry's mark is the dump during which it was last heard of.
  std::uint32_t generation_ = 1;
  bool dumped_ = false;
  ConnectionIndex by_original_, by_flow_;
  PagedArray<Entry> entries_;
  PagedArray<std::uint32_t> marks_;
  SlotPool lists_;
  TimerWheel wheel_;
  SlotList touched_, free_, released_;
  std::vector<model::ConnectionUpdate> updates_, flushed_;
  ConntrackMeterStats stats_;
};

}  // namespace weir::meter
