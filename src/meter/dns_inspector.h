#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include "meter/fragment_buffer.h"
#include "meter/stream.h"
#include "model/connection.h"
#include "model/dns.h"
#include "packet/dns.h"
#include "packet/packet.h"

namespace weir::meter {

struct DnsInspectorOptions {
  /// A query without an answer for so long is logged as kTimeout.
  std::int64_t timeout_ns = 5'000'000'000;
  /// Queries that wait for an answer at once, about 200 B each. Above it the oldest is forgotten (counted).
  std::size_t max_pending = 65'536;
  /// DNS connections over TCP that are followed at once; more are not looked at (counted).
  std::size_t max_tcp_connections = 16'384;
  /// Report mDNS (5353) and LLMNR (5355) answers too. Their queries are never reported: they ask nobody in particular.
  bool multicast = false;
};

struct DnsInspectorStats {
  std::uint64_t queries = 0, responses = 0;
  /// Messages with damage; what could be read of them is used.
  std::uint64_t malformed = 0;
  /// Payloads too short to be DNS, and queries without a readable question: not reported.
  std::uint64_t not_dns = 0, no_question = 0;
  std::uint64_t unpaired_responses = 0, timeouts = 0;
  /// mDNS and LLMNR messages that were passed over.
  std::uint64_t multicast = 0;
  std::uint64_t dropped_pending = 0, dropped_tcp_connections = 0, dropped_fragments = 0;
};

/// Pairs DNS queries with their answers, from UDP packets and TCP streams with port 53 on either side.
///
/// Each answer gives one transaction, with its query's time if that was seen. A query is a retry if one with the same
/// ends, id and question waits or timed out less than kRetryNs ago: they are one lookup, whose latency counts from the
/// first sending. A lookup that nobody answers in time gives one transaction with rcode kTimeout, however often it is
/// sent; an answer that comes later gives one too, with the time of a retry that it answers in time, or without a
/// query. The client is the sender of the query and the receiver of the answer, whatever the ports.
///
/// Threads: one. Time is that of the packets.
class DnsInspector {
 public:
  /// Resolvers send a query again, with the same id, when it timed out: glibc after 5 s.
  static constexpr std::int64_t kRetryNs = 30'000'000'000;

  explicit DnsInspector(DnsInspectorOptions options = {});
  ~DnsInspector();

  static bool is_dns_port(std::uint16_t port) { return port == 53 || port == 5353 || port == 5355; }

  /// Whether on_packet wants the packet: the caller's cheap filter.
  static bool wants(const packet::DecodedPacket& packet) {
    const model::Tuple& tuple = packet.tuple;
    if (is_dns_port(tuple.source_port) || is_dns_port(tuple.dest_port)) {
      return tuple.protocol == model::kProtoUdp || tuple.protocol == model::kProtoTcp;
    }
    // A fragment before its first one has no ports yet.
    return packet.later_fragment && tuple.protocol == model::kProtoUdp && tuple.source_port == 0 &&
           tuple.dest_port == 0;
  }

  /// `slot`, `forward`: the metered connection and the packet's direction in it. Only used for TCP.
  void on_packet(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward);
  void on_connection_end(model::ConnectionSlot slot);
  /// Reports the queries that timed out by now. on_packet does so too.
  void advance(std::int64_t now_ns);
  /// The input ended: reports all that still wait.
  void finish();

  /// What is finished since clear_finished().
  std::span<const model::DnsTransaction> finished() const { return finished_; }
  void clear_finished() { finished_.clear(); }
  DnsInspectorStats stats() const;

 private:
  struct Key {
    IpAddress client, server;
    std::uint16_t client_port = 0, server_port = 0, id = 0;
    std::uint8_t protocol = 0;

    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& k) {  // NOLINT(readability-identifier-naming): absl's name
      return H::combine(std::move(h), k.client, k.server, k.client_port, k.server_port, k.id, k.protocol);
    }
  };
  struct Pending {
    std::uint64_t sequence = 0;
    packet::DnsQuestion question;
    std::int64_t first_ns = 0, newest_ns = 0;
    std::uint32_t unanswered_sends = 1;
    bool answered = false;
    /// As timed out.
    bool reported = false;
  };
  struct Expiry {
    std::int64_t due_ns = 0;
    std::uint64_t sequence = 0;
    Key key;
  };
  struct TcpConnection;
  struct TcpSink;

  void on_tcp(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward);
  void on_message(std::span<const std::uint8_t> bytes, const model::Tuple& tuple, std::int64_t time_ns);
  void on_query(const Key& key, std::int64_t time_ns);
  void on_response(const Key& key, std::int64_t time_ns);
  void take_datagrams();
  /// The packet's own time says so, even if packets of another time lie between: files are not always in order.
  bool overdue(const Pending& pending, std::int64_t time_ns) const {
    return time_ns - pending.first_ns >= options_.timeout_ns;
  }
  /// Reports it unless it was answered or reported already.
  void report_timeout(const Key& key, Pending& pending);
  void wait_for_answer(const Key& key, std::vector<Pending>& waiting, std::int64_t time_ns);
  static model::DnsTransaction transaction_of(const Key& key);
  /// The oldest query timed out: reports it, and remembers it for its retries.
  void expire_oldest();
  /// The oldest timed-out query is no longer remembered, unless it was sent again.
  void forget_oldest();
  /// Makes room for another one.
  void drop_oldest();
  Pending* find_pending(const Expiry& expiry);
  void erase_pending(const Expiry& expiry);
  void end_tcp(TcpConnection& connection);

  DnsInspectorOptions options_;
  DnsInspectorStats stats_;
  packet::DnsMessage message_;
  absl::flat_hash_map<Key, std::vector<Pending>> pending_;
  /// In order of time; hold answered ones until they are due. Queries that wait, and that timed out.
  std::deque<Expiry> expiries_, remembered_;
  std::uint64_t next_sequence_ = 1;
  std::int64_t now_ns_ = 0;
  absl::flat_hash_map<model::ConnectionSlot, std::unique_ptr<TcpConnection>> tcp_;
  StreamBudget budget_;
  FragmentBuffer fragments_;
  std::vector<model::DnsTransaction> finished_;
};

}  // namespace weir::meter
