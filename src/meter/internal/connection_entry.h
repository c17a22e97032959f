#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ip.h"
#include "meter/internal/timer_wheel.h"
#include "model/connection.h"

namespace weir::meter {

/// Where a connection stands; each state has its timeout. TCP states are those of the Linux connection tracker.
enum class State : std::uint8_t {
  kFree,            ///< the entry holds no connection
  kTcpSynSent,      ///< SYN seen
  kTcpSynRecv,      ///< SYN-ACK seen
  kTcpEstablished,  ///< handshake complete, or mid-stream with both sides seen
  kTcpMidstream,    ///< begun without a handshake, one side seen
  kTcpFinWait,      ///< one side sent FIN
  kTcpCloseWait,    ///< and the other acknowledged it
  kTcpLastAck,      ///< both sent FIN
  kTcpTimeWait,     ///< and both were acknowledged
  kTcpClose,        ///< RST
  kUdp,             ///< one side seen
  kUdpStream,       ///< both sides seen
  kIcmp,
  kSctp,
  kGeneric,
};
inline constexpr std::size_t kStates = static_cast<std::size_t>(State::kGeneric) + 1;

inline bool is_tcp_closed(State s) {
  return s == State::kTcpLastAck || s == State::kTcpTimeWait || s == State::kTcpClose;
}

/// Ends are 0 (a of the key) and 1 (b); `end << flag` style pairs have the bit of end 1 next to that of end 0.
inline constexpr std::uint16_t kSeenFrom = 1 << 0;   ///< pair: packets came from that end
inline constexpr std::uint16_t kSeqKnown = 1 << 2;   ///< pair: seq_end is valid
inline constexpr std::uint16_t kProbing = 1 << 4;    ///< pair: probe_ack waits for its acknowledgement
inline constexpr std::uint16_t kFinFrom = 1 << 6;    ///< pair: that end sent FIN
inline constexpr std::uint16_t kSourceIsB = 1 << 8;  ///< end b opened the connection
inline constexpr std::uint16_t kResumed = 1 << 9;    ///< begun before this run of the agent
inline constexpr std::uint16_t kDirty = 1 << 10;     ///< traffic since the last update
inline constexpr std::uint16_t kReported = 1 << 11;  ///< an update was emitted
inline constexpr std::uint16_t kClosed = 1 << 12;    ///< an update with `closed` was emitted
inline constexpr std::uint16_t kInspect = 1 << 13;   ///< the payload is wanted
inline constexpr std::uint16_t kLate = 1 << 14;      ///< newest_ns is valid: the newest packet was out of order
inline constexpr std::uint16_t kRequest = 1 << 15;   ///< an answer is to be expected: silence means unanswered

/// One connection: two cache lines, of which packets other than TCP's touch the first.
struct alignas(128) Entry {
  // As in ConnectionKey.
  std::uint64_t a_low, a_high, b_low, b_high;
  std::uint64_t rest : 56;
  // The four share the byte that the key leaves.
  State state : 4;
  model::Outcome outcome : 2;
  /// The slot stands in the list of touched ones, for this connection or an earlier one in this slot.
  bool listed : 1;
  /// With a zone: its pod is end b.
  bool pod_is_b : 1;
  /// The meter's clock at the newest packet.
  std::int64_t active_ns;
  // Since the last update, by sending end. An update goes out before one would overflow.
  std::uint32_t bytes[2];
  std::uint16_t packets[2];
  std::uint16_t flags;
  Timer timer;

  std::int64_t start_ns;
  /// Time of the newest packet, if that is not active_ns: see kLate.
  std::int64_t newest_ns;
  // TCP, by sending end.
  /// One after the newest sequence number.
  std::uint32_t seq_end[2];
  /// The segment being timed: the acknowledgement that it waits for, and when it was sent (µs, wraps).
  std::uint32_t probe_ack[2];
  std::uint32_t probe_us[2];
  /// Times from a segment of that end to its acknowledgement as seen here, µs, 0: unknown. The sum of both ends' is the
  /// whole round trip wherever on the path the capture was made.
  std::uint32_t smooth_us[2];
  std::uint32_t min_us[2];
  std::uint16_t mss;
  // Since the last update.
  std::uint8_t retransmissions, resets;
  std::uint32_t hash;
};
static_assert(sizeof(Entry) == 128 && offsetof(Entry, start_ns) == 64);
static_assert(kStates <= 16);

inline bool has(const Entry& e, std::uint16_t flag) { return (e.flags & flag) != 0; }
inline bool has(const Entry& e, std::uint16_t pair, int end) { return (e.flags & (pair << end)) != 0; }
inline void set(Entry& e, std::uint16_t flag) { e.flags = static_cast<std::uint16_t>(e.flags | flag); }
inline void set(Entry& e, std::uint16_t pair, int end) {
  e.flags = static_cast<std::uint16_t>(e.flags | (pair << end));
}
inline void clear(Entry& e, std::uint16_t flag) { e.flags = static_cast<std::uint16_t>(e.flags & ~flag); }
inline void clear(Entry& e, std::uint16_t pair, int end) {
  e.flags = static_cast<std::uint16_t>(e.flags & ~(pair << end));
}

inline int source_end(const Entry& e) { return has(e, kSourceIsB) ? 1 : 0; }
inline std::int64_t newest_ns(const Entry& e) { return has(e, kLate) ? e.newest_ns : e.active_ns; }

}  // namespace weir::meter
