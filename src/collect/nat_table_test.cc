#include "collect/nat_table.h"

#include <gtest/gtest.h>

namespace weir::collect {
namespace {

using model::ConntrackEvent;
using model::Tuple;
using Kind = ConntrackEvent::Kind;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'700'000'000 * kSecond;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

/// 10.0.0.1:port to the service 10.96.0.10:443, answered by 10.0.0.2:8443.
ConntrackEvent to_service(Kind kind, std::uint16_t port = 40000, std::uint32_t id = 7) {
  ConntrackEvent e;
  e.kind = kind;
  e.original = {ip("10.0.0.1"), ip("10.96.0.10"), port, 443, 6};
  e.reply = {ip("10.0.0.2"), ip("10.0.0.1"), 8443, port, 6};
  e.id = id;
  e.time_ns = kStart;
  return e;
}

Tuple flow(std::uint16_t port = 40000) { return {ip("10.0.0.1"), ip("10.0.0.2"), port, 8443, 6}; }

TEST(NatTable, KnowsBothSidesOfADnat) {
  NatTable table;
  const ConntrackEvent e = to_service(Kind::kNew);
  table.learn(e);
  const Translation* there = table.translated(e.original);
  ASSERT_NE(there, nullptr);
  EXPECT_EQ(there->flow, flow());
  const Translation* back = table.original(flow());
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->original, e.original);
  EXPECT_EQ(table.translated(flow()), nullptr);
  EXPECT_EQ(table.original(e.original), nullptr);
}

TEST(NatTable, KnowsWhatTheOtherEndReceivesAfterSnat) {
  NatTable table;
  ConntrackEvent e = to_service(Kind::kNew);
  e.reply.dest = ip("192.0.2.1");
  e.reply.dest_port = 61000;
  table.learn(e);
  const Tuple received{ip("192.0.2.1"), ip("10.0.0.2"), 61000, 8443, 6};
  for (const Tuple& after : {received, flow()}) {
    const Translation* back = table.original(after);
    ASSERT_NE(back, nullptr);
    EXPECT_EQ(back->original, e.original);
    EXPECT_EQ(back->received, received);
    EXPECT_EQ(back->flow, flow());
  }
}

TEST(NatTable, LearnsSnatAlone) {
  NatTable table;
  ConntrackEvent e = to_service(Kind::kNew);
  e.original.dest = e.reply.source;
  e.original.dest_port = e.reply.source_port;
  e.reply.dest = ip("192.0.2.1");
  table.learn(e);
  const Translation* back = table.original({ip("192.0.2.1"), ip("10.0.0.2"), 40000, 8443, 6});
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->flow, e.original);
}

TEST(NatTable, PassesOverWhatIsNotTranslated) {
  NatTable table;
  ConntrackEvent e = to_service(Kind::kNew);
  e.original.dest = e.reply.source;
  e.original.dest_port = e.reply.source_port;
  table.learn(e);
  // A ping's ports are the request's in both tuples.
  ConntrackEvent ping;
  ping.original = {ip("10.0.0.1"), ip("10.0.0.2"), 5, 8 << 8, model::kProtoIcmp};
  ping.reply = {ip("10.0.0.2"), ip("10.0.0.1"), 5, 8 << 8, model::kProtoIcmp};
  ping.time_ns = kStart;
  table.learn(ping);
  EXPECT_EQ(table.size(), 0u);
}

TEST(NatTable, ForgetsTenSecondsAfterTheEntryIsGone) {
  NatTable table;
  table.learn(to_service(Kind::kNew));
  table.learn(to_service(Kind::kDestroy));
  table.advance(kStart + 9 * kSecond);
  EXPECT_NE(table.original(flow()), nullptr);
  table.advance(kStart + 10 * kSecond);
  EXPECT_EQ(table.original(flow()), nullptr);
  EXPECT_EQ(table.translated(to_service(Kind::kNew).original), nullptr);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.stats().forgotten, 1u);
}

TEST(NatTable, PortsThatAreUsedAgainHaveTheNewestTranslation) {
  NatTable table;
  table.learn(to_service(Kind::kNew));
  table.learn(to_service(Kind::kDestroy));
  // Within the grace: another backend, and later the same one again under another entry.
  ConntrackEvent other = to_service(Kind::kNew, 40000, 8);
  other.reply.source = ip("10.0.0.3");
  other.time_ns += kSecond;
  table.learn(other);
  EXPECT_EQ(table.translated(other.original)->flow.dest.to_string(), "10.0.0.3");
  EXPECT_EQ(table.original(flow()), nullptr);
  // The DESTROY of the first, late: it is not this one's.
  table.learn(to_service(Kind::kDestroy));
  table.advance(kStart + 60 * kSecond);
  EXPECT_NE(table.translated(other.original), nullptr);
  other.kind = Kind::kDestroy;
  other.time_ns = kStart + 61 * kSecond;
  table.learn(other);
  other.kind = Kind::kNew;
  other.id = 9;
  other.time_ns = kStart + 65 * kSecond;
  table.learn(other);
  table.advance(kStart + 80 * kSecond);
  EXPECT_NE(table.translated(other.original), nullptr);
}

TEST(NatTable, ForgetsWhatNothingTellsOfAnyMore) {
  NatTable table({.max_age = std::chrono::minutes(1)});
  table.learn(to_service(Kind::kNew, 40000));
  table.learn(to_service(Kind::kNew, 40001));
  for (int i = 1; i <= 6; ++i) {
    ConntrackEvent dumped = to_service(Kind::kUpdate, 40001);
    dumped.time_ns = kStart + i * 20 * kSecond;
    table.learn(dumped);
  }
  EXPECT_EQ(table.size(), 1u);
  EXPECT_NE(table.original(flow(40001)), nullptr);
  EXPECT_EQ(table.stats().aged, 1u);
}

TEST(NatTable, HoldsNoMoreThanItsBound) {
  NatTable table({.max_entries = 10});
  for (std::uint16_t i = 0; i < 15; ++i) table.learn(to_service(Kind::kNew, static_cast<std::uint16_t>(40000 + i)));
  EXPECT_EQ(table.size(), 10u);
  EXPECT_EQ(table.stats().no_room, 5u);
}

TEST(NatTable, ManyLivesLeaveNothingBehind) {
  NatTable table;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const auto port = static_cast<std::uint16_t>(1024 + i % 5000);
    ConntrackEvent e = to_service(Kind::kNew, port, i + 1);
    e.time_ns = kStart + i * (kSecond / 1000);
    table.learn(e);
    e.kind = Kind::kDestroy;
    table.learn(e);
  }
  table.advance(kStart + 60 * kSecond);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace weir::collect
