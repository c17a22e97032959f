// From the real connection tracker and policy log through the meter, in network namespaces of the test's own: what the
// updates say is what the traffic was.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "capture/conntrack_reader.h"
#include "capture/nflog_reader.h"
#include "collect/hit_table.h"
#include "collect/nat_table.h"
#include "meter/conntrack_meter.h"
#include "tests/support/own_network.h"
#include "tests/support/sockets.h"

namespace weir {
namespace {

using model::ConnectionUpdate;
using model::Outcome;
using testing::address;
using testing::bound_socket;
using testing::connect_tcp;
using testing::Fd;
using testing::name_of;
using testing::send_udp;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// The agent's way from the kernel to updates.
class Pipeline {
 public:
  explicit Pipeline(capture::ConntrackReader::Options options = {}, std::int64_t resume_before_ns = 0) {
    options.switch_on = true;
    reader_ = capture::ConntrackReader::create(options).value();
    log_ = capture::NflogReader::create({}, nullptr).value();
    meter::ConntrackMeterOptions meter_options;
    meter_options.resume_before_ns = resume_before_ns;
    meter_ = meter::ConntrackMeter::create(meter_options).value();
  }

  /// Reads all that is there, a dump that is pending included.
  void read() {
    bool more = true;
    while (more || reader_->dump_pending()) {
      auto read = reader_->poll(now_ns());
      ASSERT_TRUE(read.ok()) << read.error().message;
      more = read.value().more;
      if (read.value().dump_begins) meter_->begin_dump();
      meter_->add(read.value().events);
      for (const auto& event : read.value().events) nat.learn(event);
      take();
      if (read.value().dump_ends) meter_->end_dump();
      take();
    }
    for (more = true; more;) {
      auto read = log_->poll(now_ns());
      ASSERT_TRUE(read.ok()) << read.error().message;
      more = read.value().more;
      for (const model::PolicyHit& hit : read.value().hits) {
        hits.push_back(hit);
        meter_->add(hit);
      }
      take();
    }
  }
  void read_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done() && std::chrono::steady_clock::now() < end) {
      pollfd wait[2] = {{reader_->fd(), POLLIN, 0}, {log_->fd(), POLLIN, 0}};
      ::poll(wait, 2, 50);
      read();
    }
    EXPECT_TRUE(done()) << "nothing more came";
  }
  /// What a window's end does: counters are fetched, then told.
  void end_window() {
    ASSERT_TRUE(reader_->request_dump().ok());
    read();
    for (auto span = meter_->flush(); !span.empty(); span = meter_->flush()) {
      updates.insert(updates.end(), span.begin(), span.end());
    }
  }

  const capture::ConntrackStats& reader_stats() const { return reader_->stats(); }
  const meter::ConntrackMeterStats& meter_stats() const { return meter_->stats(); }

  std::vector<ConnectionUpdate> of(std::uint8_t protocol, std::uint16_t dest_port) const {
    std::vector<ConnectionUpdate> out;
    std::copy_if(updates.begin(), updates.end(), std::back_inserter(out), [&](const ConnectionUpdate& u) {
      return u.tuple.protocol == protocol && u.tuple.dest_port == dest_port;
    });
    return out;
  }

  std::vector<ConnectionUpdate> updates;
  std::vector<model::PolicyHit> hits;
  collect::NatTable nat;

 private:
  void take() {
    updates.insert(updates.end(), meter_->updates().begin(), meter_->updates().end());
    meter_->clear_updates();
  }

  std::unique_ptr<capture::ConntrackReader> reader_;
  std::unique_ptr<capture::NflogReader> log_;
  std::unique_ptr<meter::ConntrackMeter> meter_;
};

class ConntrackPipeline : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = testing::enter_own_network();
    if (!why_not.empty()) WEIR_SKIP_OR_FAIL(why_not);
    testing::load_rules(R"(
      table inet t {
        chain out {
          type filter hook output priority filter
          ct state new counter
          udp dport 7001 log prefix "PPE0|gnp/first" group 2
          udp dport 7001 log prefix "DPE1|knp/shop/web" group 2 drop
        }
      })");
  }
};

TEST_F(ConntrackPipeline, AServicesConnectionIsToldWithItsBackendCountersAndOutcome) {
  const Fd server = bound_socket(SOCK_STREAM, "127.0.0.2");
  const std::uint16_t port = name_of(server).port();
  testing::load_rules(
      "table inet n {\n chain out {\n type nat hook output priority -100\n"
      "ip daddr 10.96.0.10 tcp dport 80 dnat ip to 127.0.0.2:" +
      std::to_string(port) + "\n}\n}\n");
  testing::run("ip addr add 10.96.0.10/32 dev lo");
  Pipeline pipeline;
  pipeline.read();
  {
    const Fd client = connect_tcp(address("10.96.0.10", 80));
    const Fd served(accept(server.get(), nullptr, nullptr));
    pipeline.end_window();
    auto updates = pipeline.of(IPPROTO_TCP, port);
    ASSERT_EQ(updates.size(), 1u);
    EXPECT_TRUE(updates[0].first);
    EXPECT_FALSE(updates[0].closed);
    EXPECT_EQ(updates[0].outcome, Outcome::kEstablished);
    EXPECT_EQ(updates[0].tuple.dest.to_string(), "127.0.0.2");
    EXPECT_EQ(updates[0].original_dest.to_string(), "10.96.0.10");
    EXPECT_EQ(updates[0].original_dest_port, 80);
    // SYN, ACK, and SYN-ACK, with the timestamp option.
    EXPECT_EQ(updates[0].delta.packets_forward, 2u);
    EXPECT_EQ(updates[0].delta.bytes_forward, 60u + 52);
    EXPECT_EQ(updates[0].delta.packets_reverse, 1u);
    EXPECT_EQ(updates[0].delta.bytes_reverse, 60u);
    const auto* known = pipeline.nat.original(updates[0].tuple);
    ASSERT_NE(known, nullptr);
    EXPECT_EQ(known->original.dest.to_string(), "10.96.0.10");
    EXPECT_EQ(pipeline.nat.translated(known->original)->flow, updates[0].tuple);
    char byte = 'x';
    ASSERT_EQ(send(client.get(), &byte, 1, 0), 1);
    ASSERT_EQ(recv(served.get(), &byte, 1, 0), 1);
  }
  pipeline.updates.clear();
  pipeline.end_window();
  const auto updates = pipeline.of(IPPROTO_TCP, port);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_FALSE(updates[0].first);
  EXPECT_TRUE(updates[0].closed);
  EXPECT_FALSE(updates[0].last);
  // Data, FIN, and acknowledgements.
  EXPECT_GE(updates[0].delta.bytes_forward, 53u + 52);
  testing::run("conntrack -F");
  pipeline.read_until([&] { return !pipeline.updates.empty() && pipeline.updates.back().last; });
}

TEST_F(ConntrackPipeline, ARefusedConnectionIsToldAsSuch) {
  std::uint16_t port = 0;
  {
    const Fd nobody(socket(AF_INET, SOCK_STREAM, 0));
    const auto any = address("127.0.0.1", 0);
    ASSERT_EQ(bind(nobody.get(), any.get(), any.size), 0);
    port = name_of(nobody).port();
  }
  Pipeline pipeline;
  pipeline.read();
  const Fd client(socket(AF_INET, SOCK_STREAM, 0));
  const auto to = address("127.0.0.1", port);
  EXPECT_EQ(connect(client.get(), to.get(), to.size), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  pipeline.read_until([&] { return !pipeline.of(IPPROTO_TCP, port).empty(); });
  const auto updates = pipeline.of(IPPROTO_TCP, port);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].first && updates[0].closed && updates[0].last);
  EXPECT_EQ(updates[0].outcome, Outcome::kRefused);
  EXPECT_EQ(updates[0].delta.packets_forward, 1u);
  EXPECT_EQ(updates[0].delta.packets_reverse, 1u);
}

TEST_F(ConntrackPipeline, DeniedPacketsAreAConnectionWithItsTrace) {
  Pipeline pipeline;
  pipeline.read();
  const Fd client(socket(AF_INET, SOCK_DGRAM, 0));
  const auto to = address("127.0.0.1", 7001);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sendto(client.get(), "0123456789", 10, 0, to.get(), to.size), -1);
  pipeline.read_until([&] { return pipeline.meter_stats().denied == 1; });
  pipeline.end_window();
  const auto updates = pipeline.of(IPPROTO_UDP, 7001);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].first);
  EXPECT_EQ(updates[0].delta.packets_forward, 3u);
  EXPECT_EQ(updates[0].delta.bytes_forward, 3u * 38);
  collect::HitTable hits;
  for (const auto& hit : pipeline.hits) hits.add(hit);
  const collect::HitTable::Path path = hits.take(updates[0].tuple, pipeline.hits.front().egress);
  ASSERT_EQ(path.size(), 2u);
  EXPECT_EQ(path[0].id, "gnp/first");
  EXPECT_EQ(path[1].id, "knp/shop/web");
  EXPECT_EQ(path[1].action, model::Action::kDeny);
}

TEST_F(ConntrackPipeline, AfterAnOverrunTheTotalsAreWhole) {
  capture::ConntrackReader::Options options;
  options.receive_buffer_bytes = 4096;
  Pipeline pipeline(options);
  pipeline.read();
  constexpr std::uint32_t kFlows = 3'000;
  const Fd server = bound_socket(SOCK_DGRAM, "127.0.0.1"), client = bound_socket(SOCK_DGRAM, "127.0.0.1");
  const std::uint16_t port = name_of(server).port();
  const auto send_all = [&](std::size_t bytes) {
    for (std::uint32_t i = 0; i < kFlows; ++i) {
      const std::string ip = "127.1." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250);
      send_udp(client, address(ip.c_str(), port), bytes);
    }
  };
  const auto total = [&](auto&& of) {
    std::uint64_t sum = 0;
    for (const auto& u : pipeline.of(IPPROTO_UDP, port)) sum += of(u);
    return sum;
  };
  const auto packets = [&] { return total([](const auto& u) { return u.delta.packets_forward; }); };
  const auto bytes = [&] { return total([](const auto& u) { return u.delta.bytes_forward; }); };
  const auto firsts = [&] { return total([](const auto& u) { return std::uint64_t{u.first}; }); };
  const auto lasts = [&] { return total([](const auto& u) { return std::uint64_t{u.last}; }); };
  send_all(10);
  pipeline.read();
  EXPECT_GE(pipeline.reader_stats().overruns, 1u);
  pipeline.end_window();
  EXPECT_EQ(firsts(), kFlows);
  EXPECT_EQ(packets(), kFlows);
  EXPECT_EQ(bytes(), std::uint64_t{kFlows} * 38);
  send_all(20);
  pipeline.end_window();
  EXPECT_EQ(bytes(), std::uint64_t{kFlows} * (38 + 48));
  // Their ends are lost too, and made up for by the next dump.
  const std::uint64_t overruns = pipeline.reader_stats().overruns;
  testing::run("conntrack -F");
  pipeline.read();
  EXPECT_GT(pipeline.reader_stats().overruns, overruns);
  EXPECT_GT(pipeline.meter_stats().missing, 0u);
  EXPECT_EQ(lasts(), kFlows);
  EXPECT_EQ(firsts(), kFlows);
  EXPECT_EQ(packets(), 2u * kFlows);
  EXPECT_EQ(bytes(), std::uint64_t{kFlows} * (38 + 48));
  EXPECT_EQ(pipeline.meter_stats().open, 0u);
}

TEST_F(ConntrackPipeline, ARunAfterAnotherCountsNothingTwice) {
  const Fd server = bound_socket(SOCK_DGRAM, "127.0.0.1"), client = bound_socket(SOCK_DGRAM, "127.0.0.1");
  const std::uint16_t port = name_of(server).port();
  std::int64_t stopped_ns = 0;
  {
    Pipeline first;
    first.read();
    send_udp(client, name_of(server), 100);
    first.end_window();
    ASSERT_EQ(first.of(IPPROTO_UDP, port).size(), 1u);
    EXPECT_EQ(first.of(IPPROTO_UDP, port)[0].delta.packets_forward, 1u);
    stopped_ns = now_ns();
  }
  Pipeline second({}, stopped_ns);
  second.read();
  send_udp(client, name_of(server), 200);
  send_udp(client, name_of(server), 200);
  second.end_window();
  const auto updates = second.of(IPPROTO_UDP, port);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_TRUE(updates[0].first && updates[0].resumed);
  EXPECT_EQ(updates[0].delta.packets_forward, 2u);
  EXPECT_EQ(updates[0].delta.bytes_forward, 2u * 228);
  EXPECT_LT(updates[0].start_ns, stopped_ns);
}

/// Many short connections while dumps run all the time: each begins and ends once, and no packet is missed or told
/// twice, whatever the two sockets' order.
TEST_F(ConntrackPipeline, ShortConnectionsAmongDumpsAreToldOnce) {
  Pipeline pipeline;
  pipeline.read();
  const Fd server = bound_socket(SOCK_STREAM, "127.0.0.1");
  const std::uint16_t port = name_of(server).port();
  constexpr int kRounds = 60, kEach = 40;
  std::atomic<bool> done = false;
  std::thread traffic([&] {
    for (int round = 0; round < kRounds; ++round) {
      for (int i = 0; i < kEach; ++i) {
        const Fd client = connect_tcp(name_of(server));
        const Fd served(accept(server.get(), nullptr, nullptr));
      }
      if (round % 3 == 0) testing::run("conntrack -D -p tcp --state TIME_WAIT");
    }
    done = true;
  });
  while (!done) pipeline.end_window();
  traffic.join();
  testing::run("conntrack -F");
  pipeline.end_window();
  std::uint64_t firsts = 0, lasts = 0, closes = 0, forward = 0;
  for (const auto& u : pipeline.of(IPPROTO_TCP, port)) {
    firsts += u.first ? 1 : 0;
    lasts += u.last ? 1 : 0;
    closes += u.closed ? 1 : 0;
    forward += u.delta.packets_forward;
  }
  EXPECT_EQ(firsts, kRounds * kEach);
  EXPECT_EQ(lasts, kRounds * kEach);
  EXPECT_EQ(closes, kRounds * kEach);
  // SYN, ACK, FIN, and the last ACK, at least one of them.
  EXPECT_GE(forward, 4u * kRounds * kEach - kRounds * kEach);
  EXPECT_EQ(pipeline.meter_stats().missing, 0u);
  EXPECT_EQ(pipeline.meter_stats().at_end_only, 0u);
}

}  // namespace
}  // namespace weir
