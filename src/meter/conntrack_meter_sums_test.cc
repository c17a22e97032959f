// Random lives of many connections, in the order that the kernel has: the updates of each add up to what it counted,
// with one `first`, one `last`, and nothing after it.

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "meter/conntrack_meter.h"

namespace weir::meter {
namespace {

using model::ConnectionUpdate;
using model::ConntrackEvent;
using Kind = ConntrackEvent::Kind;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 1'700'000'000 * kSecond;

/// What the updates said in all.
struct Told {
  std::uint64_t packets = 0, bytes = 0, firsts = 0, lasts = 0;
  std::set<model::ConnectionSlot> open;

  void add(const ConnectionUpdate& u) {
    packets += u.delta.packets_forward + u.delta.packets_reverse;
    bytes += u.delta.bytes_forward + u.delta.bytes_reverse;
    EXPECT_NE(open.contains(u.slot), u.first);
    firsts += u.first ? 1 : 0;
    lasts += u.last ? 1 : 0;
    open.insert(u.slot);
    if (u.last) open.erase(u.slot);
  }
};

class Lives {
 public:
  static constexpr std::uint32_t kLives = 200;

  void step() {
    now_ += kSecond / 100;
    const std::uint32_t n = below(kLives);
    ConntrackEvent& e = events_[n];
    if (!open_[n]) {
      e = made(n);
      // One in eight is lost.
      if (below(8) != 0) add(e);
      e.has_counters = true;
      open_[n] = true;
    } else if (below(4) == 0) {
      end(n);
    } else {
      const std::uint32_t packets = below(20);
      e.packets_original += packets;
      e.bytes_original += packets * 100u;
      sent_packets += packets;
      sent_bytes += packets * 100u;
    }
    if (below(400) == 0) dump();
    if (below(100) == 0) flush();
  }
  void end_all() {
    for (std::uint32_t n = 0; n < kLives; ++n) {
      if (open_[n]) end(n);
    }
    flush();
  }

  std::unique_ptr<ConntrackMeter> meter = ConntrackMeter::create({.max_connections = 150}).value();
  Told told;
  std::uint64_t sent_packets = 0, sent_bytes = 0;

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  ConntrackEvent made(std::uint32_t n) {
    ConntrackEvent e;
    e.kind = Kind::kNew;
    const auto port = static_cast<std::uint16_t>(n);
    e.original = {IpAddress::v4(0x0A000001), IpAddress::v4(0x0A000002), port, 80, model::kProtoTcp};
    e.reply = {e.original.dest, e.original.source, 80, port, model::kProtoTcp};
    // One in three goes to a service.
    if (n % 3 == 0) e.original.dest = IpAddress::v4(0x0A60000A);
    e.id = next_id_++;
    e.time_ns = now_;
    return e;
  }
  void end(std::uint32_t n) {
    events_[n].kind = Kind::kDestroy;
    events_[n].time_ns = now_;
    add(events_[n]);
    open_[n] = false;
  }
  void dump() {
    meter->begin_dump();
    for (std::uint32_t n = 0; n < kLives; ++n) {
      if (!open_[n]) continue;
      events_[n].kind = Kind::kUpdate;
      events_[n].time_ns = now_;
      add(events_[n]);
    }
    meter->end_dump();
    take();
  }
  void add(const ConntrackEvent& event) {
    meter->add({&event, 1});
    take();
  }
  void take() {
    for (const ConnectionUpdate& u : meter->updates()) told.add(u);
    meter->clear_updates();
  }
  void flush() {
    for (auto span = meter->flush(); !span.empty(); span = meter->flush()) {
      for (const ConnectionUpdate& u : span) told.add(u);
    }
  }

  std::mt19937 random_{1};
  std::int64_t now_ = kStart;
  std::uint32_t next_id_ = 1;
  std::vector<ConntrackEvent> events_ = std::vector<ConntrackEvent>(kLives);
  std::vector<bool> open_ = std::vector<bool>(kLives);
};

TEST(ConntrackMeterSums, TheSumsOfAllUpdatesAreTheTrafficWhateverTheOrder) {
  Lives lives;
  for (int i = 0; i < 30'000; ++i) lives.step();
  lives.end_all();
  const ConntrackMeterStats& stats = lives.meter->stats();
  EXPECT_EQ(lives.told.packets, lives.sent_packets);
  EXPECT_EQ(lives.told.bytes, lives.sent_bytes);
  EXPECT_EQ(lives.told.firsts, stats.started);
  EXPECT_EQ(lives.told.lasts, stats.started);
  EXPECT_TRUE(lives.told.open.empty());
  EXPECT_EQ(stats.open, 0u);
  EXPECT_EQ(stats.missing + stats.replaced, 0u);
  EXPECT_GT(stats.no_room, 0u);
  EXPECT_GT(stats.at_end_only, 0u);
}

}  // namespace
}  // namespace weir::meter
