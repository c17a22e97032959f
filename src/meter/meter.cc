// Packets are counted in groups, in three steps, so that the memory misses of many packets overlap instead of adding
// up:
// 1. make each key, hash it, ask for its cell of the index; 2. read the cells, ask for the entries they name;
// 3. in packet order: compare the keys, look up again where that fails (an earlier packet of the group may have changed
//    the table), count, follow the protocol.
#include "meter/meter.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "meter/internal/opening_side.h"
#include "meter/internal/state_timeouts.h"
#include "meter/internal/tcp_tracker.h"

namespace weir::meter {
namespace {

using model::ConnectionSlot;
using model::ConnectionUpdate;
using model::Outcome;
using packet::DecodedPacket;

/// Times are kept within [0, 2^62], so that sums and differences with timeouts cannot overflow.
constexpr std::int64_t kMaxTime = std::int64_t{1} << 62;

std::int64_t bounded_time(std::int64_t time_ns) { return std::clamp<std::int64_t>(time_ns, 0, kMaxTime); }

bool equals(const Entry& e, const ConnectionKey& k) {
  // One branch for all: they hold nearly always.
  const std::uint64_t differ =
      (e.a_low ^ k.a_low) | (e.a_high ^ k.a_high) | (e.b_low ^ k.b_low) | (e.b_high ^ k.b_high) | (e.rest ^ k.rest);
  return differ == 0 && e.state != State::kFree;
}

IpAddress address_of(std::uint64_t high, std::uint64_t low) {
  std::uint8_t bytes[16];
  std::memcpy(bytes, &high, 8);
  std::memcpy(bytes + 8, &low, 8);
  return IpAddress::v6(bytes);
}

/// A SYN on a connection that has closed begins a new one.
bool reopens(const Entry& e, const DecodedPacket& p) {
  return is_tcp_closed(e.state) &&
         (p.tcp_flags & (packet::kTcpSyn | packet::kTcpAck | packet::kTcpRst)) == packet::kTcpSyn;
}

}  // namespace

Status MeterOptions::validate() const {
  std::string problems;
  const auto require = [&](bool holds, const char* text) {
    if (!holds) problems += (problems.empty() ? "" : "; ") + std::string(text);
  };
  constexpr std::uint32_t kMostConnections = 1u << 28;
  constexpr std::chrono::nanoseconds kLongest = std::chrono::hours(24 * 365);
  const Timeouts& t = timeouts;
  require(max_connections >= 1 && max_connections <= kMostConnections, "max_connections: 1 to 268435456");
  require(active_timeout.count() >= 0, "active_timeout: at least 0");
  for (const auto timeout :
       {t.tcp_syn_sent, t.tcp_syn_recv, t.tcp_established, t.tcp_fin_wait, t.tcp_close_wait, t.tcp_last_ack,
        t.tcp_time_wait, t.tcp_close, t.udp, t.udp_stream, t.icmp, t.sctp, t.generic}) {
    require(timeout.count() > 0 && timeout <= kLongest, "timeouts: above 0, at most a year");
  }
  if (problems.empty()) return {};
  return invalid_argument("meter: " + problems);
}

Meter::Meter(const MeterOptions& options)
    : options_(options),
      active_timeout_ns_(options.active_timeout.count()),
      timeout_ns_(timeouts_by_state(options.timeouts)),
      wheel_(std::size_t{options.max_connections} + kMaxBatch) {}

Result<std::unique_ptr<Meter>> Meter::create(MeterOptions options) {
  TRY(options.validate());
  std::unique_ptr<Meter> meter(new Meter(options));
  const std::size_t slots = std::size_t{options.max_connections} + kMaxBatch;
  TRY_ASSIGN(meter->index_, ConnectionIndex::create());
  TRY_ASSIGN(meter->entries_, PagedArray<Entry>::create(slots));
  // A slot stands once among the touched, the free or released, and those to look at, and stale in the wheel.
  TRY_ASSIGN(meter->lists_, SlotPool::create(slots * (3 + TimerWheel::kStalePerSlot), TimerWheel::kBuckets + 8));
  return meter;
}

// --- Packets.

void Meter::prepare(const DecodedPacket& packet, Pending& pending) const {
  pending.key = make_key(packet.tuple, packet.zone, pending.from_a);
  // A host that pings itself: only the type tells requests from replies.
  if (packet.icmp_reply && is_icmp(packet.tuple.protocol) && packet.tuple.source == packet.tuple.dest)
    pending.from_a = !pending.from_a;
  pending.hash = hash_key(pending.key, options_.hash_seed);
  index_.prefetch(pending.hash);
}

// It must write something: GCC takes a function that only prefetches for one without effect, and drops its calls.
void Meter::prefetch_entry(Pending& pending) const {
  pending.likely = index_.find(pending.hash, [](ConnectionSlot) { return true; });
  if (pending.likely == kNoSlot) return;
  const auto* entry = reinterpret_cast<const char*>(&entries_[pending.likely]);
  __builtin_prefetch(entry, 1);
  __builtin_prefetch(entry + 64, 1);
}

void Meter::process(std::span<const DecodedPacket> batch, PacketNotes* notes) {
  CHECK(batch.size() <= kMaxBatch);
  if (notes != nullptr) {
    notes->places.resize(batch.size());
    notes->inspect.clear();
  }
  // Three groups are under way at once, each one step behind the next.
  std::array<std::array<Pending, kGroup>, 3> ring;
  const std::size_t groups = (batch.size() + kGroup - 1) / kGroup;
  const auto packets = [&](std::size_t group) {
    return batch.subspan(group * kGroup, std::min(kGroup, batch.size() - group * kGroup));
  };
  for (std::size_t step = 0; step < groups + 2; ++step) {
    if (step < groups) {
      Pending* pending = ring[step % 3].data();
      for (const DecodedPacket& packet : packets(step)) prepare(packet, *pending++);
    }
    if (step >= 1 && step - 1 < groups) {
      const std::size_t size = packets(step - 1).size();
      for (std::size_t i = 0; i < size; ++i) prefetch_entry(ring[(step - 1) % 3][i]);
    }
    if (step < 2) continue;
    const Pending* pending = ring[(step - 2) % 3].data();
    std::size_t index = (step - 2) * kGroup;
    for (const DecodedPacket& packet : packets(step - 2)) {
      const ConnectionSlot slot = count(packet, *pending);
      if (notes != nullptr) note_place(static_cast<std::uint32_t>(index), packet, slot, pending->from_a, *notes);
      ++pending;
      ++index;
    }
  }
}

void Meter::note_place(std::uint32_t index, const DecodedPacket& packet, ConnectionSlot slot, bool from_a,
                       PacketNotes& notes) const {
  const Entry& entry = entries_[slot];
  notes.places[index] = {slot, (from_a ? 0 : 1) == source_end(entry)};
  if (has(entry, kInspect) && has_tcp_header(packet)) notes.inspect.push_back(index);
}

/// Counts one packet and returns its connection.
ConnectionSlot Meter::count(const DecodedPacket& packet, const Pending& pending) {
  ++stats_.packets;
  stats_.bytes += packet.ip_bytes;
  move_clock(packet.time_ns);
  ConnectionSlot slot = pending.likely;
  if (slot == kNoSlot || !equals(entries_[slot], pending.key)) slot = find(pending.key, pending.hash);
  if (slot != kNoSlot) {
    const bool over = timed_out(entries_[slot]);
    if (over || reopens(entries_[slot], packet)) {
      end(slot, over ? End::kTimeout : End::kReplaced);
      slot = kNoSlot;
    }
  }
  if (slot == kNoSlot) slot = open(packet, pending);
  add(entries_[slot], slot, packet, pending.from_a ? 0 : 1);
  if (packet.icmp_error) on_icmp_error(packet);
  return slot;
}

void Meter::add(Entry& e, ConnectionSlot slot, const DecodedPacket& packet, int end) {
  const std::int64_t time_ns = bounded_time(packet.time_ns);
  const bool full = e.bytes[end] + packet.ip_bytes < e.bytes[end] || e.packets[end] == 0xFFFF ||
                    e.retransmissions == 0xFF || e.resets == 0xFF;
  const bool aged = active_timeout_ns_ != 0 &&
                    (time_ns - e.start_ns) / active_timeout_ns_ > (newest_ns(e) - e.start_ns) / active_timeout_ns_;
  if (full || aged) emit_interim(e, slot);
  e.bytes[end] += packet.ip_bytes;
  ++e.packets[end];
  if (time_ns < now_ns_) {
    e.newest_ns = std::max(newest_ns(e), time_ns);
    set(e, kLate);
  } else {
    clear(e, kLate);
  }
  e.active_ns = now_ns_;
  set(e, kSeenFrom, end);
  touch(e, slot);
  const std::int64_t timeout = timeout_of(e);
  track(e, packet, end);
  if (!e.timer.scheduled || timeout_of(e) < timeout) wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
}

/// Follows the connection's protocol.
void Meter::track(Entry& e, const DecodedPacket& packet, int end) {
  if (protocol_of(e.rest) == model::kProtoTcp) {
    if (has_tcp_header(packet)) track_tcp(e, packet, end);
    return;
  }
  const bool answered = has(e, kSeenFrom, 1 - source_end(e));
  if (answered && has(e, kRequest)) e.outcome = Outcome::kEstablished;
  if (e.state == State::kUdp && answered && has(e, kSeenFrom, source_end(e))) e.state = State::kUdpStream;
}

/// An unreachable message that answers a connection's first packets refuses it.
void Meter::on_icmp_error(const DecodedPacket& packet) {
  ++stats_.icmp_errors;
  bool from_a = false;
  const ConnectionKey key = make_key(packet.quoted, packet.zone, from_a);
  const ConnectionSlot slot = find(key, hash_key(key, options_.hash_seed));
  if (slot == kNoSlot || timed_out(entries_[slot])) return;
  ++stats_.icmp_errors_matched;
  Entry& e = entries_[slot];
  if (packet.icmp_unreachable && is_unanswered(e)) {
    e.outcome = Outcome::kRefused;
    // That is news: the next flush says so.
    touch(e, slot);
  }
}

// --- Connections.

ConnectionSlot Meter::find(const ConnectionKey& key, std::uint32_t hash) const {
  return index_.find(hash, [&](ConnectionSlot slot) { return equals(entries_[slot], key); });
}

ConnectionSlot Meter::open(const DecodedPacket& packet, const Pending& pending) {
  if (stats_.open >= options_.max_connections) evict_one();
  const ConnectionSlot slot = take_slot();
  Entry& e = entries_[slot];
  renew(e);
  e.a_low = pending.key.a_low;
  e.a_high = pending.key.a_high;
  e.b_low = pending.key.b_low;
  e.b_high = pending.key.b_high;
  e.rest = pending.key.rest & ((std::uint64_t{1} << 56) - 1);
  e.pod_is_b = packet.from_pod != pending.from_a;
  e.hash = pending.hash;
  e.state = first_state(packet);
  if (opened_by_sender(packet) != pending.from_a) set(e, kSourceIsB);
  if (expects_answer(packet)) set(e, kRequest);
  if (packet.tuple.protocol == model::kProtoTcp) set(e, kInspect);
  e.start_ns = e.newest_ns = bounded_time(packet.time_ns);
  if (e.state == State::kTcpMidstream && e.start_ns < options_.resume_until_ns) set(e, kResumed);
  e.active_ns = now_ns_;
  set(e, kLate);
  // A slot may have a note in the wheel from the connection before, for a later time.
  if (e.timer.scheduled) wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
  index_.insert(pending.hash, slot);
  ++stats_.started;
  ++stats_.open;
  return slot;
}

ConnectionSlot Meter::take_slot() {
  const ConnectionSlot slot = lists_.pop(free_);
  return slot != kNoSlot ? slot : entries_.push();
}

void Meter::evict_one() {
  const auto is_free = [](const Entry& e) { return e.state == State::kFree; };
  const auto deadline = [this](const Entry& e) { return deadline_tick(e); };
  end(choose_evicted(wheel_, lists_, entries_, is_free, deadline), End::kEvicted);
}

void Meter::end(ConnectionSlot slot, End why) {
  Entry& e = entries_[slot];
  if (why != End::kEvicted && is_unanswered(e)) e.outcome = Outcome::kUnanswered;
  drain(e, slot, updates_.emplace_back());
  updates_.back().last = true;
  index_.erase(e.hash, slot);
  e.state = State::kFree;
  e.flags = 0;
  lists_.push(released_, slot);
  count_end(stats_, why);
}

// --- Interfaces.

void Meter::set_interface(std::uint16_t zone, std::int64_t since_ns) {
  if (interface_since_ns_.size() <= zone) interface_since_ns_.resize(std::size_t{zone} + 1);
  interface_since_ns_[zone] = since_ns;
}

void Meter::end_interface(std::uint16_t zone) {
  for (ConnectionSlot slot = 0; slot < entries_.size(); ++slot) {
    const Entry& e = entries_[slot];
    if (zone_of(e.rest) == zone && e.state != State::kFree) end(slot, End::kInterfaceGone);
  }
}

// --- Time.

void Meter::move_clock(std::int64_t time_ns) {
  time_ns = bounded_time(time_ns);
  if (time_ns < now_ns_) {
    ++stats_.time_backwards;
    return;
  }
  now_ns_ = time_ns;
  if (TimerWheel::tick_of(time_ns) != wheel_.tick()) advance(time_ns);
}

void Meter::advance(std::int64_t now_ns) {
  now_ns_ = std::max(now_ns_, bounded_time(now_ns));
  const std::int64_t tick = TimerWheel::tick_of(now_ns_);
  if (stats_.started == 0) return wheel_.start(tick);
  wheel_.advance(
      lists_, tick, [this](ConnectionSlot slot) -> Timer& { return entries_[slot].timer; },
      [this](ConnectionSlot slot) { __builtin_prefetch(&entries_[slot], 1); },
      [this](ConnectionSlot slot) { on_due(slot); });
}

void Meter::on_due(ConnectionSlot slot) {
  Entry& e = entries_[slot];
  if (e.state == State::kFree) return;
  if (timed_out(e)) return end(slot, End::kTimeout);
  wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
}

// --- Updates.

void Meter::drain(Entry& e, ConnectionSlot slot, ConnectionUpdate& u) const {
  const int source = source_end(e), dest = 1 - source;
  u.tuple = {address_of(e.a_high, e.a_low), address_of(e.b_high, e.b_low), port_a(e.rest), port_b(e.rest),
             protocol_of(e.rest)};
  if (source == 1) {
    std::swap(u.tuple.source, u.tuple.dest);
    if (!is_icmp(u.tuple.protocol)) std::swap(u.tuple.source_port, u.tuple.dest_port);
  }
  u.original_dest = u.tuple.dest;
  u.original_dest_port = u.tuple.dest_port;
  u.slot = slot;
  u.first = !has(e, kReported);
  u.resumed = u.first && has(e, kResumed);
  u.closed = is_tcp_closed(e.state) && !has(e, kClosed);
  u.outcome = e.outcome;
  u.start_ns = e.start_ns;
  u.newest_ns = newest_ns(e);
  if (const std::uint16_t zone = zone_of(e.rest); zone != 0) {
    u.observed_at = e.pod_is_b == (source == 1) ? model::ObservedAt::kSource : model::ObservedAt::kDest;
    if (zone < interface_since_ns_.size()) u.interface_since_ns = interface_since_ns_[zone];
  }
  u.delta = {e.packets[source], e.packets[dest], e.bytes[source], e.bytes[dest]};
  u.tcp.smooth_rtt_us = e.smooth_us[0] + e.smooth_us[1];
  u.tcp.min_rtt_us = e.min_us[0] + e.min_us[1];
  u.tcp.mss = e.mss;
  u.tcp.retransmissions = e.retransmissions;
  u.tcp.resets = e.resets;
  set(e, kReported);
  if (u.closed) set(e, kClosed);
  clear(e, kDirty);
  e.packets[0] = e.packets[1] = 0;
  e.bytes[0] = e.bytes[1] = 0;
  e.retransmissions = e.resets = 0;
}

void Meter::emit_interim(Entry& e, ConnectionSlot slot) { drain(e, slot, updates_.emplace_back()); }

void Meter::clear_updates() {
  updates_.clear();
  free_released(lists_, released_, free_);
}

bool Meter::is_unanswered(const Entry& e) {
  return has(e, kRequest) && !has(e, kSeenFrom, 1 - source_end(e)) && e.outcome == Outcome::kUnknown;
}

void Meter::touch(Entry& e, ConnectionSlot slot) {
  set(e, kDirty);
  list_touched(lists_, touched_, e, slot);
}

void Meter::end_input() {
  for (ConnectionSlot slot = 0; slot < entries_.size(); ++slot) {
    Entry& e = entries_[slot];
    if (e.state == State::kFree || !is_unanswered(e)) continue;
    e.outcome = Outcome::kUnanswered;
    touch(e, slot);
  }
}

std::span<const ConnectionUpdate> Meter::flush() {
  const auto has_news = [](const Entry& e) { return e.state != State::kFree && has(e, kDirty); };
  flush_touched(lists_, touched_, entries_, kFlushSpan, flushed_, has_news,
                [this](Entry& e, ConnectionSlot slot, ConnectionUpdate& update) { drain(e, slot, update); });
  return flushed_;
}

std::size_t Meter::used_bytes() const { return index_.used_bytes() + entries_.used_bytes() + lists_.used_bytes(); }

}  // namespace weir::meter
