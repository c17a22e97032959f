#include "meter/internal/tcp_tracker.h"

#include <algorithm>

namespace weir::meter {
namespace {

using model::Outcome;
using packet::DecodedPacket;
using packet::kTcpAck;
using packet::kTcpFin;
using packet::kTcpRst;
using packet::kTcpSyn;

/// Whether sequence number `a` comes before `b`, wrapping around (RFC 9293 3.4).
bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

/// Microseconds on a clock that wraps after 71 minutes: enough for a round trip.
std::uint32_t wrapping_us(std::int64_t time_ns) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(time_ns) / 1000);
}

void take_sample(Entry& e, int end, std::uint32_t sample_us) {
  // Before its segment: the capture is out of order.
  if (static_cast<std::int32_t>(sample_us) < 0) return;
  sample_us = std::max<std::uint32_t>(sample_us, 1);
  std::uint32_t& smooth = e.smooth_us[end];
  std::uint32_t& min = e.min_us[end];
  smooth = smooth == 0 ? sample_us : static_cast<std::uint32_t>((std::uint64_t{smooth} * 7 + sample_us + 4) / 8);
  min = min == 0 ? sample_us : std::min(min, sample_us);
}

/// An acknowledgement from the other side ends the timing of `end`'s segment.
void end_probe(Entry& e, const DecodedPacket& p, int end) {
  if (!has(e, kProbing, end) || before(p.tcp_ack, e.probe_ack[end])) return;
  clear(e, kProbing, end);
  take_sample(e, end, wrapping_us(p.time_ns) - e.probe_us[end]);
}

void note_retransmission(Entry& e, int end) {
  ++e.retransmissions;
  // Karn: an acknowledgement no longer tells which sending it answers.
  clear(e, kProbing, end);
}

/// Accounts the sequence numbers that the segment takes: payload, SYN and FIN.
void track_sequence(Entry& e, const DecodedPacket& p, int end) {
  const bool syn = (p.tcp_flags & kTcpSyn) != 0, fin = (p.tcp_flags & kTcpFin) != 0;
  const std::uint32_t length = p.payload_bytes + (syn ? 1 : 0) + (fin ? 1 : 0);
  if (length == 0) return;
  const std::uint32_t segment_end = p.tcp_seq + length;
  const bool handshake = e.state == State::kTcpSynSent || e.state == State::kTcpSynRecv;
  // Another SYN in the handshake that is not the first one again: it starts the numbers anew.
  const bool restart = syn && handshake && segment_end != e.seq_end[end];
  if (has(e, kSeqKnown, end) && !restart && before(p.tcp_seq, e.seq_end[end])) {
    // A keep-alive repeats the last byte (RFC 1122 4.2.3.6), or sends one byte of garbage in its place.
    const bool keep_alive = !syn && !fin && length == 1 && segment_end == e.seq_end[end];
    if (!keep_alive) note_retransmission(e, end);
    if (before(e.seq_end[end], segment_end)) e.seq_end[end] = segment_end;
    return;
  }
  e.seq_end[end] = segment_end;
  set(e, kSeqKnown, end);
  if (restart) clear(e, kProbing, end);
  if (!has(e, kProbing, end)) {
    set(e, kProbing, end);
    e.probe_ack[end] = segment_end;
    e.probe_us[end] = wrapping_us(p.time_ns);
  }
}

void complete_handshake(Entry& e) {
  e.state = State::kTcpEstablished;
  e.outcome = Outcome::kEstablished;
}

void track_reset(Entry& e, int end) {
  ++e.resets;
  const bool from_dest = end != source_end(e);
  // Only a bare SYN was seen before: nobody listens, or a firewall says so.
  if (e.state == State::kTcpSynSent && from_dest) e.outcome = Outcome::kRefused;
  e.state = State::kTcpClose;
}

void track_fin(Entry& e, int end) {
  set(e, kFinFrom, end);
  if (has(e, kFinFrom, 1 - end)) {
    if (e.state != State::kTcpTimeWait) e.state = State::kTcpLastAck;
  } else {
    e.state = State::kTcpFinWait;
  }
}

/// An ACK without SYN, FIN or RST, or one with FIN before that is looked at.
void track_ack(Entry& e, const DecodedPacket& p, int end) {
  const int other = 1 - end;
  const bool all_acknowledged = has(e, kSeqKnown, other) && !before(p.tcp_ack, e.seq_end[other]);
  switch (e.state) {
    case State::kTcpSynSent:
      // The SYN-ACK was not captured, but the side that opened acknowledges it.
      if (end == source_end(e)) complete_handshake(e);
      break;
    case State::kTcpSynRecv:
      if (end == source_end(e)) complete_handshake(e);
      break;
    case State::kTcpMidstream:
      if (has(e, kSeenFrom, 0) && has(e, kSeenFrom, 1)) e.state = State::kTcpEstablished;
      break;
    case State::kTcpFinWait:
      if (has(e, kFinFrom, other) && all_acknowledged) e.state = State::kTcpCloseWait;
      break;
    case State::kTcpLastAck:
      if (has(e, kFinFrom, other) && all_acknowledged) e.state = State::kTcpTimeWait;
      break;
    default:
      break;
  }
}

void track_state(Entry& e, const DecodedPacket& p, int end) {
  const std::uint8_t flags = p.tcp_flags;
  if ((flags & kTcpRst) != 0) return track_reset(e, end);
  if (e.state == State::kTcpClose) return;
  if ((flags & kTcpSyn) != 0) {
    const bool answers = (flags & kTcpAck) != 0 && end != source_end(e);
    if (answers && e.state == State::kTcpSynSent) e.state = State::kTcpSynRecv;
    return;
  }
  const bool repeated_fin = (flags & kTcpFin) != 0 && has(e, kFinFrom, end);
  if ((flags & kTcpAck) != 0) track_ack(e, p, end);
  if ((flags & kTcpFin) != 0 && !repeated_fin) track_fin(e, end);
}

}  // namespace

void track_tcp(Entry& entry, const DecodedPacket& packet, int end) {
  if ((packet.tcp_flags & kTcpAck) != 0) end_probe(entry, packet, 1 - end);
  if ((packet.tcp_flags & kTcpRst) == 0) track_sequence(entry, packet, end);
  if ((packet.tcp_flags & kTcpSyn) != 0 && packet.tcp_mss != 0)
    entry.mss = entry.mss == 0 ? packet.tcp_mss : std::min(entry.mss, packet.tcp_mss);
  track_state(entry, packet, end);
}

}  // namespace weir::meter
