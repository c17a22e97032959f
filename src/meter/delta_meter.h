#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "meter/internal/delta_entry.h"
#include "meter/internal/slot_cycle.h"
#include "meter/meter.h"
#include "model/flow_delta.h"

namespace weir::meter {

struct DeltaMeterStats {
  std::uint64_t deltas = 0, packets = 0, bytes = 0;
  /// started = ended + open. Ended: by timeout, by a new connection in its place, evicted, or with its interface.
  std::uint64_t started = 0, ended = 0, open = 0;
  std::uint64_t timed_out = 0, replaced = 0, evicted = 0, interface_gone = 0;
  std::uint64_t resumed = 0;
  /// ICMP errors for connections, and those of them that are open here.
  std::uint64_t unreachable = 0, unreachable_matched = 0;
  /// Spans with a second connection on the same ports, whose traffic is reported with the first.
  std::uint64_t reopened = 0;
};

/// The connection table over what the kernel counts: flow deltas in, connection updates out.
///
/// Each interface is metered by itself: its connections have the zone in their key, and each is observed at its source
/// or its destination, whichever the pod is.
/// In:      FlowDeltas of one drain after the other.
/// Out:     ConnectionUpdates as Meter gives them; their deltas add up to exactly what was put in.
/// States:  follow from the union of each span's flags, in the order of a normal connection: SYN, SYN-ACK, ACK, FIN,
/// RST.
///          Outcome and opener are those that Meter finds in the same packets as long as they come in that order.
/// Ends:    as Meter. A timeout is measured from packet to packet; advance() ends what nothing came for.
/// Bounds:  MeterOptions::max_connections, about 200 B each; no allocation a delta.
/// Threads: one. Errors: create() fails if the kernel refuses the addresses to reserve.
class DeltaMeter {
 public:
  /// Most deltas in one call of process(), and most packets for place(), between two calls of clear_updates(): slots
  /// run out beyond, which is a bug of the caller and ends the process.
  static constexpr std::size_t kMaxBatch = 65'536;

  static Result<std::unique_ptr<DeltaMeter>> create(MeterOptions options);

  void process(std::span<const model::FlowDelta> deltas);
  /// Ends what timed out by `now_ns`. Give the time at which the drain began, and only after process() had all of it:
  /// packets that wait in the kernel are to be counted before their connection ends.
  void advance(std::int64_t now_ns);
  /// The zone's interface is gone, and its last drain was processed: its connections end. Looks at every slot.
  void end_interface(std::uint16_t zone);

  /// The open connection of a packet that a pod's interface saw (zone and from_pod are set).
  std::optional<PacketPlace> find(const packet::DecodedPacket& packet) const;
  /// As find(). Opens the connection if it is not known yet: the kernel counts a packet before it sends it, so that the
  /// next drain has it.
  PacketPlace place(const packet::DecodedPacket& packet);

  /// As those of Meter.
  std::span<const model::ConnectionUpdate> updates() const { return updates_; }
  void clear_updates();
  std::span<const model::ConnectionUpdate> flush();
  static constexpr std::size_t kFlushSpan = 256;
  void end_input();

  const DeltaMeterStats& stats() const { return stats_; }
  std::size_t used_bytes() const;

 private:
  /// What find and open need of a delta or a packet.
  struct Key {
    std::uint64_t pod_low, pod_high, peer_low, peer_high;
    std::uint32_t ports;
    std::uint16_t zone;
    std::uint8_t protocol;
    std::uint32_t hash;
  };

  explicit DeltaMeter(const MeterOptions& options);

  Key key_of(const model::Tuple& pods_view, std::uint16_t zone) const;
  static Key key_of(const DeltaEntry& entry);
  static bool equals(const DeltaEntry& e, const Key& k);
  model::ConnectionSlot find(const Key& key) const;
  model::ConnectionSlot open(const Key& key, const model::FlowDelta& delta);
  void start(DeltaEntry& e, const model::FlowDelta& delta);
  void count(const model::FlowDelta& delta, const Key& key);
  void add(DeltaEntry& e, model::ConnectionSlot slot, const model::FlowDelta& delta);
  void reopen(model::ConnectionSlot slot, const Key& key, const model::FlowDelta& delta);
  static void track(DeltaEntry& e, const model::FlowDelta& delta);
  static void track_tcp(DeltaEntry& e, const model::FlowDelta& delta);
  static void take_sample(model::TcpSample& all, const model::TcpSample& span);

  static bool is_unanswered(const DeltaEntry& e);
  model::ConnectionSlot take_slot();
  void touch(DeltaEntry& e, model::ConnectionSlot slot);
  void evict_one();
  void end(model::ConnectionSlot slot, End why);
  std::int64_t timeout_of(const DeltaEntry& e) const { return timeout_ns_[static_cast<std::size_t>(e.state)]; }
  bool timed_out(const DeltaEntry& e, std::int64_t at_ns) const { return at_ns - e.active_ns > timeout_of(e); }
  std::int64_t deadline_tick(const DeltaEntry& e) const { return TimerWheel::tick_of(e.active_ns + timeout_of(e)); }
  void on_due(model::ConnectionSlot slot);
  static void drain(DeltaEntry& e, model::ConnectionSlot slot, model::ConnectionUpdate& update);

  MeterOptions options_;
  std::array<std::int64_t, kStates> timeout_ns_;
  std::int64_t now_ns_ = 0;
  ConnectionIndex index_;
  PagedArray<DeltaEntry> entries_;
  SlotPool lists_;
  TimerWheel wheel_;
  SlotList touched_;
  /// Slots to give out, and those that wait for clear_updates().
  SlotList free_, released_;
  std::vector<model::ConnectionUpdate> updates_, flushed_;
  DeltaMeterStats stats_;
};

}  // namespace weir::meter
