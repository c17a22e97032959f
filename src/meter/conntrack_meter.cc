// A connection is known by its original tuple and zone, as in the kernel; connections with DNAT stand in a second index
// by the tuple after it, since denied packets may be known by that alone.
//
// Denied packets make connections of their own only where the tracker has none: a packet that is dropped before its
// entry is confirmed leaves nothing there. When an entry with the same tuple appears after all, the denied connection
// ends and the entry's begins, so that what was denied and what was allowed stay apart.
#include "meter/conntrack_meter.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "meter/internal/connection_key.h"

namespace weir::meter {
namespace {

using model::ConnectionSlot;
using model::ConnectionUpdate;
using model::ConntrackEvent;
using model::Outcome;
using model::Tuple;
using Entry = ConntrackEntry;

/// Times are kept within [0, 2^62], so that sums and differences with timeouts cannot overflow.
constexpr std::int64_t kMaxTime = std::int64_t{1} << 62;

std::int64_t bounded_time(std::int64_t time_ns) { return std::clamp<std::int64_t>(time_ns, 0, kMaxTime); }

Tuple flow_of(const ConntrackEvent& e) {
  const Tuple& o = e.original;
  return {o.source, e.reply.source, o.source_port, is_icmp(o.protocol) ? o.dest_port : e.reply.source_port, o.protocol};
}

Tuple reversed(const Tuple& t) {
  if (is_icmp(t.protocol)) return {t.dest, t.source, t.source_port, t.dest_port, t.protocol};
  return {t.dest, t.source, t.dest_port, t.source_port, t.protocol};
}

/// The port after SNAT; none if the address stayed the same.
std::uint16_t nat_port_of(const ConntrackEvent& e) {
  if ((e.status & kStatusSourceNat) == 0 || e.original.source == e.reply.dest || is_icmp(e.original.protocol)) return 0;
  return e.reply.dest_port;
}

Outcome outcome_of(const Entry& e) {
  if (e.protocol != model::kProtoTcp) return e.has(Entry::kSeenReply) ? Outcome::kEstablished : Outcome::kUnknown;
  if (e.has(Entry::kEstablished)) return Outcome::kEstablished;
  // An entry whose first answer is a RST is deleted at once, before the answer gets its status bit. Whose opener takes
  // its SYN back itself is deleted likewise, but has no answer in its counters.
  const bool counted = e.packets[0] != 0;
  const bool answered = e.has(Entry::kSeenReply) || e.packets[1] != 0 || !counted;
  return e.tcp_state == kCtClose && answered ? Outcome::kRefused : Outcome::kUnknown;
}

bool is_unanswered(const Entry& e) { return !e.has(Entry::kSeenReply) && e.outcome == Outcome::kUnknown; }

}  // namespace

Status ConntrackMeterOptions::validate() const {
  std::string problems;
  const auto require = [&](bool holds, const char* text) {
    if (!holds) problems += (problems.empty() ? "" : "; ") + std::string(text);
  };
  constexpr std::uint32_t kMostConnections = 1u << 26;
  require(max_connections >= 1 && max_connections <= kMostConnections, "max_connections: 1 to 67108864");
  require(denied_timeout >= std::chrono::seconds(1) && denied_timeout <= std::chrono::hours(1),
          "denied_timeout: 1 s to 1 h");
  require(resume_before_ns >= 0, "resume_before_ns: at least 0");
  if (problems.empty()) return {};
  return invalid_argument("conntrack meter: " + problems);
}

ConntrackMeter::ConntrackMeter(const ConntrackMeterOptions& options)
    : options_(options),
      denied_timeout_ns_(options.denied_timeout.count()),
      wheel_(std::size_t{options.max_connections} + kMaxBatch) {}

Result<std::unique_ptr<ConntrackMeter>> ConntrackMeter::create(ConntrackMeterOptions options) {
  TRY(options.validate());
  std::unique_ptr<ConntrackMeter> meter(new ConntrackMeter(options));
  // Besides the connections held: slots of those that ended, until clear_updates().
  const std::size_t slots = std::size_t{options.max_connections} + 2 * kMaxBatch;
  TRY_ASSIGN(meter->by_original_, ConnectionIndex::create());
  TRY_ASSIGN(meter->by_flow_, ConnectionIndex::create());
  TRY_ASSIGN(meter->entries_, PagedArray<Entry>::create(slots));
  TRY_ASSIGN(meter->marks_, PagedArray<std::uint32_t>::create(slots));
  // A slot stands once among the touched, the free or released, and those to look at, and stale in the wheel.
  TRY_ASSIGN(meter->lists_, SlotPool::create(slots * (3 + TimerWheel::kStalePerSlot), TimerWheel::kBuckets + 8));
  return meter;
}

// --- Entries of the connection tracker.

void ConntrackMeter::add(std::span<const ConntrackEvent> events) {
  CHECK(events.size() <= kMaxBatch);
  // The memory misses of the events to come overlap with the work on this one.
  constexpr std::size_t kAhead = 8, kHalf = kAhead / 2;
  std::array<std::uint32_t, kAhead> hashes{};
  const auto hash_at = [&](std::size_t i) -> std::uint32_t& { return hashes[i % kAhead]; };
  for (std::size_t step = 0; step < events.size() + kAhead - 1; ++step) {
    if (step >= kAhead - 1) {
      const std::size_t i = step - (kAhead - 1);
      add_event(events[i], hash_at(i));
    }
    if (step < events.size()) {
      hash_at(step) = hash_tuple(events[step].original, options_.hash_seed);
      by_original_.prefetch(hash_at(step));
    }
    if (step >= kHalf && step - kHalf < events.size()) {
      const ConnectionSlot likely = by_original_.find(hash_at(step - kHalf), [](ConnectionSlot) { return true; });
      if (likely != kNoSlot) {
        const auto* entry = reinterpret_cast<const char*>(&entries_[likely]);
        __builtin_prefetch(entry, 1);
        __builtin_prefetch(entry + 64, 1);
        __builtin_prefetch(entry + 128, 1);
      }
    }
  }
}

void ConntrackMeter::add_event(const ConntrackEvent& event, std::uint32_t hash) {
  ++stats_.events;
  move_clock(event.time_ns);
  ConnectionSlot slot = find(event, hash);
  const bool gone = event.kind == ConntrackEvent::Kind::kDestroy;
  if (slot != kNoSlot && event.id != 0 && entries_[slot].id != 0 && entries_[slot].id != event.id) {
    // Of two entries with one tuple only the newer can be there: the older one's DESTROY was lost. The DESTROY of an
    // entry that we do not know says nothing about the one that we do.
    if (!gone) {
      ++stats_.replaced;
      end(slot);
    }
    slot = kNoSlot;
  }
  if (slot == kNoSlot) {
    if (!gone && stats_.open >= options_.max_connections) {
      ++stats_.no_room;
      return;
    }
    stats_.at_end_only += gone ? 1 : 0;
    slot = open_tracked(event, hash);
  }
  apply(entries_[slot], slot, event);
  if (gone) end(slot);
}

bool ConntrackMeter::is_resumed(const ConntrackEvent& event) const {
  if (options_.resume_before_ns == 0 || event.kind == ConntrackEvent::Kind::kNew) return false;
  if (event.start_ns != 0) return event.start_ns < options_.resume_before_ns;
  // It does not tell when it began: what the first dump has was there before us.
  return !dumped_;
}

ConnectionSlot ConntrackMeter::open_tracked(const ConntrackEvent& event, std::uint32_t hash) {
  supersede_denied(event);
  const ConnectionSlot slot = open(event.original, flow_of(event), hash);
  Entry& e = entries_[slot];
  e.id = event.id;
  e.zone = event.zone;
  e.start_ns = e.newest_ns = bounded_time(event.start_ns != 0 ? event.start_ns : event.time_ns);
  if (is_resumed(event)) {
    ++stats_.resumed;
    e.set(Entry::kResumed);
    e.packets[0] = event.packets_original;
    e.packets[1] = event.packets_reply;
    e.bytes[0] = event.bytes_original;
    e.bytes[1] = event.bytes_reply;
  }
  touch(e, slot);
  return slot;
}

/// Denied packets of this connection, under its tuple before or after DNAT, were a connection of their own so far.
void ConntrackMeter::supersede_denied(const ConntrackEvent& event) {
  if (stats_.denied == 0) return;
  const Tuple flow = flow_of(event);
  for (const Tuple& tuple : {event.original, flow}) {
    const ConnectionSlot slot = find_denied(tuple);
    if (slot == kNoSlot) continue;
    ++stats_.denied_superseded;
    end(slot);
  }
}

void ConntrackMeter::apply(Entry& e, ConnectionSlot slot, const ConntrackEvent& event) {
  marks_[slot] = generation_;
  if ((event.status & kStatusSeenReply) != 0) e.set(Entry::kSeenReply);
  if ((event.status & kStatusAssured) != 0) e.set(Entry::kAssured);
  if (event.tcp_state != 0) e.tcp_state = event.tcp_state;
  const bool was_established = e.tcp_state >= kCtEstablished && e.tcp_state <= kCtTimeWait;
  if (e.protocol == model::kProtoTcp && (was_established || e.has(Entry::kAssured))) e.set(Entry::kEstablished);
  if (event.start_ns != 0) e.start_ns = bounded_time(event.start_ns);
  if (const std::uint16_t port = nat_port_of(event); port != 0) e.nat_port = port;
  if (event.has_counters) count(e, slot, event);
  const Outcome outcome = outcome_of(e);
  if (outcome != Outcome::kUnknown && outcome != e.outcome) {
    e.outcome = outcome;
    touch(e, slot);
  }
  if (is_over(e.tcp_state) && !e.has(Entry::kClosed)) touch(e, slot);
}

void ConntrackMeter::count(Entry& e, ConnectionSlot slot, const ConntrackEvent& event) {
  const std::uint64_t packets[2] = {event.packets_original, event.packets_reply};
  const std::uint64_t bytes[2] = {event.bytes_original, event.bytes_reply};
  bool news = false;
  for (int d = 0; d < 2; ++d) {
    if (packets[d] < e.packets[d] || bytes[d] < e.bytes[d]) {
      // The counters were reset: all that they have is new.
      ++stats_.counters_backwards;
      e.packets[d] = e.bytes[d] = 0;
    }
    e.new_packets[d] += packets[d] - e.packets[d];
    e.new_bytes[d] += bytes[d] - e.bytes[d];
    news |= packets[d] != e.packets[d] || bytes[d] != e.bytes[d];
    e.packets[d] = packets[d];
    e.bytes[d] = bytes[d];
  }
  if (!news) return;
  e.newest_ns = newest_packet(e, event);
  touch(e, slot);
}

std::int64_t ConntrackMeter::newest_packet(const Entry& e, const ConntrackEvent& event) const {
  std::int64_t newest = bounded_time(event.time_ns);
  if (event.kind == ConntrackEvent::Kind::kDestroy) {
    newest = bounded_time(event.stop_ns != 0 ? event.stop_ns : event.time_ns) - timeout_of(e);
  }
  return std::max({newest, e.newest_ns, e.start_ns});
}

/// Of the entry's last state.
std::int64_t ConntrackMeter::timeout_of(const Entry& e) const {
  const Timeouts& t = options_.timeouts;
  switch (e.protocol) {
    case model::kProtoTcp:
      break;
    case model::kProtoUdp:
      return (e.has(Entry::kAssured) ? t.udp_stream : t.udp).count();
    case model::kProtoIcmp:
    case model::kProtoIcmp6:
      return t.icmp.count();
    case model::kProtoSctp:
      return t.sctp.count();
    default:
      return t.generic.count();
  }
  switch (e.tcp_state) {
    case kCtSynSent:
    case kCtSynSent2:
      return t.tcp_syn_sent.count();
    case kCtSynRecv:
      return t.tcp_syn_recv.count();
    case kCtEstablished:
      return t.tcp_established.count();
    case kCtFinWait:
      return t.tcp_fin_wait.count();
    case kCtCloseWait:
      return t.tcp_close_wait.count();
    case kCtLastAck:
      return t.tcp_last_ack.count();
    case kCtClose:
      return t.tcp_close.count();
    default:
      return t.tcp_time_wait.count();
  }
}

void ConntrackMeter::end_dump() {
  dumped_ = true;
  for (ConnectionSlot slot = 0; slot < marks_.size(); ++slot) {
    // The marks alone are read, 4 B each: those of free slots and denied connections are looked at once a dump.
    if (marks_[slot] == generation_) continue;
    marks_[slot] = generation_;
    const Entry& e = entries_[slot];
    if (!e.has(Entry::kUsed) || e.has(Entry::kFromHits)) continue;
    ++stats_.missing;
    end(slot);
  }
}

// --- Denied packets.

void ConntrackMeter::add(const model::PolicyHit& hit) {
  if (hit.action != model::Action::kDeny) return;
  move_clock(hit.time_ns);
  const Tuple& flow = hit.tuple;
  const Tuple original{flow.source, hit.original_dest, flow.source_port, hit.original_dest_port, flow.protocol};
  if (find_tracked(flow, original) != kNoSlot) {
    stats_.denied_packets_tracked += hit.packets;
    return;
  }
  const std::int64_t time_ns = bounded_time(hit.time_ns);
  ConnectionSlot slot = find_denied(original);
  const bool no_room = slot == kNoSlot && stats_.open >= options_.max_connections;
  if (slot == kNoSlot) {
    slot = open(original, flow, hash_tuple(original, options_.hash_seed));
    ++stats_.denied;
    entries_[slot].set(Entry::kFromHits);
    entries_[slot].start_ns = entries_[slot].newest_ns = time_ns;
  }
  Entry& e = entries_[slot];
  e.newest_ns = std::max(e.newest_ns, time_ns);
  e.new_packets[0] += hit.packets;
  e.new_bytes[0] += hit.bytes;
  touch(e, slot);
  if (no_room) {
    // Told at once, and forgotten.
    ++stats_.no_room;
    return end(slot);
  }
  if (!e.timer.scheduled) wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
}

void ConntrackMeter::on_due(ConnectionSlot slot) {
  Entry& e = entries_[slot];
  // A note of an earlier connection in this slot.
  if (!e.has(Entry::kUsed) || !e.has(Entry::kFromHits)) return;
  if (now_ns_ - e.newest_ns > denied_timeout_ns_) return end(slot);
  wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
}

void ConntrackMeter::move_clock(std::int64_t time_ns) {
  time_ns = bounded_time(time_ns);
  if (time_ns <= now_ns_) return;
  now_ns_ = time_ns;
  if (TimerWheel::tick_of(time_ns) != wheel_.tick()) advance(time_ns);
}

void ConntrackMeter::advance(std::int64_t now_ns) {
  now_ns_ = std::max(now_ns_, bounded_time(now_ns));
  const std::int64_t tick = TimerWheel::tick_of(now_ns_);
  if (stats_.denied == 0) return wheel_.start(tick);
  wheel_.advance(
      lists_, tick, [this](ConnectionSlot slot) -> Timer& { return entries_[slot].timer; },
      [this](ConnectionSlot slot) { __builtin_prefetch(&entries_[slot], 1); },
      [this](ConnectionSlot slot) { on_due(slot); });
}

// --- Connections.

ConnectionSlot ConntrackMeter::find(const ConntrackEvent& event, std::uint32_t hash) const {
  return by_original_.find(hash, [&](ConnectionSlot slot) {
    const Entry& e = entries_[slot];
    return !e.has(Entry::kFromHits) && e.zone == event.zone && e.original() == event.original;
  });
}

/// The tracker's open entry for a packet of either direction, in any zone. One that is over does not count: a new
/// connection on its ports may be what was denied.
ConnectionSlot ConntrackMeter::find_tracked(const Tuple& flow, const Tuple& original) const {
  const auto is_open = [&](const Entry& e) { return !e.has(Entry::kFromHits) && !is_over(e.tcp_state); };
  const auto by_original = [&](const Tuple& tuple) {
    return by_original_.find(hash_tuple(tuple, options_.hash_seed), [&](ConnectionSlot slot) {
      return is_open(entries_[slot]) && entries_[slot].original() == tuple;
    });
  };
  const auto by_flow = [&](const Tuple& tuple) {
    return by_flow_.find(hash_tuple(tuple, options_.hash_seed), [&](ConnectionSlot slot) {
      return is_open(entries_[slot]) && entries_[slot].flow() == tuple;
    });
  };
  ConnectionSlot slot = by_original(original);
  for (const Tuple& tuple : {flow, reversed(flow)}) {
    if (slot == kNoSlot) slot = by_flow(tuple);
    if (slot == kNoSlot) slot = by_original(tuple);
  }
  return slot;
}

ConnectionSlot ConntrackMeter::find_denied(const Tuple& original) const {
  return by_original_.find(hash_tuple(original, options_.hash_seed), [&](ConnectionSlot slot) {
    return entries_[slot].has(Entry::kFromHits) && entries_[slot].original() == original;
  });
}

ConnectionSlot ConntrackMeter::open(const Tuple& original, const Tuple& flow, std::uint32_t hash) {
  ConnectionSlot slot = lists_.pop(free_);
  if (slot == kNoSlot) {
    slot = entries_.push();
    CHECK(marks_.push() == slot);
  }
  Entry& e = entries_[slot];
  renew(e);
  e.source = original.source;
  e.source_port = original.source_port;
  e.original_dest = original.dest;
  e.original_dest_port = original.dest_port;
  e.dest = flow.dest;
  e.dest_port = flow.dest_port;
  e.protocol = original.protocol;
  e.hash = hash;
  e.set(Entry::kUsed);
  by_original_.insert(hash, slot);
  if (!(flow == original)) {
    e.set(Entry::kDnat);
    e.flow_hash = hash_tuple(flow, options_.hash_seed);
    by_flow_.insert(e.flow_hash, slot);
  }
  marks_[slot] = generation_;
  ++stats_.started;
  ++stats_.open;
  return slot;
}

void ConntrackMeter::end(ConnectionSlot slot) {
  Entry& e = entries_[slot];
  if (is_unanswered(e)) e.outcome = Outcome::kUnanswered;
  drain(e, slot, updates_.emplace_back());
  updates_.back().last = true;
  by_original_.erase(e.hash, slot);
  if (e.has(Entry::kDnat)) by_flow_.erase(e.flow_hash, slot);
  e.flags = 0;
  lists_.push(released_, slot);
  --stats_.open;
  ++stats_.ended;
}

// --- Updates.

void ConntrackMeter::touch(Entry& e, ConnectionSlot slot) {
  e.set(Entry::kDirty);
  list_touched(lists_, touched_, e, slot);
}

void ConntrackMeter::drain(Entry& e, ConnectionSlot slot, ConnectionUpdate& u) {
  u.tuple = e.flow();
  u.original_dest = e.original_dest;
  u.original_dest_port = e.original_dest_port;
  u.nat_port = e.nat_port;
  u.slot = slot;
  u.first = !e.has(Entry::kReported);
  u.closed = is_over(e.tcp_state) && !e.has(Entry::kClosed);
  u.resumed = u.first && e.has(Entry::kResumed);
  u.outcome = e.outcome;
  u.start_ns = e.start_ns;
  u.newest_ns = std::max(e.newest_ns, e.start_ns);
  u.delta = {e.new_packets[0], e.new_packets[1], e.new_bytes[0], e.new_bytes[1]};
  e.set(Entry::kReported);
  if (u.closed) e.set(Entry::kClosed);
  e.clear(Entry::kDirty);
  e.new_packets[0] = e.new_packets[1] = e.new_bytes[0] = e.new_bytes[1] = 0;
}

void ConntrackMeter::clear_updates() {
  updates_.clear();
  free_released(lists_, released_, free_);
}

void ConntrackMeter::end_input() {
  for (ConnectionSlot slot = 0; slot < entries_.size(); ++slot) {
    Entry& e = entries_[slot];
    if (!e.has(Entry::kUsed) || !is_unanswered(e)) continue;
    e.outcome = Outcome::kUnanswered;
    touch(e, slot);
  }
}

std::span<const ConnectionUpdate> ConntrackMeter::flush() {
  const auto has_news = [](const Entry& e) { return e.has(Entry::kUsed) && e.has(Entry::kDirty); };
  flush_touched(lists_, touched_, entries_, kFlushSpan, flushed_, has_news,
                [this](Entry& e, ConnectionSlot slot, ConnectionUpdate& update) { drain(e, slot, update); });
  return flushed_;
}

std::size_t ConntrackMeter::used_bytes() const {
  return by_original_.used_bytes() + by_flow_.used_bytes() + entries_.used_bytes() + marks_.used_bytes() +
         lists_.used_bytes();
}

}  // namespace weir::meter
