#include "capture/af_packet.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "packet/decoder.h"
#include "tests/support/frame_bytes.h"
#include "tests/support/network_test.h"

namespace weir::capture {
namespace {

/// A packet of the tests' own traffic, by what AfPacket and the decoder say of it.
struct Seen {
  std::uint16_t zone;
  bool from_pod;
  std::uint16_t dest_port;

  friend auto operator<=>(const Seen&, const Seen&) = default;
};

sockaddr_in address_of(const char* text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, text, &address.sin_addr);
  return address;
}

/// Two pods of a node that routes between them; nothing but what a test sends passes their interfaces.
class AfPacketKernel : public tests::NetworkTest {
 protected:
  void SetUp() override {
    NetworkTest::SetUp();
    if (node.fd() < 0) return;
    options_.block_timeout_ms = 5;
    ASSERT_TRUE(node.shell("echo 1 > /proc/sys/net/ipv4/ip_forward"));
    add_pod("a", "10.77.1", pod_a_);
    add_pod("b", "10.77.2", pod_b_);
  }
  void TearDown() override {
    for (const int socket : sockets_) close(socket);
  }

  /// `net`.1 is the node's side, `net`.2 the pod's.
  void add_pod(const std::string& name, const std::string& net, const tests::NetworkNamespace& pod) {
    // No neighbour discovery of either kind: each packet is one of ours.
    const std::string quiet = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
    const std::string node_mac = "02:00:00:00:01:0" + name, pod_mac = "02:00:00:00:02:0" + name;
    ASSERT_TRUE(node.shell(quiet) && pod.shell(quiet));
    ip("link add cali" + name + " address " + node_mac + " type veth peer name eth0 address " + pod_mac + " netns " +
       pod.path());
    ip("addr add " + net + ".1/24 dev cali" + name);
    ip("link set cali" + name + " up");
    ip("neigh add " + net + ".2 lladdr " + pod_mac + " dev cali" + name);
    for (const std::string& arguments :
         {"addr add " + net + ".2/24 dev eth0", std::string("link set eth0 up"),
          "neigh add " + net + ".1 lladdr " + node_mac + " dev eth0", "route add default via " + net + ".1"})
      ASSERT_TRUE(pod.shell("ip " + arguments)) << arguments;
  }

  PodInterface interface(const std::string& name, std::uint16_t zone) {
    PodInterface found{zone, 0, name, 0};
    node.run([&] { found.index = static_cast<int>(if_nametoindex(name.c_str())); });
    return found;
  }
  std::unique_ptr<AfPacket> capture(const std::vector<PodInterface>& interfaces) {
    auto made = AfPacket::create(options_);
    EXPECT_TRUE(made.ok());
    for (const PodInterface& i : interfaces) add(*made.value(), i);
    return std::move(made).value();
  }
  void add(AfPacket& capture, const PodInterface& interface) {
    node.run([&] {
      const Status added = capture.add_interface(interface);
      EXPECT_TRUE(added.ok()) << added.error().message;
    });
  }

  int socket_in(const tests::NetworkNamespace& where, int type, const char* local, std::uint16_t port) {
    int made = -1;
    where.run([&] {
      made = socket(AF_INET, type | SOCK_CLOEXEC, 0);
      const sockaddr_in address = address_of(local, port);
      EXPECT_EQ(bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    });
    sockets_.push_back(made);
    return made;
  }
  static void send_to(int socket, const char* to, std::uint16_t port, int count, std::size_t bytes = 100) {
    const std::vector<char> data(bytes);
    const sockaddr_in address = address_of(to, port);
    for (int i = 0; i < count; ++i)
      ASSERT_EQ(sendto(socket, data.data(), bytes, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address),
                static_cast<ssize_t>(bytes));
  }

  /// Reads until `packets` are there, or nothing has come for a second; `look` gets each.
  template <typename Look>
  std::size_t read(AfPacket& capture, std::size_t packets, Look&& look) {
    std::array<packet::PacketView, 64> views;
    std::size_t count = 0;
    while (count < packets) {
      pollfd wait{capture.fd(), POLLIN, 0};
      if (poll(&wait, 1, 1000) == 0) break;
      while (const std::size_t got = capture.next_batch(views)) {
        for (std::size_t i = 0; i < got; ++i) look(views[i]);
        count += got;
      }
    }
    return count;
  }
  /// The same, counting what was seen.
  std::map<Seen, int> read(AfPacket& capture, std::size_t packets) {
    std::map<Seen, int> seen;
    packet::Decoder decoder;
    const std::size_t count = read(capture, packets, [&](const packet::PacketView& view) {
      packet::DecodedPacket p;
      EXPECT_EQ(decoder.decode(view, p), packet::DecodeStatus::kOk);
      ++seen[{p.zone, p.from_pod, p.tuple.dest_port}];
    });
    EXPECT_EQ(count, packets);
    return seen;
  }

  AfPacketOptions options_;
  tests::NetworkNamespace pod_a_, pod_b_;
  std::vector<int> sockets_;
};
using Counts = std::map<Seen, int>;

TEST_F(AfPacketKernel, EveryPacketIsSeenOnceAtEachInterfaceWithItsDirection) {
  const auto capture = this->capture({interface("calia", 4), interface("calib", 7)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000), b = socket_in(pod_b_, SOCK_DGRAM, "10.77.2.2", 2000);
  const int outside = socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  send_to(a, "10.77.2.2", 2000, 500);
  send_to(b, "10.77.1.2", 1000, 300);
  send_to(a, "10.77.1.1", 3000, 20);
  send_to(outside, "10.77.2.2", 2000, 10);
  const Counts want = {{{4, true, 2000}, 500},
                       {{7, false, 2000}, 510},
                       {{7, true, 1000}, 300},
                       {{4, false, 1000}, 300},
                       {{4, true, 3000}, 20}};
  EXPECT_EQ(read(*capture, 1630), want);
  const AfPacketStats stats = capture->stats();
  EXPECT_EQ(stats.packets, 1630u);
  EXPECT_EQ(stats.wire_bytes, 1630u * (14 + 20 + 8 + 100));
  EXPECT_EQ(stats.dropped, 0u);
  EXPECT_EQ(stats.rings, 2u);
}

TEST_F(AfPacketKernel, OtherInterfacesAreNotCaptured) {
  const auto capture = this->capture({interface("calib", 7)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000), b = socket_in(pod_b_, SOCK_DGRAM, "10.77.2.2", 2000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  send_to(a, "10.77.1.1", 3000, 50);
  send_to(b, "10.77.1.2", 1000, 3);
  EXPECT_EQ(read(*capture, 3), (Counts{{{7, true, 1000}, 3}}));
  EXPECT_EQ(capture->stats().packets, 3u);
}

TEST_F(AfPacketKernel, TimesAreTheKernelsAndRise) {
  const auto capture = this->capture({interface("calia", 1)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::int64_t last = now.tv_sec * 1'000'000'000LL + now.tv_nsec;
  send_to(a, "10.77.1.1", 3000, 100);
  read(*capture, 100, [&](const packet::PacketView& view) {
    EXPECT_GE(view.time_ns, last);
    last = view.time_ns;
  });
  clock_gettime(CLOCK_REALTIME, &now);
  EXPECT_LE(last, now.tv_sec * 1'000'000'000LL + now.tv_nsec);
}

TEST_F(AfPacketKernel, LongPacketsAreCutAndTheirLengthKept) {
  const auto capture = this->capture({interface("calia", 1)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 53);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 54);
  send_to(a, "10.77.1.1", 53, 1, 1400);
  send_to(a, "10.77.1.1", 54, 1, 1400);
  std::vector<std::uint32_t> captured;
  read(*capture, 2, [&](const packet::PacketView& view) {
    captured.push_back(view.captured_bytes);
    EXPECT_EQ(view.wire_bytes, 1442u);
  });
  EXPECT_EQ(captured, (std::vector<std::uint32_t>{1442, 512}));
}

TEST_F(AfPacketKernel, LargeSendsCountWhatTheirIpHeaderSays) {
  const auto capture = this->capture({interface("calia", 1), interface("calib", 2)});
  const int server = socket_in(pod_b_, SOCK_STREAM, "10.77.2.2", 80);
  ASSERT_EQ(listen(server, 1), 0);
  const int client = socket_in(pod_a_, SOCK_STREAM, "10.77.1.2", 1000);
  const sockaddr_in address = address_of("10.77.2.2", 80);
  ASSERT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const int accepted = accept4(server, nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(accepted, 0);
  sockets_.push_back(accepted);
  constexpr std::size_t kBytes = 4'000'000;
  std::vector<char> data(200'000);
  std::size_t received = 0;
  for (std::size_t sent = 0; received < kBytes;) {
    if (sent < kBytes) {
      const ssize_t some = send(client, data.data(), std::min(data.size(), kBytes - sent), MSG_DONTWAIT);
      if (some > 0) sent += static_cast<std::size_t>(some);
    }
    const ssize_t some = recv(accepted, data.data(), data.size(), MSG_DONTWAIT);
    if (some > 0) received += static_cast<std::size_t>(some);
  }
  packet::Decoder decoder;
  std::map<std::pair<int, bool>, std::uint64_t> payload;
  std::uint32_t longest = 0;
  // Until nothing has come for a second: how many packets TCP makes of it is its own matter.
  read(*capture, 1'000'000, [&](const packet::PacketView& view) {
    packet::DecodedPacket p;
    ASSERT_EQ(decoder.decode(view, p), packet::DecodeStatus::kOk);
    EXPECT_EQ(p.ip_bytes + 14, view.wire_bytes);
    payload[{p.zone, p.from_pod}] += p.payload_bytes;
    longest = std::max(longest, p.ip_bytes);
  });
  EXPECT_GT(longest, 9'000u) << "the veth pair takes large sends in one piece";
  EXPECT_GE((payload[{1, true}]), kBytes);
  EXPECT_EQ((payload[{1, true}]), (payload[{2, false}])) << "nothing is lost on the way";
  EXPECT_EQ((payload[{2, true}]), 0u);
}

TEST_F(AfPacketKernel, ATagThatTheKernelTookOffDoesNotHideThePacket) {
  const auto capture = this->capture({interface("calia", 1)});
  using namespace tests;  // NOLINT(google-build-using-namespace): frame_bytes.h
  const Bytes tagged =
      ethernet(0x8100, join({be16(5), be16(0x0800), ipv4(17, "10.77.1.2", "10.77.1.1", udp(1, 2, Bytes(30)))}));
  pod_a_.run([&] {
    const int raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    sockets_.push_back(raw);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(if_nametoindex("eth0"));
    EXPECT_EQ(sendto(raw, tagged.data(), tagged.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(tagged.size()));
  });
  EXPECT_EQ(read(*capture, 1), (Counts{{{1, true, 2}, 1}}));
}

TEST_F(AfPacketKernel, AnInterfaceThatIsDeletedAndMadeAgainIsAnother) {
  const PodInterface first = interface("calia", 1);
  const auto capture = this->capture({first, interface("calib", 2)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  send_to(a, "10.77.1.1", 3000, 10);
  ip("link del calia");
  capture->remove_interface(first);
  EXPECT_EQ(read(*capture, 10), (Counts{{{1, true, 3000}, 10}})) << "what came before is still read";

  tests::NetworkNamespace successor;
  add_pod("a", "10.77.1", successor);
  add(*capture, interface("calia", 3));
  const int again = socket_in(successor, SOCK_DGRAM, "10.77.1.2", 1000);
  send_to(again, "10.77.1.1", 3000, 7);
  EXPECT_EQ(read(*capture, 7), (Counts{{{3, true, 3000}, 7}}));
  EXPECT_EQ(capture->stats().rings, 2u) << "the first one's is closed";
  EXPECT_EQ(capture->stats().packets, 17u);
}

TEST_F(AfPacketKernel, ARemovedInterfaceThatStaysIsCapturedNoMore) {
  const PodInterface interface = this->interface("calia", 1);
  const auto capture = this->capture({interface});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  send_to(a, "10.77.1.1", 3000, 10);
  capture->remove_interface(interface);
  send_to(a, "10.77.1.1", 3000, 5);
  EXPECT_EQ(read(*capture, 10), (Counts{{{1, true, 3000}, 10}}));
  EXPECT_EQ(read(*capture, 1, [](const packet::PacketView&) {}), 0u);
  EXPECT_EQ(capture->stats().rings, 0u);
}

TEST_F(AfPacketKernel, DownAndUpAgainIsCapturedOn) {
  const auto capture = this->capture({interface("calia", 1)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  ip("link set calia down");
  std::array<packet::PacketView, 8> views;
  EXPECT_EQ(capture->next_batch(views), 0u);
  pollfd wait{capture->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 0), 0) << "being down does not keep us awake";
  ip("link set calia up");
  ip("neigh replace 10.77.1.2 lladdr 02:00:00:00:02:0a dev calia");
  send_to(a, "10.77.1.1", 3000, 10);
  EXPECT_EQ(read(*capture, 10), (Counts{{{1, true, 3000}, 10}}));
}

TEST_F(AfPacketKernel, OfABurstBeyondTheRingEachPacketIsReceivedOrCounted) {
  options_.ring_bytes = 64 * 1024;
  options_.block_bytes = 16 * 1024;
  const auto capture = this->capture({interface("calia", 1)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  constexpr int kSent = 20'000;
  send_to(a, "10.77.1.1", 3000, kSent);
  const std::size_t received = read(*capture, kSent, [](const packet::PacketView&) {});
  AfPacketStats stats = capture->stats();
  EXPECT_EQ(stats.packets, received);
  EXPECT_GT(received, 100u);
  EXPECT_GT(stats.dropped, 1000u);
  EXPECT_GE(stats.ring_full, 1u);
  EXPECT_EQ(received + stats.dropped, static_cast<std::size_t>(kSent));
  // And then it goes on.
  send_to(a, "10.77.1.1", 3000, 10);
  EXPECT_EQ(read(*capture, 10), (Counts{{{1, true, 3000}, 10}}));
  EXPECT_EQ(capture->stats().dropped, stats.dropped);
}

TEST_F(AfPacketKernel, ABusyPodDoesNotHideAQuietOne) {
  options_.ring_bytes = 256 * 1024;
  options_.block_bytes = 16 * 1024;
  const auto capture = this->capture({interface("calia", 1), interface("calib", 2)});
  const int a = socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", 1000), b = socket_in(pod_b_, SOCK_DGRAM, "10.77.2.2", 2000);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  socket_in(node, SOCK_DGRAM, "10.77.2.1", 3000);
  send_to(a, "10.77.1.1", 3000, 100);
  std::array<packet::PacketView, 16> views;
  bool quiet_seen = false;
  // The busy one sends as fast as we read.
  for (int i = 0; i < 2000 && !quiet_seen; ++i) {
    send_to(a, "10.77.1.1", 3000, 16);
    if (i == 100) send_to(b, "10.77.2.1", 3000, 1);
    const std::size_t count = capture->next_batch(views);
    for (std::size_t v = 0; v < count; ++v) quiet_seen |= views[v].zone == 2;
  }
  EXPECT_TRUE(quiet_seen);
}

TEST_F(AfPacketKernel, ReadersOfAGroupShareTheConnections) {
  options_.fanout_group = 4000;
  const std::vector<PodInterface> interfaces = {interface("calia", 1), interface("calib", 2)};
  const auto first = capture(interfaces), second = capture(interfaces);
  socket_in(node, SOCK_DGRAM, "10.77.1.1", 3000);
  constexpr int kConnections = 64, kEach = 5;
  for (int i = 0; i < kConnections; ++i)
    send_to(socket_in(pod_a_, SOCK_DGRAM, "10.77.1.2", static_cast<std::uint16_t>(5000 + i)), "10.77.1.1", 3000, kEach);
  std::map<std::uint16_t, int> packets[2];
  packet::Decoder decoder;
  for (int reader = 0; reader < 2; ++reader)
    read(reader == 0 ? *first : *second, kConnections * kEach, [&](const packet::PacketView& view) {
      packet::DecodedPacket p;
      ASSERT_EQ(decoder.decode(view, p), packet::DecodeStatus::kOk);
      ++packets[reader][p.tuple.source_port];
    });
  EXPECT_GT(packets[0].size(), 5u);
  EXPECT_GT(packets[1].size(), 5u);
  EXPECT_EQ(packets[0].size() + packets[1].size(), static_cast<std::size_t>(kConnections));
  for (const auto& reader : packets) {
    for (const auto& [port, count] : reader) EXPECT_EQ(count, kEach) << port;
  }
}

TEST_F(AfPacketKernel, AnInterfaceThatIsGoneIsAnErrorThatNamesIt) {
  const auto capture = this->capture({});
  node.run([&] {
    const Status added = capture->add_interface({1, 4711, "caligone", 0});
    ASSERT_FALSE(added.ok());
    EXPECT_EQ(added.error().code, ErrorCode::kNotFound);
    EXPECT_NE(added.error().message.find("caligone"), std::string::npos);
  });
  EXPECT_EQ(capture->stats().rings, 0u);
}

TEST(AfPacketOptions, NamesEachThatCannotWork) {
  AfPacketOptions options;
  options.snap_bytes = 10;
  options.block_bytes = 50'000;
  options.block_timeout_ms = 0;
  const auto made = AfPacket::create(options);
  ASSERT_FALSE(made.ok());
  for (const char* name : {"snap_bytes", "block_bytes", "block_timeout_ms"})
    EXPECT_NE(made.error().message.find(name), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace weir::capture
