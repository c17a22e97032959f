#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "model/connection.h"
#include "packet/packet.h"

namespace weir::meter {

/// Puts fragmented UDP datagrams together, for payload parsers only (metering counts fragments as they come).
///
/// Bounds: kMaxDatagrams at once, each at most 64 KiB; the oldest gives way. Fragments may come in any order. One that
/// overlaps others without being a copy discards its datagram (RFC 5722). What came of a datagram that stays incomplete
/// is handed out too, up to its first hole: a DNS answer can be read without its end. Threads: one.
class FragmentBuffer {
 public:
  static constexpr std::size_t kMaxDatagrams = 64;
  static constexpr std::int64_t kTimeoutNs = 30'000'000'000;

  /// A datagram that is whole now. Borrowed until the next call of accept().
  struct Datagram {
    /// With the ports of the first fragment.
    model::Tuple tuple;
    /// When its last fragment came that is part of the payload.
    std::int64_t time_ns = 0;
    /// What follows the UDP header.
    std::vector<std::uint8_t> payload;
  };

  /// Takes a fragment (packet.fragment) of a UDP datagram.
  void accept(const packet::DecodedPacket& packet);
  /// The input ended: hands out what is incomplete.
  void finish();

  /// What was handed out since clear_ready().
  const std::vector<Datagram>& ready() const { return ready_; }
  void clear_ready() { ready_.clear(); }

  /// Datagrams that stayed incomplete: too many at once, timed out, cut by the snap length, or overlapping.
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Partial {
    model::Tuple tuple;
    std::uint32_t id = 0;
    std::int64_t first_ns = 0, newest_ns = 0;
    /// Bytes of the IP payload, 0 while the last fragment is missing.
    std::uint32_t total = 0;
    bool has_first = false;
    std::vector<std::uint8_t> bytes;
    /// Received parts of the IP payload, [from, to).
    std::vector<std::pair<std::uint32_t, std::uint32_t>> parts;
  };

  std::size_t find(const packet::DecodedPacket& packet);
  /// False: the fragment contradicts what came before.
  static bool add(Partial& partial, const packet::DecodedPacket& packet);
  /// Bytes of the IP payload up to the first hole.
  static std::uint32_t contiguous(Partial& partial);
  /// Hands out what there is of it and forgets it.
  void release(std::size_t index, bool whole);

  std::vector<Partial> partials_;
  std::vector<Datagram> ready_;
  std::uint64_t dropped_ = 0;
};

}  // namespace weir::meter
