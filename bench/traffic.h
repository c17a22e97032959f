#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/ip.h"
#include "base/result.h"
#include "frame.h"
#include "random.h"

/// Scripts of single connections, and the clock that interleaves them into one capture, packet by packet in time order.
namespace weir::bench {

enum class Kind : std::uint8_t { kShortTcp, kLongTcp, kDns, kDenied, kRefused };
inline constexpr std::size_t kKinds = 5;

/// One packet to come.
struct Step {
  /// Since the step before.
  std::uint32_t gap_us = 0;
  std::uint16_t payload_bytes = 0;
  std::uint8_t tcp_flags = 0;
  bool forward = true;
  /// Sent again: does not advance the sequence number.
  bool retransmission = false;
};

struct Connection {
  Kind kind = Kind::kShortTcp;
  std::uint8_t protocol = 6;
  IpAddress source, dest;
  std::uint16_t source_port = 0, dest_port = 0;
  std::vector<Step> steps;
  /// Only kDns.
  std::string query, answer;

  // State of Timeline.
  std::size_t next = 0;
  bool answered = false;
  std::array<std::uint32_t, 2> tcp_next{};
};

/// How a connection's steps are drawn.
struct ScriptShape {
  /// Data and acknowledgement packets between the handshake (3) and the close (3).
  std::uint32_t min_body = 2, max_body = 8;
  /// Largest payload of a response packet.
  std::uint32_t max_payload = kMaxPayload;
  /// Part of the data packets that is sent twice.
  double retransmitted = 0;
};
std::vector<Step> tcp_steps(Random& random, const ScriptShape& shape);
/// SYNs without an answer, one to three, a second and two apart.
std::vector<Step> denied_steps(Random& random);
std::vector<Step> refused_steps(Random& random);
/// `query` and `answer` are the messages' lengths; answer 0: nobody answers.
std::vector<Step> dns_steps(Random& random, std::size_t query, std::size_t answer);

/// What the generated capture holds: the truth that every tool's answer is compared with.
struct Ledger {
  struct Sums {
    std::uint64_t connections = 0, packets = 0, ip_bytes = 0;
  };
  Sums total, tcp, udp;
  std::array<Sums, kKinds> kinds{};
  std::uint64_t packets_forward = 0, packets_reverse = 0, bytes_forward = 0, bytes_reverse = 0;
  /// Connections that some packet answered count twice: what unidirectional exporters report.
  std::uint64_t uniflows = 0;
  std::uint64_t wire_bytes = 0, file_packet_bytes = 0, retransmissions = 0, ipv6_connections = 0;
  std::int64_t first_us = 0, last_us = 0;
};
/// `extra`: further members of the JSON object, each with a leading comma.
Status write_ledger(const Ledger& ledger, const std::string& extra, const std::string& path);

/// Source ports that no two connections between the same addresses and destination port share.
class PortAllocator {
 public:
  std::uint16_t next(const IpAddress& source, const IpAddress& dest, std::uint16_t dest_port) {
    const std::uint64_t key = mix64(mix64(hash_value(source), hash_value(dest)), dest_port);
    return static_cast<std::uint16_t>(32768 + (key + used_[key]++) % 28000);
  }

 private:
  std::unordered_map<std::uint64_t, std::uint32_t> used_;
};

/// Holds the open connections and writes their packets in time order.
class Timeline {
 public:
  /// `tcp_headers_only`: keep no TCP payload in the file. Both outlive the timeline.
  Timeline(PcapWriter& writer, Ledger& ledger, Random& random, bool tcp_headers_only)
      : writer_(writer), ledger_(ledger), random_(random), tcp_headers_only_(tcp_headers_only) {}

  /// Writes what comes before `start_us`, then opens the connection. Starts do not go back in time.
  Status open(Connection connection, std::int64_t start_us);
  /// Writes what is left before `until_us`; the capture ends there.
  Status advance(std::int64_t until_us);

 private:
  struct Due {
    std::int64_t time_us;
    std::uint64_t order;
    std::uint32_t slot;
    bool operator>(const Due& other) const {
      return time_us != other.time_us ? time_us > other.time_us : order > other.order;
    }
  };
  Status emit(Connection& connection, std::int64_t time_us);
  void account(const Connection& connection, const Step& step, bool first, const Frame& frame);
  void schedule(std::uint32_t slot, std::int64_t time_us);

  PcapWriter& writer_;
  Ledger& ledger_;
  Random& random_;
  bool tcp_headers_only_;
  FrameBuilder builder_;
  std::vector<Connection> open_;
  std::vector<std::uint32_t> free_;
  std::vector<Due> due_;
  std::uint64_t order_ = 0;
};

}  // namespace weir::bench
