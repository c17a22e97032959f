#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "meter/meter.h"
#include "model/protocol.h"

namespace weir::meter {

/// The meter in its plainest form, for tests: one map, a look at every connection for every question of time, states by
/// their names. It does not do RTT, interim updates or a limit.
class MeterOracle {
 public:
  struct Conn {
    std::uint64_t id = 0;
    model::Tuple tuple;
    model::ObservedAt observed_at = model::ObservedAt::kAnywhere;
    std::int64_t start = 0, newest = 0, active = 0;
    std::uint64_t packets[2] = {}, bytes[2] = {};  // [0]: from the source
    std::uint32_t retransmissions = 0, resets = 0;
    model::Outcome outcome = model::Outcome::kUnknown;
    bool asks = false, closed = false, ended = false;
    // TCP
    bool syn_sent = false, syn_recv = false, established = false, reset = false, last_acked = false, fin_acked = false;
    bool fin[2] = {}, known[2] = {};
    std::uint32_t next[2] = {};
  };

  explicit MeterOracle(Timeouts timeouts) : t_(timeouts) {}

  /// The connection that the packet belongs to.
  std::uint64_t count(const packet::DecodedPacket& p) {
    now_ = std::max(now_, p.time_ns);
    const auto key = key_of(p);
    auto found = open_.find(key);
    const std::uint8_t flags = p.tcp_flags;
    const bool bare_syn = (flags & packet::kTcpSyn) && !(flags & (packet::kTcpAck | packet::kTcpRst));
    if (found != open_.end() && (over(found->second) || (found->second.closed && bare_syn))) {
      end(found->second);
      open_.erase(found);
      found = open_.end();
    }
    if (found == open_.end()) found = open_.emplace(key, begin(p)).first;
    Conn& c = found->second;
    const int from = from_source(c, p) ? 0 : 1;
    ++c.packets[from];
    c.bytes[from] += p.ip_bytes;
    c.newest = std::max(c.newest, p.time_ns);
    c.active = now_;
    if (c.tuple.protocol == model::kProtoTcp)
      tcp(c, p, from);
    else if (c.packets[1] > 0 && c.asks)
      c.outcome = model::Outcome::kEstablished;
    return c.id;
  }

  /// Ends all that have timed out at `now`.
  void advance(std::int64_t now) {
    now_ = std::max(now_, now);
    for (auto i = open_.begin(); i != open_.end();) {
      if (!over(i->second)) {
        ++i;
        continue;
      }
      end(i->second);
      i = open_.erase(i);
    }
  }

  /// Open connections whose timeout lies in tick `from` or later.
  std::size_t open_from_tick(std::int64_t from) const {
    return static_cast<std::size_t>(std::count_if(open_.begin(), open_.end(), [&](const auto& entry) {
      return TimerWheel::tick_of(entry.second.active + timeout(entry.second)) >= from;
    }));
  }
  const std::map<std::uint64_t, Conn>& ended() const { return ended_; }

 private:
  using End = std::pair<IpAddress, std::uint16_t>;
  using Key = std::tuple<std::uint16_t, std::uint8_t, End, End>;

  static Key key_of(const packet::DecodedPacket& p) {
    const model::Tuple& t = p.tuple;
    End a{t.source, t.source_port}, b{t.dest, t.dest_port};
    if (is_icmp(t.protocol)) {
      if (b.first < a.first) std::swap(a.first, b.first);
    } else if (b < a) {
      std::swap(a, b);
    }
    return {p.zone, t.protocol, a, b};
  }

  static bool from_source(const Conn& c, const packet::DecodedPacket& p) {
    if (p.tuple.source != c.tuple.source) return false;
    if (!is_icmp(p.tuple.protocol)) return p.tuple.source_port == c.tuple.source_port;
    return !(p.icmp_reply && p.tuple.source == p.tuple.dest);
  }

  Conn begin(const packet::DecodedPacket& p) {
    Conn c;
    c.id = ++last_id_;
    c.tuple = p.tuple;
    c.start = c.newest = p.time_ns;
    const bool syn = (p.tcp_flags & packet::kTcpSyn) != 0, ack = (p.tcp_flags & packet::kTcpAck) != 0;
    const bool tcp = p.tuple.protocol == model::kProtoTcp, icmp = is_icmp(p.tuple.protocol);
    const std::uint16_t least_client_port = tcp ? 1024 : 32768;
    const bool service =
        p.tuple.source_port != 0 && p.tuple.source_port < 1024 && p.tuple.dest_port >= least_client_port;
    if (icmp ? p.icmp_reply : tcp && syn ? ack : service) {
      std::swap(c.tuple.source, c.tuple.dest);
      if (!icmp) std::swap(c.tuple.source_port, c.tuple.dest_port);
    }
    if (p.zone != 0)
      c.observed_at = from_source(c, p) == p.from_pod ? model::ObservedAt::kSource : model::ObservedAt::kDest;
    c.asks = tcp ? syn : !icmp || p.tuple.dest_port >> 8 == (p.tuple.protocol == model::kProtoIcmp ? 8 : 128);
    c.syn_sent = tcp && syn && !ack;
    c.syn_recv = tcp && syn && ack;
    return c;
  }

  void tcp(Conn& c, const packet::DecodedPacket& p, int from) {
    const bool syn = (p.tcp_flags & packet::kTcpSyn) != 0, ack = (p.tcp_flags & packet::kTcpAck) != 0;
    const bool fin = (p.tcp_flags & packet::kTcpFin) != 0, rst = (p.tcp_flags & packet::kTcpRst) != 0;
    if (rst) {
      ++c.resets;
      if (from == 1 && c.syn_sent && !c.syn_recv && !c.established && !c.closed && !c.fin[0] && !c.fin[1])
        c.outcome = model::Outcome::kRefused;
      c.reset = c.closed = true;
      return;
    }
    sequence(c, p, from, syn, fin);
    if (c.reset) return;
    if (syn) {
      if (ack && from == 1 && c.syn_sent && !c.established && !c.fin[0] && !c.fin[1]) c.syn_recv = true;
      return;
    }
    const bool fins = c.fin[0] || c.fin[1], both = c.fin[0] && c.fin[1];
    const bool acks_all = ack && c.known[1 - from] && static_cast<std::int32_t>(p.tcp_ack - c.next[1 - from]) >= 0;
    if (!fins && ack && (c.syn_sent || c.syn_recv) && from == 0 && !c.established) {
      c.established = true;
      c.outcome = model::Outcome::kEstablished;
    }
    if (!fins && ack && !c.syn_sent && !c.syn_recv && c.packets[0] > 0 && c.packets[1] > 0) c.established = true;
    if (acks_all && both) c.last_acked = true;
    if (acks_all && !both && c.fin[1 - from]) c.fin_acked = true;
    if (fin) c.fin[from] = true;
    c.closed = c.closed || (c.fin[0] && c.fin[1]);
  }

  static void sequence(Conn& c, const packet::DecodedPacket& p, int from, bool syn, bool fin) {
    const std::uint32_t length = p.payload_bytes + (syn ? 1 : 0) + (fin ? 1 : 0), end = p.tcp_seq + length;
    if (length == 0) return;
    const bool shaking = (c.syn_sent || c.syn_recv) && !c.established && !c.reset && !c.fin[0] && !c.fin[1];
    const bool back = c.known[from] && static_cast<std::int32_t>(p.tcp_seq - c.next[from]) < 0;
    if (back && !(syn && shaking && end != c.next[from])) {
      if (syn || fin || length != 1 || end != c.next[from]) ++c.retransmissions;
      if (static_cast<std::int32_t>(end - c.next[from]) > 0) c.next[from] = end;
      return;
    }
    c.next[from] = end;
    c.known[from] = true;
  }

  std::int64_t timeout(const Conn& c) const {
    switch (c.tuple.protocol) {
      case model::kProtoUdp:
        return (c.packets[0] > 0 && c.packets[1] > 0 ? t_.udp_stream : t_.udp).count();
      case model::kProtoIcmp:
      case model::kProtoIcmp6:
        return t_.icmp.count();
      case model::kProtoSctp:
        return t_.sctp.count();
      case model::kProtoTcp:
        break;
      default:
        return t_.generic.count();
    }
    if (c.reset) return t_.tcp_close.count();
    if (c.fin[0] && c.fin[1]) return (c.last_acked ? t_.tcp_time_wait : t_.tcp_last_ack).count();
    if (c.fin[0] || c.fin[1]) return (c.fin_acked ? t_.tcp_close_wait : t_.tcp_fin_wait).count();
    if (c.established) return t_.tcp_established.count();
    if (c.syn_recv) return t_.tcp_syn_recv.count();
    return (c.syn_sent ? t_.tcp_syn_sent : t_.generic).count();
  }
  bool over(const Conn& c) const { return now_ - c.active > timeout(c); }

  void end(Conn& c) {
    c.ended = true;
    if (c.asks && c.packets[1] == 0 && c.outcome == model::Outcome::kUnknown) c.outcome = model::Outcome::kUnanswered;
    ended_.emplace(c.id, c);
  }

  Timeouts t_;
  std::int64_t now_ = 0;
  std::uint64_t last_id_ = 0;
  std::map<Key, Conn> open_;
  std::map<std::uint64_t, Conn> ended_;
};

}  // namespace weir::meter
