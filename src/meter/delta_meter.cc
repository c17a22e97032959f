#include "meter/delta_meter.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "meter/internal/opening_side.h"
#include "meter/internal/state_timeouts.h"

namespace weir::meter {
namespace {

using model::ConnectionSlot;
using model::ConnectionUpdate;
using model::FlowDelta;
using model::Outcome;
using packet::kTcpAck;
using packet::kTcpFin;
using packet::kTcpRst;

constexpr int kPod = 0, kPeer = 1;
/// Slots of a call that ends one connection and opens two for each delta, and those of place().
constexpr std::size_t kSpareSlots = 3 * DeltaMeter::kMaxBatch;

IpAddress address_of(std::uint64_t high, std::uint64_t low) {
  std::uint8_t bytes[16];
  std::memcpy(bytes, &high, 8);
  std::memcpy(bytes + 8, &low, 8);
  return IpAddress::v6(bytes);
}

model::Tuple turned(model::Tuple t) {
  std::swap(t.source, t.dest);
  if (!is_icmp(t.protocol)) std::swap(t.source_port, t.dest_port);
  return t;
}

/// The span's first packet, as far as it tells who opened the connection and how.
packet::DecodedPacket first_packet(const FlowDelta& d) {
  packet::DecodedPacket p;
  p.tuple = d.first_is_out ? d.tuple : turned(d.tuple);
  p.tcp_flags = d.first_flags;
  p.icmp_reply = d.first_is_reply;
  return p;
}

bool begins_anew(const DeltaEntry& e, const FlowDelta& d) { return is_tcp_closed(e.state) && (d.syn_out || d.syn_in); }

}  // namespace

DeltaMeter::DeltaMeter(const MeterOptions& options)
    : options_(options),
      timeout_ns_(timeouts_by_state(options.timeouts)),
      wheel_(std::size_t{options.max_connections} + kSpareSlots) {}

Result<std::unique_ptr<DeltaMeter>> DeltaMeter::create(MeterOptions options) {
  TRY(options.validate());
  std::unique_ptr<DeltaMeter> meter(new DeltaMeter(options));
  const std::size_t slots = std::size_t{options.max_connections} + kSpareSlots;
  TRY_ASSIGN(meter->index_, ConnectionIndex::create());
  TRY_ASSIGN(meter->entries_, PagedArray<DeltaEntry>::create(slots));
  // A slot stands once among the touched, the free or released, and those to look at, and stale in the wheel.
  TRY_ASSIGN(meter->lists_, SlotPool::create(slots * (3 + TimerWheel::kStalePerSlot), TimerWheel::kBuckets + 8));
  return meter;
}

// --- Deltas.

void DeltaMeter::process(std::span<const FlowDelta> deltas) {
  CHECK(deltas.size() <= kMaxBatch);
  // The index's cells are asked for a group ahead, so that their misses overlap.
  constexpr std::size_t kGroup = 16;
  Key keys[kGroup];
  for (std::size_t at = 0; at < deltas.size(); at += kGroup) {
    const auto group = deltas.subspan(at, std::min(kGroup, deltas.size() - at));
    for (std::size_t i = 0; i < group.size(); ++i) {
      keys[i] = key_of(group[i].tuple, group[i].zone);
      index_.prefetch(keys[i].hash);
    }
    for (std::size_t i = 0; i < group.size(); ++i) count(group[i], keys[i]);
  }
}

void DeltaMeter::count(const FlowDelta& d, const Key& key) {
  ++stats_.deltas;
  stats_.packets += d.packets_out + d.packets_in;
  stats_.bytes += d.bytes_out + d.bytes_in;
  now_ns_ = std::max(now_ns_, d.newest_ns);
  if (stats_.started == 0) wheel_.start(TimerWheel::tick_of(d.newest_ns));
  ConnectionSlot slot = find(key);
  const bool packets = d.packets_out + d.packets_in != 0;
  if (slot != kNoSlot && packets) {
    DeltaEntry& e = entries_[slot];
    const bool over = timed_out(e, d.first_ns);
    if (has(e, kGuessed)) {
      if (!has(e, kReported)) start(e, d);
      clear(e, kGuessed);
      wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
    } else if (over || begins_anew(e, d)) {
      end(slot, over ? End::kTimeout : End::kReplaced);
      slot = kNoSlot;
    }
  }
  if (slot == kNoSlot && packets) slot = open(key, d);
  if (slot != kNoSlot) add(entries_[slot], slot, d);
  if (d.unreachable) {
    ++stats_.unreachable;
    if (slot != kNoSlot) ++stats_.unreachable_matched;
  }
  if (d.reopened && slot != kNoSlot) reopen(slot, key, d);
}

void DeltaMeter::add(DeltaEntry& e, ConnectionSlot slot, const FlowDelta& d) {
  const std::int64_t aged = options_.active_timeout.count();
  if (aged != 0 && (d.newest_ns - e.start_ns) / aged > (e.active_ns - e.start_ns) / aged)
    drain(e, slot, updates_.emplace_back());
  e.packets[kPod] += d.packets_out;
  e.packets[kPeer] += d.packets_in;
  e.bytes[kPod] += d.bytes_out;
  e.bytes[kPeer] += d.bytes_in;
  if (d.packets_out != 0) set(e, kSeenFrom, kPod);
  if (d.packets_in != 0) set(e, kSeenFrom, kPeer);
  e.interface_since_ns = d.interface_since_ns;
  if (d.packets_out + d.packets_in != 0) e.active_ns = std::max(e.active_ns, d.newest_ns);
  take_sample(e.tcp, d.tcp);
  if (d.process_id != 0) {
    e.process_id = d.process_id;
    e.process_name = d.process_name;
  }
  touch(e, slot);
  const std::int64_t timeout = timeout_of(e);
  // A second connection's flags say nothing of the first.
  if (!d.reopened) track(e, d);
  if (d.unreachable && is_unanswered(e)) e.outcome = Outcome::kRefused;
  if (!e.timer.scheduled || timeout_of(e) < timeout) wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
}

/// The span has the end of one connection and the whole start of another; its flags are the second one's. It is told
/// without traffic, which cannot be told apart.
void DeltaMeter::reopen(ConnectionSlot slot, const Key& key, const FlowDelta& d) {
  ++stats_.reopened;
  DeltaEntry& e = entries_[slot];
  if (!is_tcp_closed(e.state)) {
    if (e.outcome == Outcome::kUnknown && has(e, kRequest))
      e.outcome = d.tcp.resets != 0 && e.state == State::kTcpSynSent ? Outcome::kRefused : Outcome::kEstablished;
    e.state = State::kTcpClose;
  }
  end(slot, End::kReplaced);
  FlowDelta second = d;
  second.packets_out = second.packets_in = second.bytes_out = second.bytes_in = 0;
  second.first_ns = d.newest_ns;
  second.first_is_out = d.syn_out;
  second.first_flags = packet::kTcpSyn;
  second.reopened = false;
  second.tcp.retransmissions = second.tcp.resets = second.tcp.lost = second.tcp.timeouts = 0;
  const ConnectionSlot next = open(key, second);
  if (d.syn_ack_out || d.syn_ack_in) set(entries_[next], kSeenFrom, 1 - source_end(entries_[next]));
  add(entries_[next], next, second);
}

void DeltaMeter::take_sample(model::TcpSample& all, const model::TcpSample& span) {
  const auto smaller = [](auto a, auto b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); };
  if (span.smooth_rtt_us != 0) all.smooth_rtt_us = span.smooth_rtt_us;
  all.min_rtt_us = smaller(all.min_rtt_us, span.min_rtt_us);
  all.mss = smaller(all.mss, span.mss);
  all.retransmissions += span.retransmissions;
  all.resets += span.resets;
  if (span.congestion_window != 0) all.congestion_window = span.congestion_window;
  all.min_congestion_window = smaller(all.min_congestion_window, span.min_congestion_window);
  all.lost += span.lost;
  all.timeouts += span.timeouts;
}

// --- Protocols.

void DeltaMeter::track(DeltaEntry& e, const FlowDelta& d) {
  if (e.protocol == model::kProtoTcp) return track_tcp(e, d);
  const bool answered = has(e, kSeenFrom, 1 - source_end(e));
  if (answered && has(e, kRequest)) e.outcome = Outcome::kEstablished;
  if (e.state == State::kUdp && answered && has(e, kSeenFrom, source_end(e))) e.state = State::kUdpStream;
}

void DeltaMeter::track_tcp(DeltaEntry& e, const FlowDelta& d) {
  const std::uint8_t flags[2] = {d.tcp_flags_out, d.tcp_flags_in};
  const bool syn_ack[2] = {d.syn_ack_out, d.syn_ack_in};
  const int source = source_end(e), dest = 1 - source;
  const auto any = [&](std::uint8_t flag) { return ((flags[0] | flags[1]) & flag) != 0; };
  if (e.state != State::kTcpClose) {
    if (e.state == State::kTcpSynSent && syn_ack[dest]) e.state = State::kTcpSynRecv;
    const bool handshake = e.state == State::kTcpSynSent || e.state == State::kTcpSynRecv;
    if (handshake && (flags[source] & kTcpAck) != 0) {
      e.state = State::kTcpEstablished;
      e.outcome = Outcome::kEstablished;
    }
    if (e.state == State::kTcpMidstream && any(kTcpAck) && has(e, kSeenFrom, 0) && has(e, kSeenFrom, 1))
      e.state = State::kTcpEstablished;
  }
  // Only a bare SYN was seen before: nobody listens, or a firewall says so.
  if (e.state == State::kTcpSynSent && (flags[dest] & kTcpRst) != 0) e.outcome = Outcome::kRefused;
  if (any(kTcpRst)) e.state = State::kTcpClose;
  if (e.state == State::kTcpClose) return;
  for (const int end : {kPod, kPeer}) {
    if ((flags[end] & kTcpFin) != 0) set(e, kFinFrom, end);
  }
  // Whether they were acknowledged is not to be seen, and nearly always so.
  if (has(e, kFinFrom, kPod) && has(e, kFinFrom, kPeer)) {
    e.state = State::kTcpTimeWait;
  } else if (any(kTcpFin)) {
    e.state = State::kTcpFinWait;
  }
}

// --- Connections.

DeltaMeter::Key DeltaMeter::key_of(const model::Tuple& t, std::uint16_t zone) const {
  Key key;
  key.pod_low = t.source.low();
  key.pod_high = t.source.high();
  key.peer_low = t.dest.low();
  key.peer_high = t.dest.high();
  key.ports = (std::uint32_t{t.source_port} << 16) | t.dest_port;
  key.zone = zone;
  key.protocol = t.protocol;
  const std::uint64_t rest = key.ports | (std::uint64_t{zone} << 32) | (std::uint64_t{t.protocol} << 48);
  std::uint64_t hash = mix64(key.pod_low ^ options_.hash_seed, key.peer_low + rest * 0x9E3779B97F4A7C15ULL);
  if ((key.pod_high | key.peer_high) != 0) hash ^= mix64(key.pod_high + options_.hash_seed, key.peer_high);
  key.hash = static_cast<std::uint32_t>(mix64(hash, options_.hash_seed + rest) >> 32);
  return key;
}

bool DeltaMeter::equals(const DeltaEntry& e, const Key& k) {
  return e.pod_low == k.pod_low && e.peer_low == k.peer_low && e.ports == k.ports && e.zone == k.zone &&
         e.protocol == k.protocol && e.pod_high == k.pod_high && e.peer_high == k.peer_high && e.state != State::kFree;
}

ConnectionSlot DeltaMeter::find(const Key& key) const {
  return index_.find(key.hash, [&](ConnectionSlot slot) { return equals(entries_[slot], key); });
}

std::optional<PacketPlace> DeltaMeter::find(const packet::DecodedPacket& packet) const {
  const ConnectionSlot slot = find(key_of(packet.from_pod ? packet.tuple : turned(packet.tuple), packet.zone));
  if (slot == kNoSlot) return std::nullopt;
  return PacketPlace{slot, (packet.from_pod ? kPod : kPeer) == source_end(entries_[slot])};
}

PacketPlace DeltaMeter::place(const packet::DecodedPacket& packet) {
  if (const auto found = find(packet)) return *found;
  FlowDelta guess;
  guess.tuple = packet.from_pod ? packet.tuple : turned(packet.tuple);
  guess.zone = packet.zone;
  guess.first_ns = guess.newest_ns = packet.time_ns;
  guess.first_is_out = packet.from_pod;
  guess.first_is_reply = packet.icmp_reply;
  guess.first_flags = packet.tcp_flags;
  now_ns_ = std::max(now_ns_, packet.time_ns);
  if (stats_.started == 0) wheel_.start(TimerWheel::tick_of(packet.time_ns));
  const ConnectionSlot slot = open(key_of(guess.tuple, guess.zone), guess);
  DeltaEntry& e = entries_[slot];
  set(e, kGuessed);
  wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
  return PacketPlace{slot, (packet.from_pod ? kPod : kPeer) == source_end(e)};
}

ConnectionSlot DeltaMeter::open(const Key& key, const FlowDelta& d) {
  if (stats_.open >= options_.max_connections) evict_one();
  const ConnectionSlot slot = take_slot();
  DeltaEntry& e = entries_[slot];
  renew(e);
  e.pod_low = key.pod_low;
  e.pod_high = key.pod_high;
  e.peer_low = key.peer_low;
  e.peer_high = key.peer_high;
  e.ports = key.ports;
  e.zone = key.zone;
  e.protocol = key.protocol;
  e.hash = key.hash;
  start(e, d);
  // A slot may have a note in the wheel from the connection before, for a later time.
  if (e.timer.scheduled) wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
  index_.insert(key.hash, slot);
  ++stats_.started;
  ++stats_.open;
  return slot;
}

/// What the first packet says.
void DeltaMeter::start(DeltaEntry& e, const FlowDelta& d) {
  const packet::DecodedPacket first = first_packet(d);
  e.flags = 0;
  e.state = first_state(first);
  e.outcome = Outcome::kUnknown;
  if (opened_by_sender(first) != d.first_is_out) set(e, kSourceIsB);
  if (expects_answer(first)) set(e, kRequest);
  e.start_ns = d.first_ns;
  e.active_ns = d.newest_ns;
  e.interface_since_ns = d.interface_since_ns;
  if (e.state == State::kTcpMidstream && d.first_ns < options_.resume_until_ns) set(e, kResumed);
}

ConnectionSlot DeltaMeter::take_slot() {
  const ConnectionSlot slot = lists_.pop(free_);
  return slot != kNoSlot ? slot : entries_.push();
}

void DeltaMeter::evict_one() {
  const auto is_free = [](const DeltaEntry& e) { return e.state == State::kFree; };
  const auto deadline = [this](const DeltaEntry& e) { return deadline_tick(e); };
  end(choose_evicted(wheel_, lists_, entries_, is_free, deadline), End::kEvicted);
}

void DeltaMeter::end(ConnectionSlot slot, End why) {
  DeltaEntry& e = entries_[slot];
  if (why != End::kEvicted && is_unanswered(e)) e.outcome = Outcome::kUnanswered;
  drain(e, slot, updates_.emplace_back());
  updates_.back().last = true;
  index_.erase(e.hash, slot);
  e.state = State::kFree;
  e.flags = 0;
  lists_.push(released_, slot);
  count_end(stats_, why);
}

void DeltaMeter::end_interface(std::uint16_t zone) {
  for (ConnectionSlot slot = 0; slot < entries_.size(); ++slot) {
    const DeltaEntry& e = entries_[slot];
    if (e.zone == zone && e.state != State::kFree) end(slot, End::kInterfaceGone);
  }
}

// --- Time.

void DeltaMeter::advance(std::int64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  const std::int64_t tick = TimerWheel::tick_of(now_ns_);
  if (stats_.started == 0) return wheel_.start(tick);
  wheel_.advance(
      lists_, tick, [this](ConnectionSlot slot) -> Timer& { return entries_[slot].timer; },
      [this](ConnectionSlot slot) { __builtin_prefetch(&entries_[slot], 1); },
      [this](ConnectionSlot slot) { on_due(slot); });
}

void DeltaMeter::on_due(ConnectionSlot slot) {
  DeltaEntry& e = entries_[slot];
  if (e.state == State::kFree) return;
  if (timed_out(e, now_ns_)) return end(slot, End::kTimeout);
  wheel_.schedule(lists_, slot, e.timer, deadline_tick(e));
}

// --- Updates.

void DeltaMeter::drain(DeltaEntry& e, ConnectionSlot slot, ConnectionUpdate& u) {
  const int source = source_end(e), dest = 1 - source;
  u.tuple = {address_of(e.pod_high, e.pod_low), address_of(e.peer_high, e.peer_low),
             static_cast<std::uint16_t>(e.ports >> 16), static_cast<std::uint16_t>(e.ports), e.protocol};
  if (source == kPeer) u.tuple = turned(u.tuple);
  u.original_dest = u.tuple.dest;
  u.original_dest_port = u.tuple.dest_port;
  u.slot = slot;
  u.first = !has(e, kReported);
  u.resumed = u.first && has(e, kResumed);
  u.closed = is_tcp_closed(e.state) && !has(e, kClosed);
  u.outcome = e.outcome;
  u.start_ns = e.start_ns;
  u.newest_ns = e.active_ns;
  u.observed_at = source == kPod ? model::ObservedAt::kSource : model::ObservedAt::kDest;
  u.interface_since_ns = e.interface_since_ns;
  u.delta = {e.packets[source], e.packets[dest], e.bytes[source], e.bytes[dest]};
  u.tcp = e.tcp;
  u.process_id = e.process_id;
  u.process_name = e.process_name;
  set(e, kReported);
  if (u.closed) set(e, kClosed);
  clear(e, kDirty);
  e.packets[0] = e.packets[1] = 0;
  e.bytes[0] = e.bytes[1] = 0;
  e.tcp.retransmissions = e.tcp.resets = e.tcp.lost = e.tcp.timeouts = e.tcp.min_congestion_window = 0;
}

void DeltaMeter::clear_updates() {
  updates_.clear();
  free_released(lists_, released_, free_);
}

bool DeltaMeter::is_unanswered(const DeltaEntry& e) {
  return has(e, kRequest) && !has(e, kSeenFrom, 1 - source_end(e)) && e.outcome == Outcome::kUnknown;
}

void DeltaMeter::touch(DeltaEntry& e, ConnectionSlot slot) {
  set(e, kDirty);
  list_touched(lists_, touched_, e, slot);
}

void DeltaMeter::end_input() {
  for (ConnectionSlot slot = 0; slot < entries_.size(); ++slot) {
    DeltaEntry& e = entries_[slot];
    if (e.state == State::kFree || !is_unanswered(e)) continue;
    e.outcome = Outcome::kUnanswered;
    touch(e, slot);
  }
}

std::span<const ConnectionUpdate> DeltaMeter::flush() {
  const auto has_news = [](const DeltaEntry& e) { return e.state != State::kFree && has(e, kDirty); };
  flush_touched(lists_, touched_, entries_, kFlushSpan, flushed_, has_news,
                [](DeltaEntry& e, ConnectionSlot slot, ConnectionUpdate& update) { drain(e, slot, update); });
  return flushed_;
}

std::size_t DeltaMeter::used_bytes() const { return index_.used_bytes() + entries_.used_bytes() + lists_.used_bytes(); }

}  // namespace weir::meter
