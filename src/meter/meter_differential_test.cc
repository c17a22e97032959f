#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "meter/meter_fixture.h"
#include "meter/meter_oracle.h"
#include "meter/random_traffic.h"

namespace weir::meter {
namespace {

using packet::DecodedPacket;

void expect_same(const MeterOracle::Conn& want, const Connection& got) {
  EXPECT_EQ(got.newest.tuple, want.tuple);
  EXPECT_EQ(got.newest.observed_at, want.observed_at);
  EXPECT_EQ(got.newest.start_ns, want.start);
  EXPECT_EQ(got.newest.newest_ns, want.newest);
  EXPECT_EQ(got.total.packets_forward, want.packets[0]);
  EXPECT_EQ(got.total.packets_reverse, want.packets[1]);
  EXPECT_EQ(got.total.bytes_forward, want.bytes[0]);
  EXPECT_EQ(got.total.bytes_reverse, want.bytes[1]);
  EXPECT_EQ(got.retransmissions, want.retransmissions);
  EXPECT_EQ(got.resets, want.resets);
  EXPECT_EQ(got.newest.outcome, want.outcome);
  EXPECT_EQ(got.closes, want.closed ? 1u : 0u);
  EXPECT_EQ(got.firsts, 1u);
  EXPECT_TRUE(got.ended);
}

void run(unsigned seed, unsigned hosts, std::int64_t step_ns, std::size_t packets) {
  MeterOptions options;
  options.timeouts = short_timeouts();
  MeteredConnections metered(options);
  MeterOracle oracle(options.timeouts);
  Traffic traffic(seed, hosts, step_ns);
  PacketNotes notes;
  std::map<std::uint64_t, std::size_t> pairs;  // connection of the oracle → of the meter
  std::int64_t newest = 0;
  for (std::size_t sent = 0; sent < packets;) {
    std::vector<DecodedPacket> batch;
    for (std::uint32_t n = 1 + traffic.below(100); n > 0; --n) batch.push_back(traffic.next());
    sent += batch.size();
    metered.meter().process(batch, &notes);
    std::vector<std::pair<std::uint64_t, model::ConnectionSlot>> seen;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      newest = std::max(newest, batch[i].time_ns);
      seen.emplace_back(oracle.count(batch[i]), notes.places[i].slot);
    }
    // Report all, to know the connections by number; those that ended in the batch have been taken before.
    std::map<model::ConnectionSlot, std::size_t> ended;
    for (const auto& u : metered.meter().updates()) ended[u.slot] = 0;
    metered.take_updates();
    metered.flush();
    for (const auto& [id, slot] : seen) {
      if (ended.count(slot) != 0) continue;
      const auto [at, is_new] = pairs.emplace(id, metered.in_slot(slot));
      ASSERT_EQ(at->second, metered.in_slot(slot)) << "seed " << seed;
    }
    if (traffic.below(10) == 0) {
      metered.meter().advance(newest);
      metered.take_updates();
      ASSERT_EQ(metered.meter().stats().open, oracle.open_from_tick(TimerWheel::tick_of(newest))) << "seed " << seed;
    }
  }
  metered.advance(newest - kEpoch + 1000 * kSecond);
  oracle.advance(newest + 1000 * kSecond);
  metered.flush();
  EXPECT_EQ(metered.meter().stats().open, 0u);
  ASSERT_EQ(metered.connections().size(), oracle.ended().size());
  for (const auto& [id, index] : pairs) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " connection " + std::to_string(id));
    expect_same(oracle.ended().at(id), metered.connections()[index]);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(MeterDifferential, AgreesWithThePlainModelOnFewBusyConnections) {
  for (unsigned seed = 0; seed < 10; ++seed) run(seed, 4, 200 * kMillisecond, 4'000);
}

TEST(MeterDifferential, AgreesOnManyConnections) {
  for (unsigned seed = 100; seed < 103; ++seed) run(seed, 120, 2 * kMillisecond, 12'000);
}

TEST(MeterDifferential, AgreesWhenMostTimeOut) {
  for (unsigned seed = 200; seed < 206; ++seed) run(seed, 12, 2 * kSecond, 4'000);
}

TEST(MeterProperty, UpdatesAddUpToThePacketsAndNoConnectionIsLost) {
  for (const std::uint32_t limit : {7u, 100u, 100'000u}) {
    MeterOptions options;
    options.timeouts = short_timeouts();
    options.max_connections = limit;
    options.active_timeout = std::chrono::seconds(3);
    MeteredConnections metered(options);
    Traffic traffic(limit, 60, 20 * kMillisecond);
    std::uint64_t packets = 0, bytes = 0;
    for (int i = 0; i < 500; ++i) {
      std::vector<DecodedPacket> batch(traffic.below(90));
      for (auto& p : batch) {
        p = traffic.next();
        ++packets;
        bytes += p.ip_bytes;
      }
      metered.process(batch);
      if (traffic.below(20) == 0) metered.flush();
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
    const MeterStats& stats = metered.meter().stats();
    EXPECT_EQ(stats.started, metered.connections().size());
    EXPECT_EQ(stats.open, open);
    EXPECT_EQ(stats.started, stats.ended + stats.open);
    EXPECT_EQ(stats.ended, stats.timed_out + stats.replaced + stats.evicted);
  }
}

TEST(MeterProperty, TheSeedOfTheHashChangesNothingThatIsSeen) {
  std::vector<std::vector<Connection>> results;
  for (const std::uint64_t seed : {0ull, 0x123456789ABCDEFull}) {
    MeterOptions options;
    options.hash_seed = seed;
    MeteredConnections metered(options);
    Traffic traffic(1, 100, kMillisecond);
    std::vector<DecodedPacket> batch;
    for (int i = 0; i < 5000; ++i) batch.push_back(traffic.next());
    metered.process(batch);
    metered.flush();
    results.push_back(metered.connections());
  }
  ASSERT_EQ(results[0].size(), results[1].size());
  for (std::size_t i = 0; i < results[0].size(); ++i) EXPECT_EQ(results[0][i].newest.tuple, results[1][i].newest.tuple);
}

}  // namespace
}  // namespace weir::meter
