#include "meter/delta_meter.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "meter/delta_fixture.h"

namespace weir::meter {
namespace {

using model::FlowDelta;
using model::ObservedAt;
using model::Outcome;
using packet::kTcpAck;
using packet::kTcpFin;
using packet::kTcpRst;
using packet::kTcpSyn;

constexpr bool kOut = true, kIn = false;

/// The pod's view: kClient is the pod.
model::Tuple pods_view(std::uint8_t protocol = 6, std::uint16_t port = 40000, std::uint16_t peer_port = 80) {
  return {kClient, kServer, port, peer_port, protocol};
}

struct Packet {
  bool out;
  std::uint8_t flags = 0;
  bool reply = false;
};

/// One span of packets, all at one time.
FlowDelta span(std::int64_t time_ns, const model::Tuple& view, const std::vector<Packet>& packets) {
  SpanCounter counter;
  for (const Packet& step : packets) {
    packet::DecodedPacket p = make_packet(time_ns, step.out ? view : reversed(view));
    p.tcp_valid = view.protocol == 6;
    p.tcp_flags = step.flags;
    p.icmp_reply = step.reply;
    p.zone = 1;
    p.from_pod = step.out;
    counter.count(p);
  }
  return counter.take().at(0);
}

const std::vector<Packet> kHandshake = {{kOut, kTcpSyn}, {kIn, kTcpSyn | kTcpAck}, {kOut, kTcpAck}};
const std::vector<Packet> kGoodbye = {{kOut, kTcpFin | kTcpAck}, {kIn, kTcpFin | kTcpAck}, {kOut, kTcpAck}};

TEST(DeltaMeter, TellsWhoOpenedTheConnection) {
  struct Case {
    const char* name;
    model::Tuple view;
    std::vector<Packet> packets;
    ObservedAt want;
  };
  const Case cases[] = {
      {"SYN from the pod", pods_view(), {{kOut, kTcpSyn}}, ObservedAt::kSource},
      {"SYN to the pod", pods_view(6, 80, 40000), {{kIn, kTcpSyn}}, ObservedAt::kDest},
      {"SYN-ACK from the pod", pods_view(6, 40000, 80), {{kOut, kTcpSyn | kTcpAck}}, ObservedAt::kDest},
      {"mid-stream, from a service's port", pods_view(6, 80, 40000), {{kOut, kTcpAck}}, ObservedAt::kDest},
      {"mid-stream, to a service's port", pods_view(), {{kOut, kTcpAck}}, ObservedAt::kSource},
      {"mid-stream, received, ports tell nothing", pods_view(6, 40000, 41000), {{kIn, kTcpAck}}, ObservedAt::kDest},
      {"UDP from the pod", pods_view(17), {{kOut}, {kIn}}, ObservedAt::kSource},
      {"UDP to the pod", pods_view(17, 53, 40000), {{kIn}, {kOut}}, ObservedAt::kDest},
      {"echo request", pods_view(1, 7, 8 << 8), {{kOut}, {kIn, 0, true}}, ObservedAt::kSource},
      {"echo reply first", pods_view(1, 7, 8 << 8), {{kOut, 0, true}}, ObservedAt::kDest},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    DeltaConnections metered;
    FlowDelta d = span(0, c.view, c.packets);
    d.interface_since_ns = 77;
    metered.process({d});
    metered.flush();
    ASSERT_EQ(metered.connections().size(), 1u);
    const model::ConnectionUpdate& u = metered.connections()[0].newest;
    EXPECT_EQ(u.observed_at, c.want);
    EXPECT_EQ(u.tuple, c.want == ObservedAt::kSource ? c.view : reversed(c.view));
    EXPECT_EQ(u.original_dest, u.tuple.dest);
    EXPECT_EQ(u.interface_since_ns, 77);
    EXPECT_EQ(u.delta.packets_forward + u.delta.packets_reverse, c.packets.size());
    EXPECT_EQ(u.delta.packets_forward, c.want == ObservedAt::kSource ? d.packets_out : d.packets_in);
  }
}

TEST(DeltaMeter, TellsHowItFared) {
  struct Case {
    const char* name;
    model::Tuple view;
    std::vector<std::vector<Packet>> spans;
    Outcome want;
    bool closed;
  };
  const Case cases[] = {
      {"handshake", pods_view(), {kHandshake}, Outcome::kEstablished, false},
      {"handshake, one packet a span",
       pods_view(),
       {{kHandshake[0]}, {kHandshake[1]}, {kHandshake[2]}},
       Outcome::kEstablished,
       false},
      {"closed by both", pods_view(), {kHandshake, kGoodbye}, Outcome::kEstablished, true},
      {"half closed", pods_view(), {kHandshake, {{kOut, kTcpFin | kTcpAck}}}, Outcome::kEstablished, false},
      {"reset", pods_view(), {kHandshake, {{kIn, kTcpRst | kTcpAck}}}, Outcome::kEstablished, true},
      {"refused", pods_view(), {{{kOut, kTcpSyn}, {kIn, kTcpRst | kTcpAck}}}, Outcome::kRefused, true},
      {"refused in the next span",
       pods_view(),
       {{{kOut, kTcpSyn}}, {{kIn, kTcpRst | kTcpAck}}},
       Outcome::kRefused,
       true},
      {"scanned", pods_view(), {{{kOut, kTcpSyn}, {kIn, kTcpSyn | kTcpAck}, {kOut, kTcpRst}}}, Outcome::kUnknown, true},
      {"nobody there", pods_view(), {{{kOut, kTcpSyn}}, {{kOut, kTcpSyn}}}, Outcome::kUnanswered, false},
      {"mid-stream", pods_view(), {{{kOut, kTcpAck}, {kIn, kTcpAck}}}, Outcome::kUnknown, false},
      {"UDP answered", pods_view(17), {{{kOut}}, {{kIn}}}, Outcome::kEstablished, false},
      {"UDP not answered", pods_view(17), {{{kOut}}, {{kOut}}}, Outcome::kUnanswered, false},
      {"echo", pods_view(1, 7, 8 << 8), {{{kOut}, {kIn, 0, true}}}, Outcome::kEstablished, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    DeltaConnections metered;
    std::int64_t now = 0;
    for (const auto& packets : c.spans) metered.process({span(now += kSecond, c.view, packets)});
    metered.meter().end_input();
    metered.flush();
    ASSERT_EQ(metered.connections().size(), 1u);
    EXPECT_EQ(metered.connections()[0].newest.outcome, c.want);
    EXPECT_EQ(metered.connections()[0].closes, c.closed ? 1u : 0u);
  }
}

TEST(DeltaMeter, AnUnreachableRefusesWhatWasNotAnswered) {
  for (const bool answered : {false, true}) {
    DeltaConnections metered;
    metered.process(
        {span(0, pods_view(17), answered ? std::vector<Packet>{{kOut}, {kIn}} : std::vector<Packet>{{kOut}})});
    metered.flush();
    FlowDelta mark;
    mark.tuple = pods_view(17);
    mark.zone = 1;
    mark.first_ns = mark.newest_ns = kEpoch + kSecond;
    mark.unreachable = true;
    FlowDelta stranger = mark;
    stranger.tuple.source_port = 1;
    metered.process({mark, stranger});
    metered.flush();
    ASSERT_EQ(metered.connections().size(), 1u) << "a mark alone opens nothing";
    EXPECT_EQ(metered.connections()[0].newest.outcome, answered ? Outcome::kEstablished : Outcome::kRefused);
    EXPECT_EQ(metered.connections()[0].newest.newest_ns, kEpoch);
    EXPECT_EQ(metered.meter().stats().unreachable, 2u);
    EXPECT_EQ(metered.meter().stats().unreachable_matched, 1u);
  }
}

TEST(DeltaMeter, ASynAfterTheEndBeginsAnotherConnection) {
  DeltaConnections metered;
  metered.process({span(0, pods_view(), kHandshake)});
  metered.process({span(kSecond, pods_view(), kGoodbye)});
  metered.process({span(2 * kSecond, pods_view(), {{kOut, kTcpAck}})});
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 1u) << "what trails after the end belongs to it";
  metered.process({span(3 * kSecond, pods_view(), kHandshake)});
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 2u);
  EXPECT_TRUE(metered.connections()[0].ended);
  EXPECT_EQ(metered.connections()[0].closes, 1u);
  EXPECT_EQ(metered.connections()[0].total.packets_forward, 5u);
  EXPECT_EQ(metered.connections()[1].newest.outcome, Outcome::kEstablished);
  EXPECT_EQ(metered.connections()[1].newest.start_ns, kEpoch + 3 * kSecond);
}

TEST(DeltaMeter, TwoConnectionsInOneSpanAreTwo) {
  std::vector<Packet> packets = kHandshake;
  packets.insert(packets.end(), kGoodbye.begin(), kGoodbye.end());
  packets.insert(packets.end(), kHandshake.begin(), kHandshake.end());
  const FlowDelta d = span(0, pods_view(), packets);
  ASSERT_TRUE(d.reopened);
  DeltaConnections metered;
  metered.process({d});
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 2u);
  const Connection &first = metered.connections()[0], &second = metered.connections()[1];
  EXPECT_TRUE(first.ended);
  EXPECT_EQ(first.closes, 1u);
  EXPECT_EQ(first.newest.outcome, Outcome::kEstablished);
  EXPECT_EQ(first.total.packets_forward + first.total.packets_reverse, 9u) << "all traffic is told with the first";
  EXPECT_FALSE(second.ended);
  EXPECT_EQ(second.closes, 0u);
  EXPECT_EQ(second.newest.outcome, Outcome::kEstablished);
  EXPECT_EQ(second.newest.observed_at, ObservedAt::kSource);
  EXPECT_EQ(second.total.packets_forward, 0u);
  EXPECT_EQ(metered.meter().stats().reopened, 1u);
}

TEST(DeltaMeter, TcpMetInMidStreamIsResumedUntilTheGivenTime) {
  struct Case {
    const char* name;
    std::int64_t time_ns;
    std::vector<Packet> packets;
    std::uint8_t protocol;
    bool want;
  };
  const Case cases[] = {{"before", 0, {{kOut, kTcpAck}}, 6, true},
                        {"after", 2 * kSecond, {{kOut, kTcpAck}}, 6, false},
                        {"with its SYN", 0, kHandshake, 6, false},
                        {"UDP", 0, {{kOut}}, 17, false}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    MeterOptions options;
    options.resume_until_ns = kEpoch + kSecond;
    DeltaConnections metered(options);
    metered.process({span(c.time_ns, pods_view(c.protocol), c.packets)});
    metered.flush();
    EXPECT_EQ(metered.connections()[0].newest.resumed, c.want);
    metered.process({span(c.time_ns + kSecond, pods_view(c.protocol), {{kOut, kTcpAck}})});
    metered.flush();
    ASSERT_EQ(metered.connections().size(), 1u);
    EXPECT_FALSE(metered.connections()[0].newest.resumed) << "only its first update says so";
  }
}

TEST(DeltaMeter, EachInterfaceIsMeteredByItself) {
  DeltaConnections metered;
  FlowDelta client = span(0, pods_view(), kHandshake), server = client;
  server.tuple = reversed(client.tuple);
  server.zone = 2;
  std::swap(server.packets_out, server.packets_in);
  std::swap(server.tcp_flags_out, server.tcp_flags_in);
  std::swap(server.syn_out, server.syn_in);
  std::swap(server.syn_ack_out, server.syn_ack_in);
  server.first_is_out = false;
  metered.process({client, server});
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 2u);
  EXPECT_EQ(metered.connections()[0].newest.observed_at, ObservedAt::kSource);
  EXPECT_EQ(metered.connections()[1].newest.observed_at, ObservedAt::kDest);
  EXPECT_EQ(metered.connections()[0].newest.tuple, metered.connections()[1].newest.tuple);

  metered.meter().end_interface(2);
  metered.take_updates();
  EXPECT_FALSE(metered.connections()[0].ended);
  EXPECT_TRUE(metered.connections()[1].ended);
  EXPECT_EQ(metered.meter().stats().interface_gone, 1u);
}

TEST(DeltaMeter, ATimeoutIsMeasuredFromPacketToPacket) {
  struct Case {
    std::int64_t silence_ns;
    std::size_t want;
  };
  for (const Case& c : {Case{30 * kSecond, 1}, Case{30 * kSecond + 1, 2}}) {
    DeltaConnections metered;
    metered.process({span(0, pods_view(17), {{kOut}})});
    // Another connection of the same drain is already further on.
    metered.process({span(60 * kSecond, pods_view(17, 1), {{kOut}}), span(c.silence_ns, pods_view(17), {{kOut}})});
    metered.flush();
    std::size_t connections = 0;
    for (const Connection& each : metered.connections()) connections += each.newest.tuple == pods_view(17);
    EXPECT_EQ(connections, c.want);
  }
}

TEST(DeltaMeter, AdvanceEndsWhatNothingCameForWithinTwoSeconds) {
  DeltaConnections metered;
  metered.process({span(0, pods_view(17), {{kOut}})});
  metered.advance(30 * kSecond);
  EXPECT_EQ(metered.meter().stats().open, 1u);
  metered.advance(33 * kSecond);
  EXPECT_EQ(metered.meter().stats().open, 0u);
  EXPECT_EQ(metered.connections()[0].newest.outcome, Outcome::kUnanswered);
  EXPECT_TRUE(metered.connections()[0].ended);
  EXPECT_EQ(metered.meter().stats().timed_out, 1u);
}

TEST(DeltaMeter, AtItsLimitOneGivesWay) {
  MeterOptions options;
  options.max_connections = 10;
  DeltaConnections metered(options);
  for (std::uint16_t i = 0; i < 25; ++i) metered.process({span(i * kMillisecond, pods_view(17, i), {{kOut}})});
  metered.flush();
  EXPECT_EQ(metered.meter().stats().open, 10u);
  EXPECT_EQ(metered.meter().stats().evicted, 15u);
  EXPECT_EQ(metered.connections().size(), 25u);
}

TEST(DeltaMeter, ASlotIsGivenOnOnlyAfterItsUpdatesWereTaken) {
  auto meter = DeltaMeter::create({}).value();
  const FlowDelta first = span(0, pods_view(), {{kOut, kTcpSyn}, {kIn, kTcpRst}});
  meter->process(std::vector{first});
  std::set<model::ConnectionSlot> slots;
  for (int i = 1; i < 4; ++i) {
    FlowDelta again = first;
    again.first_ns = again.newest_ns = kEpoch + i * kSecond;
    meter->process(std::vector{again});
  }
  for (const auto& update : meter->updates()) slots.insert(update.slot);
  EXPECT_EQ(slots.size(), 3u);
  meter->clear_updates();
  const FlowDelta other = span(9 * kSecond, pods_view(6, 1), {{kOut, kTcpSyn}});
  meter->process(std::vector{other});
  for (const auto& update : meter->flush()) {
    EXPECT_EQ(update.tuple == other.tuple, slots.contains(update.slot));
    slots.erase(update.slot);
  }
  EXPECT_EQ(slots.size(), 2u);
}

TEST(DeltaMeter, PlacesPacketsInTheirConnections) {
  DeltaConnections metered;
  metered.process({span(0, pods_view(), kHandshake)});
  packet::DecodedPacket request = make_tcp(kSecond, pods_view(), kTcpAck),
                        response = make_tcp(kSecond, reversed(pods_view()), kTcpAck);
  request.zone = response.zone = 1;
  request.from_pod = true;
  const auto there = metered.meter().find(request), back = metered.meter().find(response);
  ASSERT_TRUE(there.has_value() && back.has_value());
  EXPECT_EQ(there->slot, back->slot);
  EXPECT_TRUE(there->forward);
  EXPECT_FALSE(back->forward);
  request.zone = 2;
  EXPECT_FALSE(metered.meter().find(request).has_value());
}

TEST(DeltaMeter, APacketMayComeBeforeItsConnectionIsDrained) {
  DeltaConnections metered;
  // A response from a port that tells nothing: the sender is taken for the opener at first.
  const model::Tuple view = pods_view(6, 3333, 40000);
  packet::DecodedPacket response = make_tcp(kSecond, view, kTcpAck);
  response.zone = 1;
  response.from_pod = true;
  const PacketPlace guess = metered.meter().place(response);
  EXPECT_EQ(metered.meter().place(response).slot, guess.slot);
  EXPECT_EQ(metered.flush(), 0u) << "no traffic was counted yet";
  metered.process({span(0, view, {{kIn, kTcpSyn}, {kOut, kTcpSyn | kTcpAck}, {kIn, kTcpAck}, {kOut, kTcpAck}})});
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 1u);
  const model::ConnectionUpdate& u = metered.connections()[0].newest;
  EXPECT_EQ(u.slot, guess.slot);
  EXPECT_EQ(u.observed_at, ObservedAt::kDest);
  EXPECT_EQ(u.outcome, Outcome::kEstablished);
  EXPECT_EQ(u.start_ns, kEpoch);
  EXPECT_FALSE(metered.meter().find(response)->forward);
}

TEST(DeltaMeter, TcpFiguresAreOfTheWholeConnection) {
  DeltaConnections metered;
  FlowDelta d = span(0, pods_view(), kHandshake);
  d.tcp.smooth_rtt_us = 500;
  d.tcp.min_rtt_us = 500;
  d.tcp.mss = 1460;
  d.tcp.retransmissions = 2;
  metered.process({d});
  metered.flush();
  FlowDelta later = span(kSecond, pods_view(), {{kOut, kTcpAck}});
  later.tcp.smooth_rtt_us = 700;
  later.tcp.min_rtt_us = 600;
  later.tcp.retransmissions = 1;
  metered.process({later});
  metered.flush();
  const Connection& c = metered.connections()[0];
  EXPECT_EQ(c.newest.tcp.smooth_rtt_us, 700u);
  EXPECT_EQ(c.newest.tcp.min_rtt_us, 500u);
  EXPECT_EQ(c.newest.tcp.mss, 1460);
  EXPECT_EQ(c.retransmissions, 3u);
}

}  // namespace
}  // namespace weir::meter
