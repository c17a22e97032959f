#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "meter/meter_fixture.h"

namespace weir::meter {
namespace {

using model::Outcome;
using packet::kTcpAck;
using packet::kTcpFin;
using packet::kTcpPsh;
using packet::kTcpRst;
using packet::kTcpSyn;

constexpr std::uint8_t kSynAck = kTcpSyn | kTcpAck, kData = kTcpPsh | kTcpAck, kFinAck = kTcpFin | kTcpAck,
                       kRstAck = kTcpRst | kTcpAck;
const model::Tuple kForward{kClient, kServer, 40000, 80, model::kProtoTcp};

/// One segment: from the client (c) or the server (s), at a time in ms.
struct Segment {
  std::int64_t at_ms;
  char from;
  std::uint8_t flags;
  std::uint32_t seq = 0, ack = 0, payload = 0;
  std::uint16_t mss = 0;
};

struct Want {
  Outcome outcome;
  bool closed = false;
  std::uint32_t retransmissions = 0, resets = 0;
  std::uint32_t smooth_rtt_us = 0, min_rtt_us = 0;
  std::uint16_t mss = 0;
};

struct Case {
  std::string name;
  std::vector<Segment> segments;
  Want want;
};

packet::DecodedPacket to_packet(const Segment& s) {
  packet::DecodedPacket p =
      make_tcp(s.at_ms * kMillisecond, s.from == 'c' ? kForward : reversed(kForward), s.flags, s.seq, s.ack, s.payload);
  p.tcp_mss = s.mss;
  return p;
}

void expect_cases(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    MeteredConnections metered;
    for (const Segment& s : c.segments) metered.process({to_packet(s)});
    metered.flush();
    ASSERT_EQ(metered.connections().size(), 1u);
    const Connection& got = metered.connections()[0];
    EXPECT_EQ(got.newest.tuple, kForward);
    EXPECT_EQ(got.newest.outcome, c.want.outcome);
    EXPECT_EQ(got.newest.closed, c.want.closed);
    EXPECT_FALSE(got.newest.last);
    EXPECT_EQ(got.retransmissions, c.want.retransmissions);
    EXPECT_EQ(got.resets, c.want.resets);
    EXPECT_EQ(got.newest.tcp.smooth_rtt_us, c.want.smooth_rtt_us);
    EXPECT_EQ(got.newest.tcp.min_rtt_us, c.want.min_rtt_us);
    EXPECT_EQ(got.newest.tcp.mss, c.want.mss);
    EXPECT_EQ(got.total.packets_forward + got.total.packets_reverse, c.segments.size());
  }
}

const std::vector<Segment> kHandshake = {
    {0, 'c', kTcpSyn, 100, 0, 0, 1460}, {10, 's', kSynAck, 500, 101, 0, 1400}, {12, 'c', kTcpAck, 101, 501}};

std::vector<Segment> after_handshake(std::vector<Segment> segments) {
  segments.insert(segments.begin(), kHandshake.begin(), kHandshake.end());
  return segments;
}

TEST(TcpTracker, TheHandshakeDecidesTheOutcome) {
  expect_cases({
      {"a SYN alone says nothing yet", {{0, 'c', kTcpSyn, 100}}, {Outcome::kUnknown}},
      {"a SYN-ACK does not complete the handshake",
       {{0, 'c', kTcpSyn, 100}, {10, 's', kSynAck, 500, 101}},
       {Outcome::kUnknown, false, 0, 0, 10'000, 10'000}},
      {"the ACK does", kHandshake, {Outcome::kEstablished, false, 0, 0, 12'000, 12'000, 1400}},
      {"data in the place of the ACK does too",
       {{0, 'c', kTcpSyn, 100}, {10, 's', kSynAck, 500, 101}, {10, 'c', kData, 101, 501, 20}},
       {Outcome::kEstablished, false, 0, 0, 10'001, 10'001}},
      {"the SYN was not captured",
       {{10, 's', kSynAck, 500, 101}, {12, 'c', kTcpAck, 101, 501}},
       {Outcome::kEstablished, false, 0, 0, 2'000, 2'000}},
      {"only the client's side is captured",
       {{0, 'c', kTcpSyn, 100}, {12, 'c', kTcpAck, 101, 501}},
       {Outcome::kEstablished}},
      {"RST answers the SYN",
       {{0, 'c', kTcpSyn, 100}, {10, 's', kRstAck, 0, 101}},
       {Outcome::kRefused, true, 0, 1, 10'000, 10'000}},
      {"RST answers the second SYN",
       {{0, 'c', kTcpSyn, 100}, {1000, 'c', kTcpSyn, 100}, {1010, 's', kRstAck, 0, 101}},
       {Outcome::kRefused, true, 1, 1}},
      {"a half-open scan: the client resets after the SYN-ACK",
       {{0, 'c', kTcpSyn, 100}, {10, 's', kSynAck, 500, 101}, {11, 'c', kTcpRst, 101}},
       {Outcome::kUnknown, true, 0, 1, 10'000, 10'000}},
      {"the client gives up by RST",
       {{0, 'c', kTcpSyn, 100}, {10, 'c', kTcpRst, 101}},
       {Outcome::kUnknown, true, 0, 1}},
      {"mid-stream",
       {{0, 'c', kData, 100, 500, 10}, {1, 's', kTcpAck, 500, 110}},
       {Outcome::kUnknown, false, 0, 0, 1'000, 1'000}},
      {"RST in mid-stream is no refusal",
       {{0, 'c', kData, 100, 500, 10}, {1, 's', kTcpRst, 500}},
       {Outcome::kUnknown, true, 0, 1}},
  });
}

TEST(TcpTracker, FinBothWaysOrRstCloses) {
  const std::uint32_t rtt = 12'000;
  expect_cases({
      {"one FIN leaves it open",
       after_handshake({{20, 'c', kFinAck, 101, 501}}),
       {Outcome::kEstablished, false, 0, 0, rtt, rtt, 1400}},
      {"acknowledged too",
       after_handshake({{20, 'c', kFinAck, 101, 501}, {30, 's', kTcpAck, 501, 102}}),
       {Outcome::kEstablished, false, 0, 0, rtt, rtt, 1400}},
      {"FIN both ways",
       after_handshake({{20, 'c', kFinAck, 101, 501}, {30, 's', kFinAck, 501, 102}, {32, 'c', kTcpAck, 102, 502}}),
       {Outcome::kEstablished, true, 0, 0, rtt, rtt, 1400}},
      {"both FINs at once",
       after_handshake({{20, 'c', kFinAck, 101, 501}, {21, 's', kFinAck, 501, 101}}),
       {Outcome::kEstablished, true, 0, 0, rtt, rtt, 1400}},
      {"a FIN again closes nothing",
       after_handshake({{20, 'c', kFinAck, 101, 501}, {220, 'c', kFinAck, 101, 501}}),
       {Outcome::kEstablished, false, 1, 0, rtt, rtt, 1400}},
      {"RST", after_handshake({{20, 's', kTcpRst, 501}}), {Outcome::kEstablished, true, 0, 1, rtt, rtt, 1400}},
      {"every RST counts",
       after_handshake({{20, 's', kTcpRst, 501}, {21, 'c', kTcpRst, 101}, {22, 's', kTcpRst, 501}}),
       {Outcome::kEstablished, true, 0, 3, rtt, rtt, 1400}},
  });
}

TEST(TcpTracker, SequenceNumbersThatGoBackAreRetransmissions) {
  const std::uint32_t rtt = 12'000;
  const auto want = [&](std::uint32_t retransmissions) {
    return Want{Outcome::kEstablished, false, retransmissions, 0, rtt, rtt, 1400};
  };
  expect_cases({
      {"in order", after_handshake({{20, 'c', kData, 101, 501, 10}, {21, 'c', kData, 111, 501, 10}}), want(0)},
      {"twice", after_handshake({{20, 'c', kData, 101, 501, 10}, {21, 'c', kData, 101, 501, 10}}), want(1)},
      {"partly new",
       after_handshake({{20, 'c', kData, 101, 501, 10},
                        {21, 'c', kData, 106, 501, 10},
                        {22, 'c', kData, 111, 501, 5},
                        {23, 'c', kData, 116, 501, 5}}),
       want(2)},
      {"a hole is none", after_handshake({{20, 'c', kData, 101, 501, 10}, {21, 'c', kData, 211, 501, 10}}), want(0)},
      {"pure ACKs are none", after_handshake({{20, 'c', kTcpAck, 101, 501}, {21, 'c', kTcpAck, 101, 501}}), want(0)},
      {"a keep-alive of no bytes", after_handshake({{20, 'c', kData, 101, 501, 10}, {60, 'c', kTcpAck, 110, 501}}),
       want(0)},
      {"a keep-alive of one byte", after_handshake({{20, 'c', kData, 101, 501, 10}, {60, 'c', kTcpAck, 110, 501, 1}}),
       want(0)},
      {"each direction by itself",
       after_handshake(
           {{20, 'c', kData, 101, 501, 10}, {21, 's', kTcpAck, 501, 101, 10}, {22, 's', kTcpAck, 501, 101, 10}}),
       want(1)},
      {"SYN-ACK again",
       {{0, 'c', kTcpSyn, 100, 0, 0, 1460},
        {10, 's', kSynAck, 500, 101, 0, 1400},
        {1010, 's', kSynAck, 500, 101, 0, 1400},
        {1012, 'c', kTcpAck, 101, 501}},
       {Outcome::kEstablished, false, 1, 0, 10'000, 10'000, 1400}},
      {"a SYN with another number begins anew",
       {{0, 'c', kTcpSyn, 100}, {1000, 'c', kTcpSyn, 77}, {1010, 's', kSynAck, 500, 78}, {1012, 'c', kTcpAck, 78, 501}},
       {Outcome::kEstablished, false, 0, 0, rtt, rtt}},
      {"numbers wrap",
       {{0, 'c', kData, 0xFFFFFFF0, 7, 16}, {1, 'c', kData, 0, 7, 16}, {2, 'c', kData, 16, 7, 4}},
       {Outcome::kUnknown}},
      {"and go back across the wrap",
       {{0, 'c', kData, 0xFFFFFFF0, 7, 16}, {1, 'c', kData, 0, 7, 16}, {2, 'c', kData, 0xFFFFFFF0, 7, 16}},
       {Outcome::kUnknown, false, 1}},
  });
}

TEST(TcpTracker, RoundTripsAreTimedInBothHalvesAndSmoothed) {
  expect_cases({
      {"client to server 10 ms, then 18: (7 × 10 + 18) / 8 = 11, and 2 on the client's side",
       after_handshake({{20, 'c', kData, 101, 501, 10}, {38, 's', kTcpAck, 501, 111}}),
       {Outcome::kEstablished, false, 0, 0, 13'000, 12'000, 1400}},
      {"a smaller sample lowers the minimum",
       after_handshake({{20, 'c', kData, 101, 501, 10}, {22, 's', kTcpAck, 501, 111}}),
       {Outcome::kEstablished, false, 0, 0, 11'000, 4'000, 1400}},
      {"one segment is timed at once: the first of two",
       after_handshake({{20, 'c', kData, 101, 501, 10}, {26, 'c', kData, 111, 501, 10}, {38, 's', kTcpAck, 501, 121}}),
       {Outcome::kEstablished, false, 0, 0, 13'000, 12'000, 1400}},
      {"Karn: a segment sent twice tells nothing",
       after_handshake({{20, 'c', kData, 101, 501, 10}, {30, 'c', kData, 101, 501, 10}, {31, 's', kTcpAck, 501, 111}}),
       {Outcome::kEstablished, false, 1, 0, 12'000, 12'000, 1400}},
      {"an acknowledgement of less is not it",
       after_handshake({{20, 'c', kData, 101, 501, 10}, {21, 's', kTcpAck, 501, 105}, {38, 's', kTcpAck, 501, 111}}),
       {Outcome::kEstablished, false, 0, 0, 13'000, 12'000, 1400}},
      {"an acknowledgement dated before its segment is no sample",
       after_handshake({{20, 'c', kData, 101, 501, 10}, {15, 's', kTcpAck, 501, 111}}),
       {Outcome::kEstablished, false, 0, 0, 12'000, 12'000, 1400}},
  });
}

TEST(TcpTracker, AHeaderCutOffInItsOptionsStillTellsItsFlags) {
  MeteredConnections metered;
  packet::DecodedPacket syn = make_tcp(0, kForward, kTcpSyn, 100);
  syn.tcp_valid = false;
  packet::DecodedPacket reset = make_tcp(kMillisecond, reversed(kForward), kRstAck, 0, 101);
  metered.process({syn, reset});
  metered.flush();
  EXPECT_EQ(metered.connections().at(0).newest.outcome, Outcome::kRefused);
}

TEST(TcpTracker, CountersThatWouldOverflowGoOutInAnInterimUpdate) {
  MeteredConnections metered;
  std::vector<packet::DecodedPacket> batch(1, make_tcp(0, kForward, kData, 100, 0, 10));
  for (int i = 0; i < 700; ++i) batch.push_back(batch[0]);
  for (int i = 0; i < 600; ++i) batch.push_back(make_tcp(0, kForward, kTcpRst, 110));
  metered.process(batch);
  metered.flush();
  ASSERT_EQ(metered.connections().size(), 1u);
  EXPECT_EQ(metered.connections()[0].retransmissions, 700u);
  EXPECT_EQ(metered.connections()[0].resets, 600u);
  EXPECT_EQ(metered.connections()[0].closes, 1u);
}

}  // namespace
}  // namespace weir::meter
