#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/hash.h"
#include "base/ip.h"

namespace weir::model {

inline constexpr std::uint8_t kProtoIcmp = 1, kProtoIpip = 4, kProtoTcp = 6, kProtoUdp = 17, kProtoEsp = 50,
                              kProtoIcmp6 = 58, kProtoSctp = 132;

/// A connection's addresses, from the side that opened it to the other, after DNAT.
/// ICMP: source_port is the identifier, dest_port is type << 8 | code of the request.
struct Tuple {
  IpAddress source;
  IpAddress dest;
  std::uint16_t source_port = 0;
  std::uint16_t dest_port = 0;
  std::uint8_t protocol = 0;

  friend bool operator==(const Tuple&, const Tuple&) = default;
};

/// Dense number of an open connection, given by the source that meters it and reused after its final update.
using ConnectionSlot = std::uint32_t;

/// How the connection fared, as far as its source knows. Only the last update of a connection is final.
enum class Outcome : std::uint8_t {
  kUnknown,      ///< not yet known, or seen in mid-stream
  kEstablished,  ///< the other side answered (TCP: the handshake completed)
  kRefused,      ///< RST or ICMP unreachable answered the first packet
  kUnanswered,   ///< ended (timed out) with no packet from the other side
};

/// Counters of a span of time, per direction of the tuple: forward is source → dest.
struct TrafficDelta {
  std::uint64_t packets_forward = 0, packets_reverse = 0;
  /// IP length: header and payload.
  std::uint64_t bytes_forward = 0, bytes_reverse = 0;
};

/// TCP facts of a span of time. RTTs in microseconds, 0 where unknown.
struct TcpSample {
  std::uint32_t smooth_rtt_us = 0;
  /// Smallest sample seen on the connection: the handshake's, if nothing beat it.
  std::uint32_t min_rtt_us = 0;
  /// Maximum segment size that the handshake agreed on (the smaller of both sides), 0 if not seen.
  std::uint16_t mss = 0;
  /// Retransmitted segments, both directions. Of a source that asks a socket: those that it sent.
  std::uint32_t retransmissions = 0;
  /// RST segments seen.
  std::uint32_t resets = 0;
  // Only of a source that asks a socket:
  /// Segments that it may have under way: the newest, and the least of the span.
  std::uint32_t congestion_window = 0, min_congestion_window = 0;
  /// Segments that it took for lost, and retransmission timeouts.
  std::uint32_t lost = 0, timeouts = 0;
};

/// A process's name as the kernel has it (TASK_COMM_LEN), filled up with zeros; all zeros: not known.
using ProcessName = std::array<char, 16>;
/// The name as a record shows it: `-` if not known. Lives as long as `name` does.
inline std::string_view text_of(const ProcessName& name) {
  const std::string_view all(name.data(), name.size());
  const std::string_view text = all.substr(0, all.find('\0'));
  return text.empty() ? std::string_view("-") : text;
}

/// Where a source saw a connection: a source at pods' interfaces sees each end's own half, and that end reports it.
enum class ObservedAt : std::uint8_t {
  kAnywhere,  ///< one view for both ends: whoever is local reports
  kSource,    ///< at the interface of the tuple's source
  kDest,      ///< at the interface of the tuple's destination
};

/// What a source (meter, conntrack, eBPF) says of one connection: its traffic since the update before.
///
/// A source emits any number of updates for a connection: the first has `first` set; one may have `closed` set, which
/// completes the connection; the final one has `last` set and gives the slot back. Between `closed` and `last` only
/// trailing traffic comes (a late FIN, RST or retransmission). All three may be set in one update.
/// Plain data; nothing is owned.
struct ConnectionUpdate {
  Tuple tuple;
  /// The destination the client addressed before DNAT; equal to the tuple's where no DNAT is known.
  IpAddress original_dest;
  std::uint16_t original_dest_port = 0;
  /// Source port after SNAT, 0 if none.
  std::uint16_t nat_port = 0;

  ConnectionSlot slot = 0;
  bool first = false;
  bool last = false;
  /// TCP: ended by its own protocol (FIN both ways or RST). A connection that ends by timeout has only `last`.
  bool closed = false;
  /// With `first`: the connection is older than this run of the agent, and an earlier run has counted its start.
  bool resumed = false;
  Outcome outcome = Outcome::kUnknown;

  /// Nanoseconds since the Unix epoch: first and newest packet of the connection.
  std::int64_t start_ns = 0;
  std::int64_t newest_ns = 0;

  ObservedAt observed_at = ObservedAt::kAnywhere;
  /// With kSource or kDest: when that pod's interface came to be, nanoseconds since the Unix epoch. Its address belongs
  /// to the youngest pod that was there by then. 0: not known.
  std::int64_t interface_since_ns = 0;

  TrafficDelta delta;
  TcpSample tcp;
  /// The process whose socket it is at the end where it was observed: it connected, or made the listening socket.
  /// 0: not known.
  std::uint32_t process_id = 0;
  ProcessName process_name{};
};

}  // namespace weir::model
