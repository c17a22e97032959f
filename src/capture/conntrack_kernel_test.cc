// The real connection tracker, in a network namespace of each test's own: loopback traffic, nftables for NAT and drops.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "capture/conntrack_reader.h"
#include "capture/nflog_reader.h"
#include "tests/support/own_network.h"
#include "tests/support/sockets.h"

namespace weir::capture {
namespace {

using model::ConntrackEvent;
using Kind = ConntrackEvent::Kind;
using testing::Address;
using testing::address;
using testing::bound_socket;
using testing::connect_tcp;
using testing::Fd;
using testing::name_of;
using testing::send_udp;

constexpr std::uint32_t kSeenReply = 1 << 1, kDestinationNat = 1 << 5;
constexpr std::int64_t kNow = 1'700'000'000'000'000'000;

/// All that a reader said.
struct Seen {
  std::vector<ConntrackEvent> events;
  int dumps_begun = 0, dumps_ended = 0;

  std::vector<ConntrackEvent> of(Kind kind, std::uint8_t protocol) const {
    std::vector<ConntrackEvent> out;
    std::copy_if(events.begin(), events.end(), std::back_inserter(out),
                 [&](const ConntrackEvent& e) { return e.kind == kind && e.original.protocol == protocol; });
    return out;
  }
};

/// Waits on the descriptor and reads until `done`, at most some seconds.
template <typename Reader, typename Take>
void drain(Reader& reader, const Take& take, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done() && std::chrono::steady_clock::now() < end) {
    pollfd wait{reader.fd(), POLLIN, 0};
    ::poll(&wait, 1, 50);
    bool more = true;
    while (more) {
      auto read = reader.poll(kNow);
      ASSERT_TRUE(read.ok()) << read.error().message;
      more = read.value().more;
      take(read.value());
    }
  }
  EXPECT_TRUE(done()) << "nothing more came";
}

void read_until(ConntrackReader& reader, Seen& seen, const std::function<bool()>& done) {
  drain(
      reader,
      [&](const ConntrackRead& read) {
        seen.dumps_begun += read.dump_begins ? 1 : 0;
        seen.events.insert(seen.events.end(), read.events.begin(), read.events.end());
        seen.dumps_ended += read.dump_ends ? 1 : 0;
      },
      done);
}

class ConntrackKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = testing::enter_own_network();
    if (!why_not.empty()) WEIR_SKIP_OR_FAIL(why_not);
    // Nothing is tracked before some rule asks for it.
    testing::load_rules(R"(
      table inet t {
        chain track { type filter hook output priority filter; ct state new counter; }
      })");
  }

  static std::unique_ptr<ConntrackReader> make_reader(ConntrackReader::Options options = {}) {
    options.switch_on = true;
    auto made = ConntrackReader::create(options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return made.ok() ? std::move(made).value() : nullptr;
  }
};

TEST_F(ConntrackKernel, TellsWhatTheKernelIsNotSetTo) {
  auto made = ConntrackReader::create({});
  ASSERT_TRUE(made.ok()) << made.error().message;
  const ConntrackSettings& off = made.value()->settings();
  EXPECT_FALSE(off.accounting);
  EXPECT_FALSE(off.timestamps);
  ASSERT_EQ(off.problems.size(), 2u);
  EXPECT_NE(off.problems[0].find("nf_conntrack_acct=1"), std::string::npos);
  made.value().reset();
  const auto reader = make_reader();
  ASSERT_NE(reader, nullptr);
  EXPECT_TRUE(reader->settings().accounting);
  EXPECT_TRUE(reader->settings().timestamps);
  EXPECT_TRUE(reader->settings().problems.empty());
  EXPECT_GE(reader->receive_buffer_bytes(), 8u << 20);
}

TEST_F(ConntrackKernel, NewAndDestroyAreSeenWithTheTrafficsCounters) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    SCOPED_TRACE(ip);
    const auto reader = make_reader();
    ASSERT_NE(reader, nullptr);
    const std::uint64_t headers = ip[0] == ':' ? 48 : 28;
    const Fd server = bound_socket(SOCK_DGRAM, ip), client = bound_socket(SOCK_DGRAM, ip);
    for (const std::size_t bytes : {100, 200, 300}) send_udp(client, name_of(server), bytes);
    send_udp(server, name_of(client), 50);
    Seen seen;
    read_until(*reader, seen, [&] { return !seen.of(Kind::kNew, IPPROTO_UDP).empty() && seen.dumps_ended > 0; });
    testing::run("conntrack -D -p udp");
    read_until(*reader, seen, [&] { return !seen.of(Kind::kDestroy, IPPROTO_UDP).empty(); });
    const auto made = seen.of(Kind::kNew, IPPROTO_UDP), gone = seen.of(Kind::kDestroy, IPPROTO_UDP);
    ASSERT_EQ(made.size(), 1u);
    ASSERT_EQ(gone.size(), 1u);
    const ConntrackEvent& e = gone[0];
    EXPECT_EQ(made[0].id, e.id);
    EXPECT_NE(e.id, 0u);
    EXPECT_EQ(made[0].original, e.original);
    EXPECT_EQ(e.original.source.to_string(), ip);
    EXPECT_EQ(e.original.source_port, name_of(client).port());
    EXPECT_EQ(e.original.dest_port, name_of(server).port());
    EXPECT_EQ(e.reply.source_port, name_of(server).port());
    EXPECT_TRUE(e.has_counters);
    EXPECT_EQ(e.packets_original, 3u);
    EXPECT_EQ(e.bytes_original, 600 + 3 * headers);
    EXPECT_EQ(e.packets_reply, 1u);
    EXPECT_EQ(e.bytes_reply, 50 + headers);
    EXPECT_NE(e.status & kSeenReply, 0u);
    EXPECT_GT(e.start_ns, kNow);
    EXPECT_GE(e.stop_ns, e.start_ns);
    EXPECT_EQ(e.time_ns, kNow);
    EXPECT_EQ(reader->stats().unreadable, 0u);
  }
}

TEST_F(ConntrackKernel, ADumpTellsStateAndCountersOfOpenConnections) {
  const auto reader = make_reader();
  ASSERT_NE(reader, nullptr);
  const Fd server = bound_socket(SOCK_STREAM, "127.0.0.1");
  const Fd client = connect_tcp(name_of(server));
  const Fd served(accept(server.get(), nullptr, nullptr));
  Seen seen;
  read_until(*reader, seen, [&] { return seen.dumps_ended == 1; });
  ASSERT_EQ(send(client.get(), "12345", 5, 0), 5);
  char buffer[8];
  ASSERT_EQ(recv(served.get(), buffer, sizeof buffer, 0), 5);
  ASSERT_TRUE(reader->request_dump().ok());
  EXPECT_TRUE(reader->dump_pending());
  seen = {};
  read_until(*reader, seen, [&] { return seen.dumps_ended == 1; });
  EXPECT_FALSE(reader->dump_pending());
  const auto open = seen.of(Kind::kUpdate, IPPROTO_TCP);
  ASSERT_EQ(open.size(), 1u);
  constexpr std::uint8_t kEstablished = 3;
  EXPECT_EQ(open[0].tcp_state, kEstablished);
  EXPECT_GE(open[0].packets_original, 3u);
  // The timestamp option makes a TCP header of 32 bytes: SYN 60, ACK 52, data 57.
  EXPECT_GE(open[0].bytes_original, 60u + 52 + 57);
  EXPECT_GT(open[0].start_ns, kNow);
}

TEST_F(ConntrackKernel, DnatIsTheDifferenceOfTheTuples) {
  const Fd server = bound_socket(SOCK_STREAM, "127.0.0.2");
  testing::load_rules(
      "table inet n {\n chain out {\n type nat hook output priority -100\n"
      "ip daddr 10.96.0.10 tcp dport 80 dnat ip to 127.0.0.2:" +
      std::to_string(name_of(server).port()) + "\n}\n}\n");
  testing::run("ip addr add 10.96.0.10/32 dev lo");
  const auto reader = make_reader();
  ASSERT_NE(reader, nullptr);
  const Fd client = connect_tcp(address("10.96.0.10", 80));
  Seen seen;
  read_until(*reader, seen, [&] { return !seen.of(Kind::kNew, IPPROTO_TCP).empty(); });
  const ConntrackEvent made = seen.of(Kind::kNew, IPPROTO_TCP)[0];
  EXPECT_EQ(made.original.dest.to_string(), "10.96.0.10");
  EXPECT_EQ(made.original.dest_port, 80);
  EXPECT_EQ(made.reply.source.to_string(), "127.0.0.2");
  EXPECT_EQ(made.reply.source_port, name_of(server).port());
  EXPECT_NE(made.status & kDestinationNat, 0u);
}

TEST_F(ConntrackKernel, TheZoneOfTheOpenersDirectionIsTold) {
  for (const char* direction : {"", "original "}) {
    SCOPED_TRACE(direction);
    testing::load_rules("table inet z {\n chain out {\n type filter hook output priority -300\nudp dport 9 ct " +
                        std::string(direction) + "zone set 5\n}\n}\n");
    const auto reader = make_reader();
    ASSERT_NE(reader, nullptr);
    const Fd client = bound_socket(SOCK_DGRAM, "127.0.0.1");
    send_udp(client, address("127.0.0.1", 9), 10);
    Seen seen;
    read_until(*reader, seen, [&] { return !seen.of(Kind::kNew, IPPROTO_UDP).empty(); });
    EXPECT_EQ(seen.of(Kind::kNew, IPPROTO_UDP)[0].zone, 5);
    testing::run("nft delete table inet z");
  }
}

TEST_F(ConntrackKernel, PingHasItsIdentifierAndTypeAsPorts) {
  const auto reader = make_reader();
  ASSERT_NE(reader, nullptr);
  const Fd ping(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  // Echo request, identifier 0x1234, sequence 1; its checksum.
  const unsigned char echo[8] = {8, 0, 0xE5, 0xCA, 0x12, 0x34, 0, 1};
  const Address to = address("127.0.0.1", 0);
  ASSERT_EQ(sendto(ping.get(), echo, sizeof echo, 0, to.get(), to.size), 8);
  Seen seen;
  read_until(*reader, seen, [&] { return !seen.of(Kind::kNew, IPPROTO_ICMP).empty(); });
  const ConntrackEvent made = seen.of(Kind::kNew, IPPROTO_ICMP)[0];
  for (const model::Tuple& tuple : {made.original, made.reply}) {
    EXPECT_EQ(tuple.source_port, 0x1234);
    EXPECT_EQ(tuple.dest_port, 8 << 8);
  }
}

TEST_F(ConntrackKernel, AnOverrunIsCountedAndFollowedByADumpThatHasEverything) {
  ConntrackReader::Options options;
  options.receive_buffer_bytes = 4096;
  const auto reader = make_reader(options);
  ASSERT_NE(reader, nullptr);
  Seen seen;
  read_until(*reader, seen, [&] { return seen.dumps_ended == 1; });
  seen = {};
  constexpr std::size_t kFlows = 2'000;
  const Fd server = bound_socket(SOCK_DGRAM, "127.0.0.1");
  const Fd client = bound_socket(SOCK_DGRAM, "127.0.0.1");
  // Each destination address is a connection of its own.
  for (std::size_t i = 0; i < kFlows; ++i) {
    const std::string ip = "127.1." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250);
    send_udp(client, address(ip.c_str(), name_of(server).port()), 10);
  }
  read_until(*reader, seen, [&] { return seen.dumps_ended == 1; });
  EXPECT_GE(reader->stats().overruns, 1u);
  EXPECT_LT(seen.of(Kind::kNew, IPPROTO_UDP).size(), kFlows);
  EXPECT_EQ(seen.of(Kind::kNew, IPPROTO_UDP).size() + reader->stats().lost, kFlows);
  std::uint64_t entries = 0, packets = 0, bytes = 0;
  for (const ConntrackEvent& e : seen.of(Kind::kUpdate, IPPROTO_UDP)) {
    if (e.original.source_port != name_of(client).port()) continue;
    ++entries;
    packets += e.packets_original;
    bytes += e.bytes_original;
  }
  EXPECT_EQ(entries, kFlows);
  EXPECT_EQ(packets, kFlows);
  EXPECT_EQ(bytes, kFlows * 38);
}

/// A piece of a dump is made when the piece before is read, so it may show what an event, read before it, has ended.
TEST_F(ConntrackKernel, WhatWasDestroyedDoesNotComeBackThroughADump) {
  ConntrackReader::Options options;
  options.max_events = 8192;
  options.receive_buffer_bytes = 256u << 20;
  const auto reader = make_reader(options);
  ASSERT_NE(reader, nullptr);
  const Fd server = bound_socket(SOCK_DGRAM, "127.0.0.1"), client = bound_socket(SOCK_DGRAM, "127.0.0.1");
  const std::uint16_t port = name_of(server).port();
  for (std::uint32_t i = 0; i < 40'000; ++i) {
    const std::string ip = "127.1." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250);
    send_udp(client, address(ip.c_str(), port), 10);
  }
  Seen seen;
  read_until(*reader, seen, [&] { return seen.dumps_ended == 1; });
  seen = {};
  std::atomic<bool> done = false;
  std::thread deletes([&] {
    testing::run("conntrack -F");
    done = true;
  });
  std::set<std::string> gone;
  while (!done || reader->dump_pending()) {
    auto read = reader->poll(kNow);
    ASSERT_TRUE(read.ok());
    for (const ConntrackEvent& e : read.value().events) {
      const std::string dest = e.original.dest.to_string();
      if (e.kind == Kind::kDestroy) {
        gone.insert(dest);
      } else if (gone.contains(dest)) {
        ADD_FAILURE() << dest;
        break;
      }
    }
    if (!done && !reader->dump_pending()) {
      ASSERT_TRUE(reader->request_dump().ok());
    }
  }
  deletes.join();
}

/// Merged hits as a test likes to look at them.
std::vector<model::PolicyHit> hits_until(NflogReader& reader, const std::function<bool()>& done,
                                         std::vector<model::PolicyHit>& hits) {
  drain(
      reader, [&](const NflogReader::Read& read) { hits.insert(hits.end(), read.hits.begin(), read.hits.end()); },
      done);
  return hits;
}

TEST_F(ConntrackKernel, DeniedPacketsAreReportedWithTheirRule) {
  NflogRule long_rule{model::Action::kDeny, model::HitKind::kPolicyRule, false, 3,
                      "knp/a-namespace-with-a-long-name/and-a-policy-whose-name-is-long-too"};
  NflogRules rules;
  rules.add(long_rule);
  ASSERT_EQ(rules.size(), 1u);
  testing::load_rules(
      "table inet p {\n chain out {\n type filter hook output priority filter\n"
      "udp dport 7001 log prefix \"DPE1|knp/shop/web\" group 2 drop\n"
      "udp dport 7002 log prefix \"DPI|default\" group 1 drop\n"
      "udp dport 7003 log prefix \"" +
      format_nflog_prefix(long_rule).value() +
      "\" group 1 drop\nudp dport 7004 log prefix \"someone else's\" group 1 drop\n}\n}\n");
  auto made = NflogReader::create({}, &rules);
  ASSERT_TRUE(made.ok()) << made.error().message;
  NflogReader& reader = *made.value();
  const Fd client(socket(AF_INET, SOCK_DGRAM, 0));
  for (const int port : {7001, 7002, 7003, 7004, 7001}) {
    const Address to = address("127.0.0.1", static_cast<std::uint16_t>(port));
    // The rule's drop is the sender's error.
    EXPECT_EQ(sendto(client.get(), "0123456789", 10, 0, to.get(), to.size), -1);
    EXPECT_EQ(errno, EPERM);
  }
  std::vector<model::PolicyHit> hits;
  hits_until(
      reader, [&] { return reader.stats().packets == 5; }, hits);
  EXPECT_EQ(reader.stats().foreign, 1u);
  EXPECT_EQ(reader.stats().unresolved, 0u);
  ASSERT_EQ(hits.size(), 3u);
  std::sort(hits.begin(), hits.end(),
            [](const auto& a, const auto& b) { return a.tuple.dest_port < b.tuple.dest_port; });
  const auto expect = [&](std::size_t i, bool egress, model::HitKind kind, std::int32_t rule, const std::string& id,
                          std::uint32_t packets) {
    SCOPED_TRACE(id);
    EXPECT_EQ(hits[i].tuple.source.to_string(), "127.0.0.1");
    EXPECT_EQ(hits[i].tuple.dest_port, 7001 + i);
    EXPECT_EQ(hits[i].original_dest_port, 7001 + i);
    EXPECT_EQ(hits[i].tuple.protocol, IPPROTO_UDP);
    EXPECT_EQ(hits[i].egress, egress);
    EXPECT_EQ(hits[i].action, model::Action::kDeny);
    EXPECT_EQ(hits[i].kind, kind);
    EXPECT_EQ(hits[i].rule, rule);
    EXPECT_EQ(hits[i].id, id);
    EXPECT_EQ(hits[i].packets, packets);
    EXPECT_EQ(hits[i].bytes, packets * 38u);
    EXPECT_GT(hits[i].time_ns, 0);
  };
  expect(0, true, model::HitKind::kPolicyRule, 1, "knp/shop/web", 2);
  expect(1, false, model::HitKind::kTierEnd, -1, "default", 1);
  expect(2, false, model::HitKind::kPolicyRule, 3, long_rule.id, 1);
}

TEST_F(ConntrackKernel, AHitHasTheDestinationBeforeDnatIfTheKernelTellsIt) {
  testing::run("ip addr add 10.96.0.10/32 dev lo");
  testing::load_rules(R"(
    table inet n {
      chain nat { type nat hook output priority -100; ip daddr 10.96.0.10 udp dport 53 dnat ip to 127.0.0.1:7053; }
      chain out { type filter hook output priority filter; udp dport 7053 log prefix "APE0|knp/shop/dns" group 2; }
    })");
  auto made = NflogReader::create({}, nullptr);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const Fd client(socket(AF_INET, SOCK_DGRAM, 0));
  send_udp(client, address("10.96.0.10", 53), 10);
  std::vector<model::PolicyHit> hits;
  hits_until(
      *made.value(), [&] { return !hits.empty(); }, hits);
  ASSERT_FALSE(hits.empty());
  EXPECT_EQ(hits[0].tuple.dest.to_string(), "127.0.0.1");
  EXPECT_EQ(hits[0].tuple.dest_port, 7053);
  // A kernel without NETFILTER_NETLINK_GLUE_CT does not, and the hit says what its packet says.
  const bool told = made.value()->has_conntrack();
  EXPECT_EQ(hits[0].original_dest.to_string(), told ? "10.96.0.10" : "127.0.0.1");
  EXPECT_EQ(hits[0].original_dest_port, told ? 53 : 7053);
  EXPECT_EQ(hits[0].action, model::Action::kAllow);
}

TEST_F(ConntrackKernel, LoggedPacketsThatTheKernelDropsAreCounted) {
  testing::load_rules(
      "table inet p {\n chain out {\n type filter hook output priority filter\n"
      "udp dport 7001 log prefix \"DPE1|knp/shop/web\" group 2 drop\n}\n}\n");
  NflogReader::Options options;
  options.receive_buffer_bytes = 4096;
  options.queue_threshold = 1;
  auto made = NflogReader::create(options, nullptr);
  ASSERT_TRUE(made.ok()) << made.error().message;
  NflogReader& reader = *made.value();
  constexpr std::uint64_t kPackets = 200;
  const Fd client(socket(AF_INET, SOCK_DGRAM, 0));
  const Address to = address("127.0.0.1", 7001);
  const auto send = [&] { EXPECT_EQ(sendto(client.get(), "0123456789", 10, 0, to.get(), to.size), -1); };
  for (std::uint64_t i = 0; i < kPackets; ++i) send();
  std::vector<model::PolicyHit> hits;
  hits_until(
      reader, [&] { return reader.stats().overruns != 0; }, hits);
  ASSERT_LT(reader.stats().packets, kPackets);
  // What was lost is told by what comes after it.
  const std::uint64_t before = reader.stats().packets;
  send();
  hits_until(
      reader, [&] { return reader.stats().packets > before; }, hits);
  EXPECT_EQ(reader.stats().packets + reader.stats().lost, kPackets + 1);
}

TEST_F(ConntrackKernel, AGroupThatAnotherProgramReadsIsAnError) {
  auto first = NflogReader::create({}, nullptr);
  ASSERT_TRUE(first.ok());
  const auto second = NflogReader::create({}, nullptr);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("NFLOG group 1: another program reads it"), std::string::npos)
      << second.error().message;
}

}  // namespace
}  // namespace weir::capture
