#include "meter/meter.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "meter/meter_fixture.h"

namespace weir::meter {
namespace {

using model::Outcome;
using model::Tuple;
using packet::DecodedPacket;
using packet::kTcpAck;
using packet::kTcpFin;
using packet::kTcpRst;
using packet::kTcpSyn;

constexpr std::uint8_t kSynAck = kTcpSyn | kTcpAck, kFinAck = kTcpFin | kTcpAck;
const Tuple kTcp{kClient, kServer, 40000, 80, model::kProtoTcp};
const Tuple kUdp{kClient, kServer, 40000, 53, model::kProtoUdp};
const Tuple kPing{kClient, kServer, 7, 8 << 8, model::kProtoIcmp};

Tuple tuple(std::uint16_t source_port, std::uint16_t dest_port, std::uint8_t protocol) {
  return {kClient, kServer, source_port, dest_port, protocol};
}

TEST(Meter, CountsBothDirectionsOfOneConnection) {
  for (const Tuple& t : {kTcp, kUdp, kPing, tuple(0, 0, model::kProtoEsp),
                         Tuple{IpAddress::parse("2001:db8::2").value(), IpAddress::parse("2001:db8::1").value(), 5, 6,
                               model::kProtoSctp}}) {
    SCOPED_TRACE(static_cast<int>(t.protocol));
    MeteredConnections metered;
    DecodedPacket answer = make_packet(2, reversed(t), 1000);
    answer.icmp_reply = t.protocol == model::kProtoIcmp;
    metered.process({make_packet(0, t, 100), make_packet(1, t, 50), answer});
    EXPECT_EQ(metered.flush(), 1u);
    const model::ConnectionUpdate& u = metered.connections().at(0).newest;
    EXPECT_EQ(u.tuple, t);
    EXPECT_EQ(u.original_dest, t.dest);
    EXPECT_EQ(u.original_dest_port, t.dest_port);
    EXPECT_EQ(u.nat_port, 0);
    EXPECT_EQ(u.delta.packets_forward, 2u);
    EXPECT_EQ(u.delta.packets_reverse, 1u);
    EXPECT_EQ(u.delta.bytes_forward, 150u);
    EXPECT_EQ(u.delta.bytes_reverse, 1000u);
    EXPECT_EQ(u.start_ns, kEpoch);
    EXPECT_EQ(u.newest_ns, kEpoch + 2);
    EXPECT_TRUE(u.first);
    EXPECT_FALSE(u.last);
  }
}

TEST(Meter, TellsConnectionsApartByEveryPartOfTheTuple) {
  MeteredConnections metered;
  Tuple other_source = kTcp, other_dest = kTcp, other_port = kTcp, other_protocol = kTcp, v6 = kTcp;
  other_source.source = IpAddress::v4(0x0A000009);
  other_dest.dest = IpAddress::v4(0x0A000009);
  other_port.source_port = 40001;
  other_protocol.protocol = model::kProtoUdp;
  v6.source = IpAddress::parse("::a00:1").value();
  for (const Tuple& t : {kTcp, other_source, other_dest, other_port, other_protocol, v6})
    metered.process({make_packet(0, t)});
  EXPECT_EQ(metered.flush(), 6u);
}

TEST(Meter, FindsTheSideThatOpened) {
  const struct {
    std::string name;
    DecodedPacket first;
    bool sender_opened;
  } cases[] = {
      {"SYN: its sender", make_tcp(0, tuple(80, 40000, 6), kTcpSyn), true},
      {"SYN-ACK: its receiver", make_tcp(0, tuple(80, 40000, 6), kSynAck), false},
      {"SYN-ACK, whatever the ports", make_tcp(0, tuple(40000, 80, 6), kSynAck), false},
      {"mid-stream, from the client", make_tcp(0, tuple(40000, 80, 6), kTcpAck), true},
      {"mid-stream, from the service port", make_tcp(0, tuple(80, 40000, 6), kTcpAck), false},
      {"a known service port above 1024", make_tcp(0, tuple(5432, 40000, 6), kTcpAck), false},
      {"an unknown port", make_tcp(0, tuple(5433, 40000, 6), kTcpAck), true},
      {"two service ports", make_tcp(0, tuple(80, 8080, 6), kTcpAck), true},
      {"a service port and one that is none", make_tcp(0, tuple(80, 20000, 6), kTcpAck), false},
      {"UDP request", make_packet(0, tuple(40000, 53, 17)), true},
      {"UDP answer", make_packet(0, tuple(53, 40000, 17)), false},
      {"fragment without ports", make_packet(0, tuple(0, 0, 17)), true},
      {"echo request", make_packet(0, kPing), true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    MeteredConnections metered;
    metered.process({c.first});
    metered.flush();
    EXPECT_EQ(metered.connections().at(0).newest.tuple, c.sender_opened ? c.first.tuple : reversed(c.first.tuple));
  }
}

TEST(Meter, AnEchoReplyThatComesFirstBelongsToItsRequest) {
  MeteredConnections metered;
  DecodedPacket reply = make_packet(0, reversed(kPing));
  reply.icmp_reply = true;
  metered.process({reply, make_packet(1, kPing)});
  EXPECT_EQ(metered.flush(), 1u);
  EXPECT_EQ(metered.connections().at(0).newest.tuple, kPing);
  EXPECT_EQ(metered.connections().at(0).newest.outcome, Outcome::kEstablished);
}

TEST(Meter, AtTheEndOfInputWhoAskedInVainIsUnansweredThoughStillOpen) {
  MeteredConnections metered;
  metered.process({make_packet(0, kUdp), make_tcp(0, kTcp, kTcpSyn)});
  EXPECT_EQ(metered.flush(), 2u);
  metered.process({make_packet(1, reversed(kUdp))});
  metered.meter().end_input();
  EXPECT_EQ(metered.flush(), 2u);
  EXPECT_EQ(metered.connections().at(0).newest.outcome, Outcome::kEstablished);
  EXPECT_EQ(metered.connections().at(1).newest.outcome, Outcome::kUnanswered);
  EXPECT_FALSE(metered.connections().at(1).newest.last);
  EXPECT_EQ(metered.meter().stats().open, 2u);
}

TEST(Meter, AHostThatPingsItselfHasRequestsAndReplies) {
  Tuple self = kPing;
  self.dest = self.source;
  DecodedPacket reply = make_packet(1, self);
  reply.icmp_reply = true;
  MeteredConnections metered;
  metered.process({make_packet(0, self), reply});
  EXPECT_EQ(metered.flush(), 1u);
  EXPECT_EQ(metered.connections().at(0).total.packets_forward, 1u);
  EXPECT_EQ(metered.connections().at(0).newest.outcome, Outcome::kEstablished);
}

TEST(Meter, KnowsOutcomesOfOtherProtocols) {
  DecodedPacket unreachable = make_packet(1, {kServer, kClient, 0, (3 << 8) | 3, model::kProtoIcmp});
  unreachable.icmp_error = unreachable.icmp_unreachable = true;
  unreachable.quoted = kUdp;
  DecodedPacket of_syn = unreachable, too_big = unreachable;
  of_syn.quoted = kTcp;
  too_big.icmp_unreachable = false;
  const Tuple router_advertisement{kClient, kServer, 0, 134 << 8, model::kProtoIcmp6};
  const struct {
    std::string name;
    std::vector<DecodedPacket> packets;
    Outcome open, ended;
  } cases[] = {
      {"UDP answered",
       {make_packet(0, kUdp), make_packet(1, reversed(kUdp))},
       Outcome::kEstablished,
       Outcome::kEstablished},
      {"UDP not answered", {make_packet(0, kUdp)}, Outcome::kUnknown, Outcome::kUnanswered},
      {"UDP refused", {make_packet(0, kUdp), unreachable}, Outcome::kRefused, Outcome::kRefused},
      {"UDP answered, then unreachable",
       {make_packet(0, kUdp), make_packet(1, reversed(kUdp)), unreachable},
       Outcome::kEstablished,
       Outcome::kEstablished},
      {"fragmentation needed is no refusal", {make_packet(0, kUdp), too_big}, Outcome::kUnknown, Outcome::kUnanswered},
      {"unreachable answers the SYN", {make_tcp(0, kTcp, kTcpSyn), of_syn}, Outcome::kRefused, Outcome::kRefused},
      {"a later answer corrects it",
       {make_packet(0, kUdp), unreachable, make_packet(2, reversed(kUdp))},
       Outcome::kEstablished,
       Outcome::kEstablished},
      {"SYN not answered", {make_tcp(0, kTcp, kTcpSyn)}, Outcome::kUnknown, Outcome::kUnanswered},
      {"SYN-ACK without an end of the handshake",
       {make_tcp(0, kTcp, kTcpSyn), make_tcp(1, reversed(kTcp), kSynAck)},
       Outcome::kUnknown,
       Outcome::kUnknown},
      {"mid-stream, one side", {make_tcp(0, kTcp, kTcpAck)}, Outcome::kUnknown, Outcome::kUnknown},
      {"echo answered",
       {make_packet(0, kPing), make_packet(1, reversed(kPing))},
       Outcome::kEstablished,
       Outcome::kEstablished},
      {"echo not answered", {make_packet(0, kPing)}, Outcome::kUnknown, Outcome::kUnanswered},
      {"ICMP that asks nothing", {make_packet(0, router_advertisement)}, Outcome::kUnknown, Outcome::kUnknown},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    MeteredConnections metered;
    metered.process(c.packets);
    metered.flush();
    EXPECT_EQ(metered.connections().at(0).newest.outcome, c.open);
    metered.advance(6 * 24 * 3600 * kSecond);
    EXPECT_EQ(metered.connections().at(0).newest.outcome, c.ended);
    EXPECT_TRUE(metered.connections().at(0).ended);
  }
}

TEST(Meter, RefusalByIcmpIsReportedThoughTheConnectionHadNoTraffic) {
  MeteredConnections metered;
  metered.process({make_packet(0, kUdp)});
  metered.flush();
  DecodedPacket unreachable = make_packet(1, {kServer, kClient, 0, (3 << 8) | 3, model::kProtoIcmp});
  unreachable.icmp_error = unreachable.icmp_unreachable = true;
  unreachable.quoted = kUdp;
  metered.process({unreachable});
  EXPECT_EQ(metered.flush(), 2u);
  EXPECT_EQ(metered.connections().at(0).newest.outcome, Outcome::kRefused);
  EXPECT_EQ(metered.meter().stats().icmp_errors_matched, 1u);
}

/// As seen at the interface of a pod.
DecodedPacket at(std::uint16_t zone, bool from_pod, DecodedPacket packet) {
  packet.zone = zone;
  packet.from_pod = from_pod;
  return packet;
}

TEST(Meter, EachPodsInterfaceIsMeteredOnItsOwn) {
  for (const Tuple& t : {kTcp, Tuple{kServer, kClient, 40000, 80, model::kProtoTcp}, kUdp, kPing}) {
    SCOPED_TRACE(static_cast<int>(t.protocol));
    MeteredConnections metered;
    PacketNotes notes;
    // A request from one pod to the other passes both interfaces, and is in a file too.
    const DecodedPacket request = make_packet(0, t, 100);
    DecodedPacket answer = make_packet(1, reversed(t), 70);
    answer.icmp_reply = t.protocol == model::kProtoIcmp;
    metered.process({at(1, true, request), at(9, false, request), request, at(9, true, answer), at(1, false, answer)},
                    &notes);
    EXPECT_EQ(metered.flush(), 3u);
    EXPECT_EQ(notes.places[0].slot, notes.places[4].slot);
    EXPECT_EQ(notes.places[1].slot, notes.places[3].slot);
    const model::ObservedAt want[] = {model::ObservedAt::kSource, model::ObservedAt::kDest,
                                      model::ObservedAt::kAnywhere};
    for (std::size_t i = 0; i < 3; ++i) {
      const model::ConnectionUpdate& u = metered.connections().at(i).newest;
      EXPECT_EQ(u.tuple, t);
      EXPECT_EQ(u.observed_at, want[i]);
      EXPECT_EQ(u.delta.packets_forward + u.delta.packets_reverse, i == 2 ? 1u : 2u);
    }
  }
}

TEST(Meter, ThePodThatOpenedIsTheSource) {
  const DecodedPacket syn = make_tcp(0, kTcp, kTcpSyn), syn_ack = make_tcp(0, reversed(kTcp), kSynAck);
  const struct {
    std::string name;
    DecodedPacket first;
    bool from_pod;
    model::ObservedAt want;
  } cases[] = {
      {"SYN from the pod", syn, true, model::ObservedAt::kSource},
      {"SYN to the pod", syn, false, model::ObservedAt::kDest},
      {"SYN-ACK from the pod", syn_ack, true, model::ObservedAt::kDest},
      {"SYN-ACK to the pod", syn_ack, false, model::ObservedAt::kSource},
      {"mid-stream from its server's port", make_tcp(0, reversed(kTcp), kTcpAck), true, model::ObservedAt::kDest},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    MeteredConnections metered;
    metered.process({at(3, c.from_pod, c.first)});
    metered.flush();
    EXPECT_EQ(metered.connections().at(0).newest.tuple, kTcp);
    EXPECT_EQ(metered.connections().at(0).newest.observed_at, c.want);
  }
}

TEST(Meter, UpdatesSaySinceWhenTheInterfaceIsThere) {
  MeteredConnections metered;
  metered.meter().set_interface(2, kEpoch - 5);
  metered.meter().set_interface(65'535, kEpoch - 7);
  metered.process({at(2, true, make_packet(0, kUdp)), at(1, true, make_packet(0, kUdp)), make_packet(0, kUdp),
                   at(65'535, true, make_packet(0, kUdp))});
  metered.flush();
  const std::int64_t want[] = {kEpoch - 5, 0, 0, kEpoch - 7};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(metered.connections().at(i).newest.interface_since_ns, want[i]);
}

TEST(Meter, AnIcmpErrorIsAboutItsOwnZone) {
  DecodedPacket unreachable = make_packet(1, {kServer, kClient, 0, (3 << 8) | 3, model::kProtoIcmp});
  unreachable.icmp_error = unreachable.icmp_unreachable = true;
  unreachable.quoted = kUdp;
  MeteredConnections metered;
  metered.process({at(1, true, make_packet(0, kUdp)), at(2, false, make_packet(0, kUdp)), make_packet(0, kUdp),
                   at(2, true, unreachable), at(7, true, unreachable)});
  metered.flush();
  EXPECT_EQ(metered.connections().at(0).newest.outcome, Outcome::kUnknown);
  EXPECT_EQ(metered.connections().at(1).newest.outcome, Outcome::kRefused);
  EXPECT_EQ(metered.connections().at(2).newest.outcome, Outcome::kUnknown);
  EXPECT_EQ(metered.meter().stats().icmp_errors, 2u);
  EXPECT_EQ(metered.meter().stats().icmp_errors_matched, 1u);
}

TEST(Meter, TheEndOfAnInterfaceEndsItsConnections) {
  MeteredConnections metered;
  metered.process({at(1, true, make_packet(0, kUdp)), at(2, false, make_packet(0, kUdp)), make_packet(0, kUdp),
                   at(1, true, make_packet(0, kPing))});
  metered.meter().end_interface(1);
  metered.take_updates();
  ASSERT_EQ(metered.connections().size(), 2u);
  for (const Connection& c : metered.connections()) {
    EXPECT_TRUE(c.ended);
    EXPECT_EQ(c.newest.observed_at, model::ObservedAt::kSource);
    EXPECT_EQ(c.newest.outcome, Outcome::kUnanswered);
    EXPECT_EQ(c.total.packets_forward, 1u);
  }
  EXPECT_EQ(metered.meter().stats().interface_gone, 2u);
  EXPECT_EQ(metered.meter().stats().started, metered.meter().stats().ended + metered.meter().stats().open);
  EXPECT_EQ(metered.flush(), 2u);
  metered.meter().end_interface(1);
  EXPECT_EQ(metered.meter().updates().size(), 0u);
}

TEST(Meter, MidStreamTcpFromBeforeThisRunIsResumed) {
  const struct {
    std::string name;
    DecodedPacket first;
    bool want;
  } cases[] = {
      {"data", make_tcp(0, kTcp, kTcpAck, 1, 1, 10), true},
      {"FIN", make_tcp(0, kTcp, kFinAck), true},
      {"RST", make_tcp(0, kTcp, kTcpRst), true},
      {"data just in time", make_tcp(kSecond - 1, kTcp, kTcpAck), true},
      {"data too late", make_tcp(kSecond, kTcp, kTcpAck), false},
      {"SYN", make_tcp(0, kTcp, kTcpSyn), false},
      {"SYN-ACK", make_tcp(0, reversed(kTcp), kSynAck), false},
      {"UDP", make_packet(0, kUdp), false},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    MeterOptions options;
    options.resume_until_ns = kEpoch + kSecond;
    MeteredConnections metered(options);
    metered.process({c.first});
    metered.flush();
    EXPECT_EQ(metered.connections().at(0).newest.resumed, c.want);
    DecodedPacket next = c.first;
    next.time_ns += 1;
    metered.process({next});
    metered.flush();
    EXPECT_EQ(metered.connections().at(0).updates, 2u);
    EXPECT_FALSE(metered.connections().at(0).newest.resumed) << "only the first update says so";
  }
  MeteredConnections by_default;
  by_default.process({cases[0].first});
  by_default.flush();
  EXPECT_FALSE(by_default.connections().at(0).newest.resumed);
}

TEST(Meter, OneUpdateSaysAllOfAConnectionThatLivesWithinAWindow) {
  MeteredConnections metered;
  metered.process({make_tcp(0, kTcp, kTcpSyn), make_tcp(1, reversed(kTcp), kTcpRst | kTcpAck)});
  EXPECT_EQ(metered.connections().size(), 0u) << "nothing is emitted at close";
  metered.advance(12 * kSecond);
  ASSERT_EQ(metered.connections().size(), 1u);
  const Connection& c = metered.connections()[0];
  EXPECT_TRUE(c.newest.first && c.newest.closed && c.newest.last);
  EXPECT_EQ(metered.flush(), 0u);
}

TEST(Meter, FlushesWhatWasTouchedInTheOrderOfFirstTouch) {
  MeteredConnections metered;
  std::vector<DecodedPacket> batch;
  for (std::uint16_t i = 0; i < 1000; ++i)
    batch.push_back(make_packet(i, tuple(static_cast<std::uint16_t>(40000 + i * 7 % 1000), 53, 17)));
  metered.process(batch);
  EXPECT_EQ(metered.flush(), 1000u);
  for (std::size_t i = 0; i < batch.size(); ++i) EXPECT_EQ(metered.connections()[i].newest.tuple, batch[i].tuple);
  EXPECT_EQ(metered.flush(), 0u);
  metered.process({make_packet(2000, batch[500].tuple), make_packet(2001, batch[3].tuple)});
  EXPECT_EQ(metered.flush(), 2u);
  EXPECT_EQ(metered.connections().size(), 1000u);
  EXPECT_EQ(metered.connections()[3].updates, 2u);
  EXPECT_FALSE(metered.connections()[3].newest.first);
}

TEST(Meter, EachStateHasItsTimeout) {
  const std::vector<DecodedPacket> open = {make_tcp(0, kTcp, kTcpSyn, 100),
                                           make_tcp(0, reversed(kTcp), kSynAck, 500, 101),
                                           make_tcp(0, kTcp, kTcpAck, 101, 501)};
  const auto opened = [&](std::vector<DecodedPacket> packets) {
    packets.insert(packets.begin(), open.begin(), open.end());
    return packets;
  };
  const DecodedPacket fin = make_tcp(0, kTcp, kFinAck, 101, 501),
                      fin_ack = make_tcp(0, reversed(kTcp), kTcpAck, 501, 102),
                      fin2 = make_tcp(0, reversed(kTcp), kFinAck, 501, 102),
                      last_ack = make_tcp(0, kTcp, kTcpAck, 102, 502);
  const struct {
    std::string name;
    std::vector<DecodedPacket> packets;
    std::int64_t timeout_s;
  } cases[] = {
      {"SYN sent", {open[0]}, 120},
      {"SYN received", {open[0], open[1]}, 60},
      {"established", open, 5 * 24 * 3600},
      {"mid-stream, one side", {open[2]}, 600},
      {"mid-stream, both sides", {open[2], make_tcp(0, reversed(kTcp), kTcpAck)}, 5 * 24 * 3600},
      {"FIN wait", opened({fin}), 120},
      {"close wait", opened({fin, fin_ack}), 60},
      {"last ACK", opened({fin, fin_ack, fin2}), 30},
      {"time wait", opened({fin, fin_ack, fin2, last_ack}), 120},
      {"reset", opened({make_tcp(0, kTcp, kTcpRst, 101)}), 10},
      {"UDP", {make_packet(0, kUdp)}, 30},
      {"UDP both ways", {make_packet(0, kUdp), make_packet(0, reversed(kUdp))}, 120},
      {"ICMP", {make_packet(0, kPing)}, 30},
      {"SCTP", {make_packet(0, tuple(1000, 2000, model::kProtoSctp))}, 210},
      {"other", {make_packet(0, tuple(0, 0, 47))}, 600},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    // The next packet: at the timeout it still belongs to the connection, after it it does not.
    for (const std::int64_t late : {0, 1}) {
      MeteredConnections metered;
      metered.process(c.packets);
      DecodedPacket next = c.packets.back();
      next.time_ns += c.timeout_s * kSecond + late;
      metered.process({next});
      metered.flush();
      EXPECT_EQ(metered.connections().size(), 1u + static_cast<std::size_t>(late));
    }
    // Without one, the wheel ends it within two ticks.
    MeteredConnections metered;
    metered.process(c.packets);
    metered.flush();
    metered.advance(c.timeout_s * kSecond);
    EXPECT_FALSE(metered.connections()[0].ended);
    metered.advance(c.timeout_s * kSecond + 2'200 * kMillisecond);
    EXPECT_TRUE(metered.connections()[0].ended);
  }
}

TEST(Meter, TrafficPostponesTheTimeout) {
  MeteredConnections metered;
  for (std::int64_t s = 0; s <= 1000; s += 25) metered.process({make_packet(s * kSecond, kUdp)});
  metered.flush();
  EXPECT_EQ(metered.connections().size(), 1u);
  metered.advance(1028 * kSecond);
  EXPECT_FALSE(metered.connections()[0].ended);
  metered.advance(1033 * kSecond);
  EXPECT_TRUE(metered.connections()[0].ended);
}

TEST(Meter, IdleConnectionsEndInTheOrderOfTheirTimeouts) {
  MeteredConnections metered;
  metered.process({make_packet(0, tuple(0, 0, 47)), make_tcp(0, kTcp, kTcpSyn), make_packet(0, kPing),
                   make_packet(5 * kSecond, kUdp)});
  metered.advance(3600 * kSecond);
  ASSERT_EQ(metered.connections().size(), 4u);
  const std::uint8_t want[] = {model::kProtoIcmp, model::kProtoUdp, model::kProtoTcp, 47};
  // One jump of the clock: those beyond the wheel's turn come when their list does.
  MeteredConnections stepped;
  stepped.process({make_packet(0, tuple(0, 0, 47)), make_tcp(0, kTcp, kTcpSyn), make_packet(0, kPing),
                   make_packet(5 * kSecond, kUdp)});
  for (std::int64_t s = 6; s < 700; ++s) stepped.advance(s * kSecond);
  ASSERT_EQ(stepped.connections().size(), 4u);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(stepped.connections()[static_cast<std::size_t>(i)].newest.tuple.protocol, want[i]);
}

TEST(Meter, ASynOnAClosedConnectionBeginsANewOne) {
  MeteredConnections metered;
  PacketNotes notes;
  metered.process({make_tcp(0, kTcp, kTcpSyn, 1), make_tcp(1, reversed(kTcp), kTcpRst | kTcpAck, 0, 2),
                   make_tcp(2, reversed(kTcp), kTcpRst, 0), make_tcp(kSecond, kTcp, kTcpSyn, 9)},
                  &notes);
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 2u);
  EXPECT_TRUE(metered.connections()[0].ended);
  EXPECT_EQ(metered.connections()[0].total.packets_forward, 1u);
  EXPECT_EQ(metered.connections()[0].total.packets_reverse, 2u) << "trailing packets count in the closed connection";
  EXPECT_EQ(metered.connections()[0].newest.outcome, Outcome::kRefused);
  EXPECT_FALSE(metered.connections()[1].ended);
  EXPECT_NE(notes.places[0].slot, notes.places[3].slot) << "no slot is reused within a batch";
  EXPECT_EQ(metered.meter().stats().replaced, 1u);
}

TEST(Meter, ASynOnAnOpenConnectionDoesNot) {
  MeteredConnections metered;
  metered.process({make_tcp(0, kTcp, kTcpSyn, 1), make_tcp(1, kTcp, kTcpSyn, 1),
                   make_tcp(2, reversed(kTcp), kSynAck, 5, 2), make_tcp(3, kTcp, kTcpAck, 2, 6),
                   make_tcp(4, kTcp, kTcpSyn, 70)});
  metered.flush();
  EXPECT_EQ(metered.connections().size(), 1u);
}

TEST(Meter, TimeThatGoesBackEndsNothing) {
  MeteredConnections metered;
  metered.process({make_packet(1000 * kSecond, kUdp), make_packet(0, kPing), make_packet(1, reversed(kPing)),
                   make_packet(3 * kSecond, kUdp)});
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 2u);
  EXPECT_EQ(metered.connections()[0].newest.newest_ns, kEpoch + 1000 * kSecond);
  EXPECT_EQ(metered.connections()[1].newest.newest_ns, kEpoch + 1);
  EXPECT_EQ(metered.meter().stats().time_backwards, 3u);
}

TEST(Meter, AnyTimeIsBorne) {
  for (const std::int64_t time : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
                                  std::numeric_limits<std::int64_t>::max()}) {
    MeterOptions options;
    options.active_timeout = std::chrono::seconds(1);
    MeteredConnections metered(options);
    DecodedPacket odd = make_tcp(0, kTcp, kTcpSyn);
    odd.time_ns = time;
    metered.process({odd, make_packet(0, kUdp), odd, make_packet(kSecond, kUdp)});
    metered.flush();
    metered.meter().advance(std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(metered.meter().stats().packets, 4u);
  }
}

TEST(Meter, AtTheLimitAnIdleConnectionGivesWay) {
  MeterOptions options;
  options.max_connections = 100;
  MeteredConnections metered(options);
  for (std::uint16_t i = 0; i < 1000; ++i)
    metered.process({make_packet(i * 20 * kMillisecond, kUdp),
                     make_packet(i * 20 * kMillisecond, tuple(static_cast<std::uint16_t>(1000 + i), 99, 17))});
  metered.flush();
  EXPECT_EQ(metered.meter().stats().open, 100u);
  // The busy connection stays, nearly always: deadlines are told apart by the second.
  EXPECT_LT(metered.meter().stats().evicted, 910u);
  EXPECT_EQ(metered.connections().size(), metered.meter().stats().evicted + 100);
  EXPECT_EQ(metered.meter().stats().started, metered.meter().stats().ended + metered.meter().stats().open);
  std::uint64_t packets = 0;
  for (const Connection& c : metered.connections()) packets += c.total.packets_forward + c.total.packets_reverse;
  EXPECT_EQ(packets, 2000u);
}

TEST(Meter, AnEvictedConnectionIsNotCalledUnanswered) {
  MeterOptions options;
  options.max_connections = 1;
  MeteredConnections metered(options);
  metered.process({make_packet(0, kUdp), make_packet(1, kPing)});
  EXPECT_EQ(metered.connections().at(0).newest.outcome, Outcome::kUnknown);
  EXPECT_TRUE(metered.connections().at(0).ended);
}

TEST(Meter, TheActiveTimeoutReportsALongConnectionInBetween) {
  MeterOptions options;
  options.active_timeout = std::chrono::seconds(60);
  MeteredConnections metered(options);
  for (std::int64_t s = 0; s < 300; s += 10) metered.process({make_packet(s * kSecond, kUdp)});
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 1u);
  EXPECT_EQ(metered.connections()[0].updates, 5u);
  EXPECT_EQ(metered.connections()[0].total.packets_forward, 30u);
}

TEST(Meter, BigCountersAreExact) {
  MeteredConnections metered;
  const std::vector<DecodedPacket> batch(1000, make_packet(0, kUdp, 0xFFFF'0000));
  for (int i = 0; i < 100; ++i) metered.process(batch);
  metered.flush();
  EXPECT_EQ(metered.connections().at(0).total.packets_forward, 100'000u);
  EXPECT_EQ(metered.connections().at(0).total.bytes_forward, 100'000u * 0xFFFF'0000ull);
  EXPECT_EQ(metered.meter().stats().bytes, 100'000u * 0xFFFF'0000ull);
}

TEST(Meter, NotesSayWherePacketsBelongAndWhichAreInspected) {
  MeteredConnections metered;
  PacketNotes notes;
  const DecodedPacket data = make_tcp(1, kTcp, kTcpAck, 1, 1, 10);
  metered.process(
      {make_packet(0, kUdp), data, make_tcp(2, reversed(kTcp), kTcpAck, 1, 11, 10), make_packet(3, reversed(kUdp))},
      &notes);
  ASSERT_EQ(notes.places.size(), 4u);
  EXPECT_EQ(notes.inspect, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(notes.places[0].slot, notes.places[3].slot);
  EXPECT_EQ(notes.places[1].slot, notes.places[2].slot);
  EXPECT_TRUE(notes.places[0].forward && notes.places[1].forward);
  EXPECT_FALSE(notes.places[2].forward || notes.places[3].forward);
  metered.meter().stop_inspecting(notes.places[1].slot);
  metered.process({data, make_tcp(2, tuple(5, 6, 6), kTcpAck)}, &notes);
  EXPECT_EQ(notes.inspect, (std::vector<std::uint32_t>{1})) << "a new connection is inspected, that one no more";
}

TEST(Meter, RefusesOptionsThatCannotWork) {
  MeterOptions options;
  options.max_connections = 0;
  options.timeouts.udp = std::chrono::seconds(0);
  const auto meter = Meter::create(options);
  ASSERT_FALSE(meter.ok());
  EXPECT_NE(meter.error().message.find("max_connections"), std::string::npos);
  EXPECT_NE(meter.error().message.find("timeouts"), std::string::npos);
}

}  // namespace
}  // namespace weir::meter
