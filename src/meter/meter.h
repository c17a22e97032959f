#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "meter/internal/connection_entry.h"
#include "meter/internal/connection_index.h"
#include "meter/internal/connection_key.h"
#include "meter/internal/paged_array.h"
#include "meter/internal/slot_cycle.h"
#include "meter/internal/slot_lists.h"
#include "meter/internal/timer_wheel.h"
#include "model/connection.h"
#include "packet/packet.h"

namespace weir::meter {

/// How long a connection may be silent in each state before it has ended. The defaults are those of the Linux
/// connection tracker. TCP met in mid-stream has the generic timeout until both sides are seen.
struct Timeouts {
  std::chrono::nanoseconds tcp_syn_sent = std::chrono::seconds(120);
  std::chrono::nanoseconds tcp_syn_recv = std::chrono::seconds(60);
  std::chrono::nanoseconds tcp_established = std::chrono::hours(120);
  std::chrono::nanoseconds tcp_fin_wait = std::chrono::seconds(120);
  std::chrono::nanoseconds tcp_close_wait = std::chrono::seconds(60);
  std::chrono::nanoseconds tcp_last_ack = std::chrono::seconds(30);
  std::chrono::nanoseconds tcp_time_wait = std::chrono::seconds(120);
  std::chrono::nanoseconds tcp_close = std::chrono::seconds(10);
  std::chrono::nanoseconds udp = std::chrono::seconds(30);
  /// Once both sides were seen.
  std::chrono::nanoseconds udp_stream = std::chrono::seconds(120);
  std::chrono::nanoseconds icmp = std::chrono::seconds(30);
  std::chrono::nanoseconds sctp = std::chrono::seconds(210);
  std::chrono::nanoseconds generic = std::chrono::seconds(600);
};

struct MeterOptions {
  /// Open connections at once, about 150 B each while they are open. At the limit the one whose timeout is looked at
  /// next gives way (counted).
  std::uint32_t max_connections = 10'000'000;
  Timeouts timeouts;
  /// An update goes out each time a connection's age passes a multiple of this, as if a window ended; 0: never.
  std::chrono::nanoseconds active_timeout{0};
  /// A TCP connection whose first packet is older than this and no SYN is `resumed`: it is from before this run of the
  /// agent, and an earlier run has counted its start. Nanoseconds since the Unix epoch; 0: none is.
  std::int64_t resume_until_ns = 0;
  /// Of the table's hash: secret and random where outsiders choose addresses and ports; fixed where runs must be equal.
  std::uint64_t hash_seed = 0;
  Status validate() const;  // names every violated bound
};

struct MeterStats {
  std::uint64_t packets = 0, bytes = 0;
  /// started = ended + open. Ended: by timeout, by a new connection in its place, evicted, or with its interface.
  std::uint64_t started = 0, ended = 0, open = 0;
  std::uint64_t timed_out = 0, replaced = 0, evicted = 0, interface_gone = 0;
  std::uint64_t icmp_errors = 0;
  /// ICMP errors that quote a packet of an open connection.
  std::uint64_t icmp_errors_matched = 0;
  /// Packets older than one before them.
  std::uint64_t time_backwards = 0;
};

/// Where a packet belongs.
struct PacketPlace {
  model::ConnectionSlot slot = 0;
  /// Sent by the tuple's source.
  bool forward = false;
};

/// What process() tells of each packet, for the payload parsers. Reuse one object: it keeps its memory.
struct PacketNotes {
  /// One for each packet of the batch.
  std::vector<PacketPlace> places;
  /// Indexes into the batch: packets of TCP connections that are inspected still.
  std::vector<std::uint32_t> inspect;
};

/// The connection table: packets in, connection updates out.
///
/// In:      decoded packets in capture order; batches of a few hundred to some thousand are best.
/// Out:     ConnectionUpdates. flush() gives one for each connection with traffic since the last flush. updates() has
///          those that cannot wait: the final ones (`last`) of connections that timed out, gave way to a new connection
///          on the same ports or were evicted, and interim ones of counters about to overflow or of the active timeout.
///          The deltas of all updates add up to exactly the packets and bytes put in.
/// Ends:    a TCP connection that closed stays as a tombstone for trailing packets until its state's timeout, or until
///          a SYN begins a new connection. A connection whose timeout has passed never gets another packet: the check
///          is exact, against the newest time seen so far; its final update comes up to two seconds later.
///          Connections still open at the end of input stay open: flush() gives their last traffic without `last`.
/// Zones:   packets of different zones (pods' interfaces) are of different connections, and an ICMP error is about one
///          of its own zone. An update with a zone says at which end's interface it was seen; zone 0: kAnywhere.
/// Slots:   a slot is given to another connection only after clear_updates(), so notes and updates of one process()
///          call name the same connections.
/// Bounds:  MeterOptions::max_connections; no allocation a packet. Time that jumps back does not end anything; time far
///          ahead ends all that is older.
/// Threads: one. Errors: create() fails if the kernel refuses the addresses to reserve.
/// Source:  RFC 7011 2 (metering process), RFC 9293, RFC 6298, Linux nf_conntrack timeouts.
class Meter {
 public:
  /// Most packets in one batch.
  static constexpr std::size_t kMaxBatch = 65'536;

  static Result<std::unique_ptr<Meter>> create(MeterOptions options);

  /// Counts the packets of one batch, at most kMaxBatch, all of one window. `notes` may be null.
  void process(std::span<const packet::DecodedPacket> batch, PacketNotes* notes = nullptr);
  /// From now on updates of the zone's connections say that its interface came to be at `since_ns`, 0: not known.
  void set_interface(std::uint16_t zone, std::int64_t since_ns);
  /// The zone's interface is gone, and all its packets are processed: ends its connections, with final updates like
  /// those of a timeout. Looks at every slot.
  void end_interface(std::uint16_t zone);
  /// Ends what timed out by `now_ns`; process() does so too, by the time of its packets.
  void advance(std::int64_t now_ns);
  /// The connection's packets are no longer listed in PacketNotes::inspect.
  void stop_inspecting(model::ConnectionSlot slot) { clear(entries_[slot], kInspect); }

  /// The updates since clear_updates(). Valid until process(), advance() or clear_updates().
  std::span<const model::ConnectionUpdate> updates() const { return updates_; }
  void clear_updates();

  /// Ends a window: the updates of connections with traffic since the flush before, in the order of their first touch,
  /// in spans of at most kFlushSpan. Call it until the span is empty, with no process() in between. Each span is valid
  /// until the next call.
  std::span<const model::ConnectionUpdate> flush();
  static constexpr std::size_t kFlushSpan = 256;

  /// The input ended: who asked and was not answered by now is unanswered, though still open. Call flush() after it.
  void end_input();

  const MeterStats& stats() const { return stats_; }
  /// Memory of the table, index and lists that has been used.
  std::size_t used_bytes() const;

 private:
  struct Pending {
    ConnectionKey key;
    std::uint32_t hash;
    bool from_a;
    /// The connection that the index had for the hash when the group began, or kNoSlot: a hint.
    model::ConnectionSlot likely;
  };
  static constexpr std::size_t kGroup = 8;

  explicit Meter(const MeterOptions& options);

  void prepare(const packet::DecodedPacket& packet, Pending& pending) const;
  void prefetch_entry(Pending& pending) const;
  model::ConnectionSlot count(const packet::DecodedPacket& packet, const Pending& pending);
  void add(Entry& entry, model::ConnectionSlot slot, const packet::DecodedPacket& packet, int end);
  void track(Entry& entry, const packet::DecodedPacket& packet, int end);
  void note_place(std::uint32_t index, const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool from_a,
                  PacketNotes& notes) const;

  static bool is_unanswered(const Entry& entry);
  void touch(Entry& entry, model::ConnectionSlot slot);
  model::ConnectionSlot find(const ConnectionKey& key, std::uint32_t hash) const;
  model::ConnectionSlot open(const packet::DecodedPacket& packet, const Pending& pending);
  model::ConnectionSlot take_slot();
  void evict_one();
  void end(model::ConnectionSlot slot, End why);
  void on_icmp_error(const packet::DecodedPacket& packet);

  bool timed_out(const Entry& entry) const { return now_ns_ - entry.active_ns > timeout_of(entry); }
  std::int64_t timeout_of(const Entry& entry) const { return timeout_ns_[static_cast<std::size_t>(entry.state)]; }
  std::int64_t deadline_tick(const Entry& e) const { return TimerWheel::tick_of(e.active_ns + timeout_of(e)); }
  void move_clock(std::int64_t time_ns);
  void on_due(model::ConnectionSlot slot);
  /// Moves what the connection counted since its last update into `update`.
  void drain(Entry& entry, model::ConnectionSlot slot, model::ConnectionUpdate& update) const;
  void emit_interim(Entry& entry, model::ConnectionSlot slot);

  MeterOptions options_;
  std::int64_t active_timeout_ns_ = 0;
  std::array<std::int64_t, kStates> timeout_ns_;
  std::int64_t now_ns_ = 0;
  ConnectionIndex index_;
  PagedArray<Entry> entries_;
  SlotPool lists_;
  TimerWheel wheel_;
  SlotList touched_;
  /// Slots to give out, and those that wait for clear_updates().
  SlotList free_, released_;
  /// By zone; zones beyond it have 0.
  std::vector<std::int64_t> interface_since_ns_;
  std::vector<model::ConnectionUpdate> updates_, flushed_;
  MeterStats stats_;
};

}  // namespace weir::meter
