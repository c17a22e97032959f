// Named after the acceptance facts that concern this stage: B1, B2, B6 to B8, and of B4 what becomes of a denied
// connection that is allowed later.
// Of the others: B3 (which ends report), B5 (ends that move), B9 (waiting for the service), B10 (rule hits of deleted
// endpoints), B13 (draining denied flows as traces change) and the verdict's part of B4 and B8 are collect's; B11 does
// not arise with one thread; B12 (age-out without the connection tracker) belongs to the meter of eBPF deltas.
#include "meter/conntrack_meter.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir::meter {
namespace {

using model::ConnectionUpdate;
using model::ConntrackEvent;
using model::Outcome;
using model::PolicyHit;
using Kind = ConntrackEvent::Kind;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'700'000'000 * kSecond;
constexpr std::uint32_t kSeenReply = 2, kAssured = 4, kSourceNat = 16, kDestinationNat = 32;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

/// 10.0.0.1:40000 to 10.0.0.2:80, no NAT.
ConntrackEvent entry(Kind kind, std::uint8_t protocol = model::kProtoTcp) {
  ConntrackEvent e;
  e.kind = kind;
  e.original = {ip("10.0.0.1"), ip("10.0.0.2"), 40000, 80, protocol};
  e.reply = {ip("10.0.0.2"), ip("10.0.0.1"), 80, 40000, protocol};
  e.id = 7;
  e.time_ns = kStart;
  return e;
}

ConntrackEvent counted(ConntrackEvent e, std::uint64_t packets, std::uint64_t bytes, std::uint64_t packets_back = 0,
                       std::uint64_t bytes_back = 0) {
  e.has_counters = true;
  e.packets_original = packets;
  e.bytes_original = bytes;
  e.packets_reply = packets_back;
  e.bytes_reply = bytes_back;
  return e;
}

ConntrackEvent dnatted(ConntrackEvent e) {
  e.original.dest = ip("10.96.0.10");
  e.original.dest_port = 443;
  e.status |= kDestinationNat;
  return e;
}

PolicyHit denied(const ConntrackEvent& e) {
  PolicyHit hit;
  hit.tuple = e.original;
  hit.original_dest = e.original.dest;
  hit.original_dest_port = e.original.dest_port;
  hit.action = model::Action::kDeny;
  hit.id = "knp/shop/web";
  hit.rule = 0;
  hit.time_ns = e.time_ns;
  hit.bytes = 60;
  return hit;
}

class ConntrackMeterTest : public ::testing::Test {
 protected:
  ConntrackMeterTest() { make({}); }
  void make(const ConntrackMeterOptions& options) { meter_ = ConntrackMeter::create(options).value(); }
  void add(const ConntrackEvent& event) { meter_->add({&event, 1}); }
  void add(const PolicyHit& hit) { meter_->add(hit); }

  std::vector<ConnectionUpdate> flush() {
    std::vector<ConnectionUpdate> all;
    for (auto span = meter_->flush(); !span.empty(); span = meter_->flush())
      all.insert(all.end(), span.begin(), span.end());
    return all;
  }
  std::vector<ConnectionUpdate> take() {
    std::vector<ConnectionUpdate> all(meter_->updates().begin(), meter_->updates().end());
    meter_->clear_updates();
    return all;
  }
  const ConntrackMeterStats& stats() const { return meter_->stats(); }

  std::unique_ptr<ConntrackMeter> meter_;
};

TEST_F(ConntrackMeterTest, B1AbsoluteCountersBecomeDeltasAlsoWhenTheyGoBackwards) {
  add(counted(entry(Kind::kUpdate), 10, 1000));
  auto updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].delta.packets_forward, 10u);
  add(counted(entry(Kind::kUpdate), 15, 1500, 2, 300));
  updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].delta.packets_forward, 5u);
  EXPECT_EQ(updates[0].delta.bytes_forward, 500u);
  EXPECT_EQ(updates[0].delta.packets_reverse, 2u);
  EXPECT_EQ(updates[0].delta.bytes_reverse, 300u);
  add(counted(entry(Kind::kUpdate), 3, 200, 2, 300));
  updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].delta.packets_forward, 3u);
  EXPECT_EQ(updates[0].delta.bytes_forward, 200u);
  EXPECT_EQ(updates[0].delta.packets_reverse, 0u);
  EXPECT_EQ(stats().counters_backwards, 1u);
}

TEST_F(ConntrackMeterTest, B1AFlushClearsTheDeltaOnly) {
  add(counted(entry(Kind::kUpdate), 10, 1000));
  flush();
  add(counted(entry(Kind::kDestroy), 11, 1100));
  const auto updates = take();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].delta.packets_forward, 1u);
  EXPECT_EQ(updates[0].delta.bytes_forward, 100u);
}

TEST_F(ConntrackMeterTest, B2BytesAloneAreNewsInEachDirectionAndNoChangeIsNone) {
  add(counted(entry(Kind::kUpdate), 10, 1000, 5, 500));
  EXPECT_EQ(flush().size(), 1u);
  add(counted(entry(Kind::kUpdate), 10, 1000, 5, 500));
  EXPECT_TRUE(flush().empty());
  add(counted(entry(Kind::kUpdate), 10, 1001, 5, 500));
  EXPECT_EQ(flush().size(), 1u);
  add(counted(entry(Kind::kUpdate), 10, 1001, 5, 501));
  EXPECT_EQ(flush().size(), 1u);
  EXPECT_TRUE(flush().empty());
}

TEST_F(ConntrackMeterTest, B4DeniedPacketsWithoutAnEntryAreAConnectionOfTheirOwnUntilItIsAllowed) {
  add(denied(entry(Kind::kNew)));
  auto updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].first);
  EXPECT_EQ(updates[0].tuple, entry(Kind::kNew).original);
  EXPECT_EQ(updates[0].delta.packets_forward, 1u);
  EXPECT_EQ(updates[0].delta.bytes_forward, 60u);
  EXPECT_TRUE(flush().empty());
  // Now the policy lets it pass: the denied connection ends, and another begins.
  add(entry(Kind::kNew));
  const auto ended = take();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].slot, updates[0].slot);
  EXPECT_TRUE(ended[0].last);
  EXPECT_FALSE(ended[0].first);
  EXPECT_EQ(ended[0].outcome, Outcome::kUnanswered);
  add(counted(entry(Kind::kUpdate), 3, 180));
  updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].first);
  EXPECT_EQ(updates[0].delta.packets_forward, 3u);
  EXPECT_EQ(stats().denied_superseded, 1u);
}

TEST_F(ConntrackMeterTest, DeniedPacketsOfATrackedConnectionAreInItsCounters) {
  struct Case {
    const char* name;
    model::Tuple hit;
    bool before_dnat_known;
  };
  const ConntrackEvent tracked = dnatted(entry(Kind::kNew));
  const model::Tuple flow{tracked.original.source, tracked.reply.source, 40000, 80, model::kProtoTcp};
  const Case cases[] = {{"before DNAT known", flow, true},
                        {"before DNAT unknown", flow, false},
                        {"answer", {flow.dest, flow.source, 80, 40000, model::kProtoTcp}, false}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    make({});
    add(tracked);
    PolicyHit hit = denied(tracked);
    hit.tuple = c.hit;
    hit.original_dest = c.before_dnat_known ? tracked.original.dest : c.hit.dest;
    hit.original_dest_port = c.before_dnat_known ? tracked.original.dest_port : c.hit.dest_port;
    add(hit);
    EXPECT_EQ(stats().denied, 0u);
    EXPECT_EQ(stats().denied_packets_tracked, 1u);
  }
}

TEST_F(ConntrackMeterTest, AllowedPacketsAreTheTrackersAlone) {
  PolicyHit hit = denied(entry(Kind::kNew));
  for (const auto action : {model::Action::kAllow, model::Action::kPass}) {
    hit.action = action;
    add(hit);
  }
  EXPECT_TRUE(flush().empty());
}

TEST_F(ConntrackMeterTest, ADeniedConnectionEndsTenSecondsAfterItsLastPacket) {
  PolicyHit hit = denied(entry(Kind::kNew));
  add(hit);
  hit.time_ns += 8 * kSecond;
  hit.packets = 2;
  hit.bytes = 120;
  add(hit);
  const auto updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].delta.packets_forward, 3u);
  EXPECT_EQ(updates[0].delta.bytes_forward, 180u);
  EXPECT_EQ(updates[0].newest_ns, kStart + 8 * kSecond);
  meter_->advance(kStart + 17 * kSecond);
  EXPECT_TRUE(take().empty());
  meter_->advance(kStart + 21 * kSecond);
  const auto ended = take();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0].last);
  EXPECT_EQ(ended[0].delta.packets_forward, 0u);
  EXPECT_EQ(stats().open, 0u);
}

TEST_F(ConntrackMeterTest, ADenialUnderTheServiceOrTheBackendEndsWhenTheConnectionIsThere) {
  const ConntrackEvent tracked = dnatted(entry(Kind::kNew));
  PolicyHit before = denied(tracked), after = before;
  after.tuple.dest = after.original_dest = tracked.reply.source;
  after.tuple.dest_port = after.original_dest_port = 80;
  PolicyHit both = before;
  both.tuple = after.tuple;
  const std::pair<const char*, PolicyHit> cases[] = {{"service", before}, {"backend", after}, {"both known", both}};
  for (const auto& [name, hit] : cases) {
    SCOPED_TRACE(name);
    make({});
    add(hit);
    EXPECT_EQ(stats().denied, 1u);
    add(tracked);
    EXPECT_EQ(stats().denied_superseded, 1u);
    const auto ended = take();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_TRUE(ended[0].last);
    EXPECT_EQ(ended[0].delta.packets_forward, 1u);
  }
}

TEST_F(ConntrackMeterTest, ADenialOnThePortsOfAConnectionThatIsOverIsAConnectionOfItsOwn) {
  ConntrackEvent over = entry(Kind::kUpdate);
  over.tcp_state = kCtTimeWait;
  add(over);
  add(denied(over));
  EXPECT_EQ(stats().denied, 1u);
  // The entry's end is still its own.
  add(counted(entry(Kind::kDestroy), 9, 900));
  const auto ended = take();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].delta.packets_forward, 9u);
  EXPECT_EQ(stats().open, 1u);
}

TEST_F(ConntrackMeterTest, B6SnatGivesTheAnswersDestinationPortUnlessTheAddressStays) {
  struct Case {
    const char* name;
    std::uint32_t status;
    const char* answered;
    std::uint16_t want;
  };
  for (const Case& c : {Case{"SNAT", kSourceNat, "192.0.2.1", 61000}, Case{"SNAT to itself", kSourceNat, "10.0.0.1", 0},
                        Case{"no SNAT", 0, "10.0.0.1", 0}}) {
    SCOPED_TRACE(c.name);
    make({});
    ConntrackEvent e = entry(Kind::kNew);
    e.status = c.status;
    e.reply.dest = ip(c.answered);
    e.reply.dest_port = 61000;
    add(e);
    const auto updates = flush();
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_EQ(updates[0].nat_port, c.want);
    EXPECT_EQ(updates[0].tuple.source.to_string(), "10.0.0.1");
  }
}

TEST_F(ConntrackMeterTest, B7TheTupleIsAfterDnatAndTheDestinationBeforeIsKept) {
  add(dnatted(entry(Kind::kNew)));
  const auto updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].tuple.source.to_string(), "10.0.0.1");
  EXPECT_EQ(updates[0].tuple.dest.to_string(), "10.0.0.2");
  EXPECT_EQ(updates[0].tuple.dest_port, 80);
  EXPECT_EQ(updates[0].original_dest.to_string(), "10.96.0.10");
  EXPECT_EQ(updates[0].original_dest_port, 443);
}

TEST_F(ConntrackMeterTest, B7ADeniedPacketSuppliesTheDestinationBeforeDnatToo) {
  PolicyHit hit = denied(entry(Kind::kNew));
  hit.original_dest = ip("10.96.0.10");
  hit.original_dest_port = 443;
  add(hit);
  const auto updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].tuple.dest.to_string(), "10.0.0.2");
  EXPECT_EQ(updates[0].original_dest.to_string(), "10.96.0.10");
  EXPECT_EQ(updates[0].original_dest_port, 443);
}

TEST_F(ConntrackMeterTest, B8TimeWaitAndLaterIsClosedAtOnceAndOnlyOnce) {
  for (std::uint8_t state = 1; state <= 9; ++state) {
    SCOPED_TRACE(int{state});
    make({});
    ConntrackEvent e = counted(entry(Kind::kUpdate), 5, 500, 5, 500);
    e.status = kSeenReply | kAssured;
    e.tcp_state = state;
    add(e);
    auto updates = flush();
    ASSERT_EQ(updates.size(), 1u);
    // 9 is not after TIME_WAIT but a simultaneous open.
    EXPECT_EQ(updates[0].closed, state == kCtTimeWait || state == kCtClose);
    EXPECT_FALSE(updates[0].last);
    add(e);
    EXPECT_TRUE(flush().empty());
    e.kind = Kind::kDestroy;
    add(e);
    updates = take();
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_FALSE(updates[0].closed);
    EXPECT_TRUE(updates[0].last);
  }
}

TEST_F(ConntrackMeterTest, TheOutcomeIsWhatTheTrackerSaw) {
  struct Case {
    const char* name;
    std::uint8_t protocol;
    std::uint32_t status;
    std::uint8_t state;
    Outcome open, ended;
  };
  using enum Outcome;
  for (const Case& c : {
           Case{"TCP, SYN only", 6, 0, kCtSynSent, kUnknown, kUnanswered},
           Case{"TCP, SYN-ACK", 6, kSeenReply, kCtSynRecv, kUnknown, kUnknown},
           Case{"TCP, established", 6, kSeenReply | kAssured, kCtEstablished, kEstablished, kEstablished},
           Case{"TCP, RST to the SYN", 6, 0, kCtClose, kRefused, kRefused},
           Case{"TCP, RST after the SYN-ACK", 6, kSeenReply, kCtClose, kRefused, kRefused},
           Case{"TCP, RST later", 6, kSeenReply | kAssured, kCtClose, kEstablished, kEstablished},
           Case{"TCP, TIME_WAIT", 6, kSeenReply | kAssured, kCtTimeWait, kEstablished, kEstablished},
           Case{"UDP, no answer", 17, 0, 0, kUnknown, kUnanswered},
           Case{"UDP, answer", 17, kSeenReply, 0, kEstablished, kEstablished},
           Case{"ping, answer", 1, kSeenReply, 0, kEstablished, kEstablished},
       }) {
    SCOPED_TRACE(c.name);
    make({});
    ConntrackEvent e = entry(Kind::kUpdate, c.protocol);
    e.status = c.status;
    e.tcp_state = c.state;
    add(e);
    EXPECT_EQ(flush().at(0).outcome, c.open);
    e.kind = Kind::kDestroy;
    add(e);
    EXPECT_EQ(take().at(0).outcome, c.ended);
  }
}

TEST_F(ConntrackMeterTest, AnAnswerIsNewsWithoutCountersToo) {
  add(entry(Kind::kNew, model::kProtoUdp));
  EXPECT_EQ(flush().at(0).outcome, Outcome::kUnknown);
  ConntrackEvent e = entry(Kind::kUpdate, model::kProtoUdp);
  e.status = kSeenReply;
  add(e);
  EXPECT_EQ(flush().at(0).outcome, Outcome::kEstablished);
}

TEST_F(ConntrackMeterTest, AtTheEndOfInputWhoWasNotAnsweredIsUnanswered) {
  add(entry(Kind::kNew));
  flush();
  meter_->end_input();
  const auto updates = flush();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].outcome, Outcome::kUnanswered);
  EXPECT_FALSE(updates[0].last);
}

TEST_F(ConntrackMeterTest, ShortConnectionsBetweenTwoFlushesAreOneUpdate) {
  add(entry(Kind::kNew));
  ConntrackEvent e = counted(entry(Kind::kDestroy), 6, 600, 5, 500);
  e.status = kSeenReply | kAssured;
  e.tcp_state = kCtTimeWait;
  e.start_ns = kStart - kSecond;
  e.stop_ns = kStart + 130 * kSecond;
  add(e);
  const auto updates = take();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].first && updates[0].closed && updates[0].last);
  EXPECT_EQ(updates[0].outcome, Outcome::kEstablished);
  EXPECT_EQ(updates[0].start_ns, kStart - kSecond);
  // The entry stayed 120 s in TIME_WAIT after the last packet.
  EXPECT_EQ(updates[0].newest_ns, kStart + 10 * kSecond);
  EXPECT_TRUE(flush().empty());
}

TEST_F(ConntrackMeterTest, WhatADumpHasNoLongerHasEnded) {
  ConntrackEvent stays = entry(Kind::kNew), lost = entry(Kind::kNew), comes = entry(Kind::kNew);
  lost.original.source_port = lost.reply.dest_port = 40001;
  comes.original.source_port = comes.reply.dest_port = 40002;
  add(stays);
  add(lost);
  PolicyHit hit = denied(entry(Kind::kNew));
  hit.tuple.source_port = 40003;
  add(hit);
  meter_->begin_dump();
  stays.kind = Kind::kUpdate;
  add(stays);
  // Made while the dump runs: the dump may not have it.
  add(comes);
  meter_->end_dump();
  const auto ended = take();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].tuple.source_port, 40001);
  EXPECT_TRUE(ended[0].first && ended[0].last);
  EXPECT_EQ(stats().missing, 1u);
  EXPECT_EQ(stats().open, 3u);
  // A dump that was not completed ends nothing.
  meter_->begin_dump();
  meter_->begin_dump();
  add(stays);
  comes.kind = Kind::kUpdate;
  add(comes);
  meter_->end_dump();
  EXPECT_TRUE(take().empty());
}

TEST_F(ConntrackMeterTest, AnotherEntryOnTheSameTupleReplacesTheOneWhoseEndWasLost) {
  add(counted(entry(Kind::kUpdate), 5, 500));
  flush();
  ConntrackEvent other = entry(Kind::kNew);
  other.id = 8;
  add(other);
  auto ended = take();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0].last);
  EXPECT_FALSE(ended[0].first);
  EXPECT_EQ(stats().replaced, 1u);
  // A late DESTROY of a third one is a connection of its own, and ends nothing else.
  ConntrackEvent third = counted(entry(Kind::kDestroy), 2, 200);
  third.id = 9;
  add(third);
  ended = take();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0].first && ended[0].last);
  EXPECT_EQ(ended[0].delta.packets_forward, 2u);
  EXPECT_EQ(stats().open, 1u);
  EXPECT_EQ(stats().at_end_only, 1u);
}

TEST_F(ConntrackMeterTest, ZonesKeepEqualTuplesApart) {
  ConntrackEvent one = counted(entry(Kind::kUpdate), 5, 500), two = counted(entry(Kind::kUpdate), 7, 700);
  two.zone = 1;
  two.id = 8;
  add(one);
  add(two);
  EXPECT_EQ(flush().size(), 2u);
  two.kind = Kind::kDestroy;
  add(two);
  EXPECT_EQ(take().size(), 1u);
  EXPECT_EQ(stats().open, 1u);
  EXPECT_EQ(stats().replaced, 0u);
}

TEST_F(ConntrackMeterTest, WhatAnEarlierRunCountedIsResumedFromItsCounters) {
  struct Case {
    const char* name;
    Kind kind;
    std::int64_t start_ns;
    bool first_dump_done;
    bool resumed;
  };
  for (const Case& c : {
           Case{"dump, older", Kind::kUpdate, kStart - kSecond, false, true},
           Case{"dump, younger", Kind::kUpdate, kStart + kSecond, false, false},
           Case{"first dump, start unknown", Kind::kUpdate, 0, false, true},
           Case{"later dump, start unknown", Kind::kUpdate, 0, true, false},
           Case{"destroyed before any dump, older", Kind::kDestroy, kStart - kSecond, false, true},
           Case{"new", Kind::kNew, 0, false, false},
       }) {
    SCOPED_TRACE(c.name);
    make({.resume_before_ns = kStart});
    if (c.first_dump_done) {
      meter_->begin_dump();
      meter_->end_dump();
    }
    ConntrackEvent e = counted(entry(c.kind), 10, 1000, 5, 500);
    e.start_ns = c.start_ns;
    add(e);
    auto updates = c.kind == Kind::kDestroy ? take() : flush();
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_TRUE(updates[0].first);
    EXPECT_EQ(updates[0].resumed, c.resumed);
    EXPECT_EQ(updates[0].delta.packets_forward, c.resumed ? 0u : 10u);
    EXPECT_EQ(updates[0].delta.bytes_reverse, c.resumed ? 0u : 500u);
    if (c.kind == Kind::kDestroy) continue;
    add(counted(entry(Kind::kUpdate), 12, 1200, 5, 500));
    updates = flush();
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_FALSE(updates[0].resumed);
    EXPECT_EQ(updates[0].delta.packets_forward, 2u);
  }
}

TEST_F(ConntrackMeterTest, WhatFindsNoRoomIsToldOfAtItsEnd) {
  make({.max_connections = 2});
  for (std::uint16_t i = 0; i < 5; ++i) {
    ConntrackEvent e = entry(Kind::kNew);
    e.original.source_port = e.reply.dest_port = static_cast<std::uint16_t>(40000 + i);
    e.id = 10u + i;
    add(e);
  }
  EXPECT_EQ(stats().no_room, 3u);
  EXPECT_EQ(flush().size(), 2u);
  PolicyHit hit = denied(entry(Kind::kNew));
  hit.tuple.source_port = 50000;
  add(hit);
  auto updates = take();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].first && updates[0].last);
  EXPECT_EQ(updates[0].delta.packets_forward, 1u);
  std::uint64_t packets = 0;
  for (std::uint16_t i = 0; i < 5; ++i) {
    ConntrackEvent e = counted(entry(Kind::kDestroy), 4, 400);
    e.original.source_port = e.reply.dest_port = static_cast<std::uint16_t>(40000 + i);
    e.id = 10u + i;
    add(e);
  }
  updates = take();
  EXPECT_EQ(updates.size(), 5u);
  for (const auto& u : updates) packets += u.delta.packets_forward;
  EXPECT_EQ(packets, 20u);
  EXPECT_EQ(stats().open, 0u);
}

TEST_F(ConntrackMeterTest, OptionsOutOfBoundsAreNamedAll) {
  const auto made = ConntrackMeter::create({.max_connections = 0, .denied_timeout = {}, .resume_before_ns = -1});
  ASSERT_FALSE(made.ok());
  for (const char* word : {"max_connections", "denied_timeout", "resume_before_ns"}) {
    EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
  }
}

TEST_F(ConntrackMeterTest, AnEntryThatTheKernelDeletedForItsResetWasRefusedIfTheOtherSideSentIt) {
  struct Case {
    const char* name;
    std::uint64_t answers;
    Outcome want;
  };
  for (const Case& c :
       {Case{"RST from the other side", 1, Outcome::kRefused}, Case{"RST from the opener", 0, Outcome::kUnanswered}}) {
    SCOPED_TRACE(c.name);
    make({});
    add(entry(Kind::kNew));
    // As recorded from a kernel: no SEEN_REPLY.
    ConntrackEvent gone = counted(entry(Kind::kDestroy), 1, 60, c.answers, c.answers * 40);
    gone.tcp_state = kCtClose;
    add(gone);
    const auto updates = take();
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_TRUE(updates[0].first && updates[0].closed && updates[0].last);
    EXPECT_EQ(updates[0].outcome, c.want);
  }
}

}  // namespace
}  // namespace weir::meter
