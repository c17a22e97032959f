#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include "packet/packet.h"

namespace weir::meter {

/// Memory for segments that wait for earlier ones, shared by all streams of one thread; and what was lost.
struct StreamBudget {
  std::size_t max_bytes = 64u << 20;
  std::size_t used_bytes = 0;
  /// Holes that were given up, and segments that came twice (whole).
  std::uint64_t gaps = 0;
  std::uint64_t retransmissions = 0;
};

/// One direction of a TCP connection put back into order, for payload parsers. Small while nothing is out of order.
///
/// Hands every byte on once: a segment in order straight from the packet, without a copy; one behind a hole when the
/// hole is filled. A hole is given up as a gap when the other side acknowledged it twice (the receiver had it, the
/// capture did not), when kMaxSegments or kMaxBytes wait behind it, when the budget is used up, or at the end. Where
/// segments overlap the earlier delivered bytes win. Bytes cut by the snap length are a gap.
///
/// `Sink`: void deliver(std::span<const std::uint8_t>, std::int64_t time_ns) in pieces that begin where a segment (or
/// its unseen part) begins, with the time at which that segment was captured; void gap(std::uint64_t bytes).
class TcpStream {
 public:
  static constexpr std::size_t kMaxSegments = 128;
  static constexpr std::size_t kMaxBytes = 256 * 1024;
  /// A segment further ahead than any window (RFC 7323: 1 GiB) belongs to another connection: it is ignored.
  static constexpr std::uint32_t kMaxAhead = 1u << 30;

  TcpStream() = default;
  TcpStream(TcpStream&&) = default;
  TcpStream& operator=(TcpStream&&) = default;

  /// The start was seen (SYN), so the first byte delivered is the first of the stream.
  bool from_start() const { return from_start_; }

  /// Takes a packet of this direction (any TCP packet with a valid header).
  template <typename Sink>
  void accept(const packet::DecodedPacket& packet, StreamBudget& budget, Sink&& sink) {
    std::uint32_t seq = packet.tcp_seq;
    if ((packet.tcp_flags & packet::kTcpSyn) != 0) {
      ++seq;  // payload on a SYN (RFC 7413) follows the SYN's own number
      if (!started_) from_start_ = true;
      start(seq);
    }
    if (packet.payload_bytes == 0) return;
    start(seq);
    const auto captured = std::min(packet.payload_captured, packet.payload_bytes);
    take(Piece{seq, packet.payload_bytes, packet.time_ns, {packet.payload, captured}}, budget, sink);
  }

  /// The other side sent a packet that acknowledges all before `ack`.
  template <typename Sink>
  void acknowledge(std::uint32_t ack, StreamBudget& budget, Sink&& sink) {
    // Once may be a capture that has packets of both directions in the wrong order.
    while (waiting_ != nullptr && !before(ack, waiting_->segments.front().seq) && ++waiting_->hole_acks >= 2) {
      skip_hole(budget, sink);
    }
  }

  /// Delivers what still waits, with its gaps, and frees it.
  template <typename Sink>
  void finish(StreamBudget& budget, Sink&& sink) {
    while (waiting_ != nullptr) skip_hole(budget, sink);
  }

  /// Frees without delivering.
  void drop(StreamBudget& budget) {
    if (waiting_ != nullptr) budget.used_bytes -= waiting_->bytes;
    waiting_.reset();
  }

 private:
  struct Piece {
    std::uint32_t seq = 0;
    /// On the wire; at least what is captured.
    std::uint32_t length = 0;
    std::int64_t time_ns = 0;
    std::span<const std::uint8_t> bytes;
  };
  struct Segment {
    std::uint32_t seq = 0, length = 0;
    std::int64_t time_ns = 0;
    std::vector<std::uint8_t> bytes;
  };
  struct Waiting {
    /// By sequence number; may overlap.
    std::vector<Segment> segments;
    std::size_t bytes = 0;
    /// Acknowledgements of the first hole.
    std::uint32_t hole_acks = 0;
  };
  /// What a waiting segment costs beside its bytes.
  static constexpr std::size_t kSegmentBytes = sizeof(Segment) + 32;

  /// a before b, modulo 2^32.
  static bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

  void start(std::uint32_t seq) {
    if (started_) return;
    started_ = true;
    next_ = seq;
  }

  template <typename Sink>
  void take(const Piece& piece, StreamBudget& budget, Sink& sink) {
    if (!before(next_, piece.seq + piece.length)) {
      ++budget.retransmissions;
      return;
    }
    if (before(next_, piece.seq)) {
      if (piece.seq - next_ > kMaxAhead) return;
      keep(piece, budget);
      while (waiting_ != nullptr && over_limit(budget)) skip_hole(budget, sink);
      return;
    }
    hand_on(piece, sink);
    release(budget, sink);
  }

  /// `piece` begins at or before next_ and ends behind it.
  template <typename Sink>
  void hand_on(const Piece& piece, Sink& sink) {
    const std::uint32_t seen = next_ - piece.seq;
    const std::uint32_t captured = static_cast<std::uint32_t>(piece.bytes.size());
    next_ = piece.seq + piece.length;
    if (captured > seen) sink.deliver(piece.bytes.subspan(seen), piece.time_ns);
    const std::uint32_t missing = piece.length - std::max(captured, seen);
    if (missing > 0) sink.gap(missing);
  }

  void keep(const Piece& piece, StreamBudget& budget) {
    if (waiting_ == nullptr) waiting_ = std::make_unique<Waiting>();
    auto& segments = waiting_->segments;
    auto at = segments.end();
    while (at != segments.begin() && before(piece.seq, std::prev(at)->seq)) --at;
    if (at != segments.begin()) {
      const Segment& earlier = *std::prev(at);
      if (!before(earlier.seq + earlier.length, piece.seq + piece.length)) {
        ++budget.retransmissions;
        return;
      }
    }
    segments.insert(at, Segment{piece.seq, piece.length, piece.time_ns, {piece.bytes.begin(), piece.bytes.end()}});
    waiting_->bytes += piece.bytes.size() + kSegmentBytes;
    budget.used_bytes += piece.bytes.size() + kSegmentBytes;
  }

  bool over_limit(const StreamBudget& budget) const {
    return waiting_->segments.size() > kMaxSegments || waiting_->bytes > kMaxBytes ||
           budget.used_bytes > budget.max_bytes;
  }

  /// Delivers the waiting segments that are in order now.
  template <typename Sink>
  void release(StreamBudget& budget, Sink& sink) {
    if (waiting_ == nullptr) return;
    auto& segments = waiting_->segments;
    std::size_t done = 0;
    for (; done < segments.size() && !before(next_, segments[done].seq); ++done) {
      const Segment& segment = segments[done];
      waiting_->bytes -= segment.bytes.size() + kSegmentBytes;
      budget.used_bytes -= segment.bytes.size() + kSegmentBytes;
      if (before(next_, segment.seq + segment.length))
        hand_on({segment.seq, segment.length, segment.time_ns, segment.bytes}, sink);
    }
    segments.erase(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(done));
    if (done > 0) waiting_->hole_acks = 0;
    if (segments.empty()) waiting_.reset();
  }

  template <typename Sink>
  void skip_hole(StreamBudget& budget, Sink& sink) {
    const std::uint32_t seq = waiting_->segments.front().seq;
    ++budget.gaps;
    sink.gap(seq - next_);
    next_ = seq;
    release(budget, sink);
  }

  std::uint32_t next_ = 0;
  bool started_ = false, from_start_ = false;
  std::unique_ptr<Waiting> waiting_;
};

}  // namespace weir::meter
