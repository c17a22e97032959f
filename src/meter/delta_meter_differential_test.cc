#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "meter/delta_fixture.h"
#include "meter/random_traffic.h"

namespace weir::meter {
namespace {

using packet::DecodedPacket;
using packet::kTcpAck;
using packet::kTcpFin;
using packet::kTcpRst;
using packet::kTcpSyn;

/// DeltaMeter does not see acknowledgements of FINs: the states that differ by them have one timeout here.
MeterOptions options_of_both() {
  MeterOptions options;
  options.timeouts = short_timeouts();
  options.timeouts.tcp_close_wait = options.timeouts.tcp_fin_wait;
  options.timeouts.tcp_last_ack = options.timeouts.tcp_time_wait;
  return options;
}

std::string name_of(const Connection& c) {
  const model::Tuple& t = c.newest.tuple;
  return std::to_string(c.newest.start_ns) + " " + std::to_string(t.protocol) + " " + t.source.to_string() + " " +
         std::to_string(t.source_port) + " " + t.dest.to_string() + " " + std::to_string(t.dest_port);
}

/// What both must say of a connection.
void expect_same(const Connection& want, const Connection& got) {
  EXPECT_EQ(got.newest.tuple, want.newest.tuple) << "who opened it";
  EXPECT_EQ(got.newest.observed_at, want.newest.observed_at);
  EXPECT_EQ(got.newest.start_ns, want.newest.start_ns);
  EXPECT_EQ(got.newest.newest_ns, want.newest.newest_ns);
  EXPECT_EQ(got.total.packets_forward, want.total.packets_forward);
  EXPECT_EQ(got.total.packets_reverse, want.total.packets_reverse);
  EXPECT_EQ(got.total.bytes_forward, want.total.bytes_forward);
  EXPECT_EQ(got.total.bytes_reverse, want.total.bytes_reverse);
  EXPECT_EQ(got.newest.outcome, want.newest.outcome);
  EXPECT_EQ(got.closes, want.closes);
  EXPECT_EQ(got.resets, want.resets);
  EXPECT_EQ(got.firsts, 1u);
  EXPECT_TRUE(got.ended);
}

void expect_same(const MeteredConnections& packets, const DeltaConnections& deltas) {
  std::multimap<std::string, const Connection*> want, got;
  for (const Connection& c : packets.connections()) want.emplace(name_of(c), &c);
  for (const Connection& c : deltas.connections()) got.emplace(name_of(c), &c);
  for (const auto& [name, connection] : got) EXPECT_EQ(want.count(name), got.count(name)) << name;
  ASSERT_EQ(got.size(), want.size());
  for (auto w = want.begin(), g = got.begin(); w != want.end(); ++w, ++g) {
    SCOPED_TRACE(w->first);
    expect_same(*w->second, *g->second);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(DeltaMeterDifferential, AgreesWithMeterOnAnyPacketsIfEachIsASpan) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    MeteredConnections packets(options_of_both());
    DeltaConnections deltas(options_of_both());
    Traffic traffic(seed, seed % 3 == 0 ? 4 : 60, seed % 2 == 0 ? 200 * kMillisecond : kSecond);
    for (int i = 0; i < 4000; ++i) {
      DecodedPacket p = traffic.next();
      if (p.tuple.source == p.tuple.dest) continue;
      // Spans come in order of time.
      p.time_ns = kEpoch + traffic.now_ns();
      p.zone = static_cast<std::uint16_t>(1 + traffic.below(2));
      p.from_pod = p.tuple.source < p.tuple.dest;
      SpanCounter span;
      span.count(p);
      packets.process({p});
      deltas.process(span.take());
      if (traffic.below(100) == 0) packets.flush();
      if (traffic.below(100) == 0) deltas.flush();
    }
    const std::int64_t end = traffic.now_ns() + 1000 * kSecond;
    packets.advance(end);
    deltas.advance(end);
    EXPECT_EQ(deltas.meter().stats().open, 0u);
    expect_same(packets, deltas);
    if (HasFailure()) return;
  }
}

/// Connections as programs make them, some hundred at a time, each with a port of its own.
class Programs {
 public:
  explicit Programs(unsigned seed) : random_(seed) {}

  /// In order of time.
  std::vector<DecodedPacket> make(int connections) {
    for (int i = 0; i < connections; ++i) add(static_cast<std::uint16_t>(10'000 + i));
    std::stable_sort(packets_.begin(), packets_.end(),
                     [](const DecodedPacket& a, const DecodedPacket& b) { return a.time_ns < b.time_ns; });
    return std::move(packets_);
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  void add(std::uint16_t port) {
    constexpr std::uint8_t kProtocols[] = {6, 6, 6, 6, 17, 17, 1};
    const std::uint8_t protocol = kProtocols[below(7)];
    tuple_ = {kClient, kServer, port, 80, protocol};
    if (protocol == 1) tuple_.dest_port = 8 << 8;
    now_ = below(20'000) * kMillisecond;
    // Each interface has one pod.
    client_is_pod_ = below(2) == 0;
    zone_ = client_is_pod_ ? 1 : 2;
    protocol == 6 ? add_tcp() : add_questions();
  }

  DecodedPacket& say(bool forward, std::uint8_t flags = 0) {
    const model::Tuple as_sent = forward ? tuple_ : reversed(tuple_);
    DecodedPacket p = tuple_.protocol == 6 ? make_tcp(now_, as_sent, flags, 0, 0, 0) : make_packet(now_, as_sent);
    p.ip_bytes = 40 + below(1400);
    p.zone = zone_;
    p.from_pod = forward == client_is_pod_;
    p.icmp_reply = tuple_.protocol == 1 && !forward;
    packets_.push_back(p);
    now_ += 1 + below(below(4) == 0 ? 3000 : 3) * kMillisecond;
    return packets_.back();
  }

  void add_questions() {
    const std::uint32_t turns = 1 + below(4);
    const bool answered = below(3) != 0;
    for (std::uint32_t i = 0; i < turns; ++i) {
      say(true);
      if (answered) say(false);
    }
    if (answered || below(2) == 0 || tuple_.protocol != 17) return;
    // ICMP: nobody listens.
    const model::Tuple quoted = tuple_;
    tuple_ = {kClient, kServer, 0, 3 << 8 | 3, 1};
    DecodedPacket& error = say(false);
    error.icmp_reply = false;
    error.icmp_error = error.icmp_unreachable = true;
    error.quoted = quoted;
  }

  void add_tcp() {
    const std::uint32_t kind = below(10);
    const std::uint32_t syns = 1 + (below(4) == 0 ? below(3) : 0);
    for (std::uint32_t i = 0; i < syns; ++i) say(true, kTcpSyn);
    if (kind == 0) return;  // unanswered
    if (kind == 1) return (void)say(false, kTcpRst | kTcpAck);
    say(false, kTcpSyn | kTcpAck);
    if (kind == 2) return (void)say(true, kTcpRst);  // a scan
    say(true, kTcpAck);
    for (std::uint32_t i = below(20); i > 0; --i) say(below(2) == 0, kTcpAck);
    if (kind == 3) return;  // stays open
    if (kind == 4) return (void)say(below(2) == 0, kTcpRst | kTcpAck);
    const bool first = below(2) == 0;
    say(first, kTcpFin | kTcpAck);
    if (kind == 5) return;  // half closed
    say(!first, kTcpAck);
    say(!first, kTcpFin | kTcpAck);
    say(first, kTcpAck);
    if (kind == 6) say(!first, kTcpRst);
  }

  std::mt19937_64 random_;
  std::vector<DecodedPacket> packets_;
  model::Tuple tuple_;
  std::uint16_t zone_ = 0;
  bool client_is_pod_ = false;
  std::int64_t now_ = 0;
};

TEST(DeltaMeterDifferential, AgreesWithMeterOnConnectionsOfProgramsInSpansOfAnyLength) {
  for (const std::int64_t span_ns : {10 * kMillisecond, 300 * kMillisecond, kSecond, 5 * kSecond}) {
    for (unsigned seed = 0; seed < 6; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", spans of " + std::to_string(span_ns) + " ns");
      MeterOptions options;  // the timeouts of the kernel: nothing ends while it speaks
      MeteredConnections packets(options);
      DeltaConnections deltas(options);
      SpanCounter counter;
      std::int64_t span_end = kEpoch + span_ns;
      for (const DecodedPacket& p : Programs(seed).make(2000)) {
        while (p.time_ns >= span_end) {
          deltas.process(counter.take());
          deltas.advance(span_end - kEpoch);
          deltas.flush();
          span_end += span_ns;
        }
        counter.count(p);
        packets.process({p});
      }
      deltas.process(counter.take());
      const std::int64_t end = 500'000 * kSecond;
      packets.advance(end);
      deltas.advance(end);
      expect_same(packets, deltas);
      EXPECT_EQ(deltas.meter().stats().reopened, 0u);
      if (HasFailure()) return;
    }
  }
}

TEST(DeltaMeterProperty, UpdatesAddUpToTheDeltasAndNoConnectionIsLost) {
  for (const std::uint32_t limit : {7u, 100u, 100'000u}) {
    MeterOptions options = options_of_both();
    options.max_connections = limit;
    options.active_timeout = std::chrono::seconds(3);
    DeltaConnections metered(options);
    Traffic traffic(limit, 60, 20 * kMillisecond);
    std::uint64_t packets = 0, bytes = 0;
    for (int i = 0; i < 500; ++i) {
      SpanCounter span;
      for (std::uint32_t n = traffic.below(90); n > 0; --n) {
        DecodedPacket p = traffic.next();
        p.zone = static_cast<std::uint16_t>(1 + traffic.below(2));
        p.from_pod = p.tuple.source < p.tuple.dest;
        span.count(p);
        ++packets;
        bytes += p.ip_bytes;
      }
      metered.process(span.take());
      if (traffic.below(20) == 0) metered.flush();
      if (traffic.below(20) == 0) metered.advance(traffic.now_ns());
      if (traffic.below(100) == 0) metered.meter().end_interface(1);
      metered.take_updates();
      EXPECT_LE(metered.meter().stats().open, limit);
    }
    metered.flush();
    std::uint64_t open = 0;
    for (const Connection& c : metered.connections()) {
      packets -= c.total.packets_forward + c.total.packets_reverse;
      bytes -= c.total.bytes_forward + c.total.bytes_reverse;
      open += c.ended ? 0 : 1;
    }
    EXPECT_EQ(packets, 0u);
    EXPECT_EQ(bytes, 0u);
    const DeltaMeterStats& stats = metered.meter().stats();
    EXPECT_EQ(stats.started, metered.connections().size());
    EXPECT_EQ(stats.open, open);
    EXPECT_EQ(stats.started, stats.ended + stats.open);
    EXPECT_EQ(stats.ended, stats.timed_out + stats.replaced + stats.evicted + stats.interface_gone);
  }
}

}  // namespace
}  // namespace weir::meter
