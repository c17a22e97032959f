// What the pods' own sockets tell of their connections.
#include <sys/prctl.h>

#include <thread>

#include "capture/ebpf_kernel_test.h"

namespace weir::capture {
namespace {

class EbpfSocketsKernel : public EbpfTest {
 protected:
  void SetUp() override {
    EbpfTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    start();
    if (source->sockets_status().ok()) return;
    if (std::getenv("WEIR_CI") != nullptr) FAIL() << source->sockets_status().error().message;
    GTEST_SKIP() << source->sockets_status().error().message;
  }
  /// From the pod, with `bytes` sent.
  std::uint16_t talk(const std::string& address, std::size_t bytes) {
    const Socket listener = listen_in(node, address);
    const std::uint16_t port = local_port(listener);
    Socket client;
    EXPECT_EQ(connect_from(*pod, address, port, client), 0);
    Socket server = accept_at(listener);
    std::thread sender([&] { client.send_all(std::string(bytes, 'q')); });
    EXPECT_EQ(server.receive(bytes).size(), bytes);
    sender.join();
    socklen_t size = sizeof(info_);
    EXPECT_EQ(getsockopt(client.fd(), IPPROTO_TCP, TCP_INFO, &info_, &size), 0);
    return port;
  }
  static model::FlowDelta sum(const std::vector<model::FlowDelta>& deltas, std::uint16_t peer_port) {
    for (const model::FlowDelta& d : deltas) {
      if (d.tuple.protocol == 6 && d.tuple.dest_port == peer_port) return d;
    }
    ADD_FAILURE() << "no connection to port " << peer_port;
    return {};
  }

  tcp_info info_{};
};

TEST_F(EbpfSocketsKernel, TellsRttWindowAndProcessOfAClient) {
  for (const char* address : {kNode, "fd07::1"}) {
    SCOPED_TRACE(address);
    const std::uint16_t port = talk(address, 200'000);
    const model::FlowDelta d = sum(drain(), port);
    EXPECT_GT(d.tcp.smooth_rtt_us, 0u);
    EXPECT_LE(d.tcp.min_rtt_us, d.tcp.smooth_rtt_us);
    EXPECT_LT(d.tcp.smooth_rtt_us, 5'000'000u);
    EXPECT_GE(d.tcp.congestion_window, d.tcp.min_congestion_window);
    EXPECT_GE(d.tcp.min_congestion_window, 1u);
    EXPECT_EQ(d.tcp.mss, address == std::string(kNode) ? 1460 : 1440);
    EXPECT_EQ(d.process_id, static_cast<std::uint32_t>(getpid()));
    char name[16] = {};
    prctl(PR_GET_NAME, name);
    EXPECT_STREQ(d.process_name.data(), name);
  }
  EXPECT_EQ(source->stats().socket_samples_lost, 0u);
  EXPECT_EQ(source->stats().socket_joined, 2u);
}

TEST_F(EbpfSocketsKernel, TellsTheProcessThatListens) {
  const Socket listener = listen_in(*pod, kPod, 8080);
  Socket client;
  ASSERT_EQ(connect_from(node, kPod, 8080, client), 0);
  const Socket server = accept_at(listener);
  client.send_all("hello");
  EXPECT_EQ(server.receive(5), "hello");
  const auto deltas = drain();
  ASSERT_EQ(deltas.size(), 1u);
  EXPECT_EQ(deltas[0].tuple.source_port, 8080);
  EXPECT_FALSE(deltas[0].first_is_out);
  EXPECT_EQ(deltas[0].process_id, static_cast<std::uint32_t>(getpid()));
}

TEST_F(EbpfSocketsKernel, CountsRetransmissionsOfALossyWay) {
  // The node drops what comes for a while: it is sent again until then.
  const Socket listener = listen_in(node, kNode);
  Socket client;
  ASSERT_EQ(connect_from(*pod, kNode, local_port(listener), client), 0);
  const Socket server = accept_at(listener);
  client.send_all("first");
  EXPECT_EQ(server.receive(5), "first");
  ASSERT_TRUE(
      node.shell("nft add table inet weir && "
                 "nft 'add chain inet weir in { type filter hook input priority 0; policy drop; }'"));
  client.send_all("second");
  tcp_info info{};
  // The timeout is 200 ms and more; the socket itself says when.
  for (int i = 0; i < 500 && info.tcpi_total_retrans < 2; ++i) {
    usleep(10'000);
    socklen_t size = sizeof(info);
    ASSERT_EQ(getsockopt(client.fd(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  }
  ASSERT_GE(info.tcpi_total_retrans, 2u);
  ASSERT_TRUE(node.shell("nft delete table inet weir"));
  EXPECT_EQ(server.receive(6), "second");
  client.close();
  EXPECT_EQ(server.receive(1).size(), 0u);
  const model::FlowDelta d = sum(drain(), local_port(listener));
  EXPECT_GE(d.tcp.retransmissions, 2u);
  EXPECT_GE(d.tcp.timeouts, 1u);
  EXPECT_GE(d.tcp.lost, 1u);
  EXPECT_EQ(d.tcp.min_congestion_window, 1u);
}

TEST_F(EbpfSocketsKernel, AnotherNamespaceWithTheSameAddressesIsNotMixedUp) {
  // A second node and pod with the very addresses, as in another lab on the machine.
  const NetworkNamespace other_node, other_pod;
  ASSERT_TRUE(other_node.shell("ip link set lo up && ip link add cali1 type veth peer name eth0 netns " +
                               other_pod.path() + " && ip addr add 10.7.0.1/24 dev cali1 && ip link set cali1 up"));
  ASSERT_TRUE(other_pod.shell("ip addr add 10.7.0.2/24 dev eth0 && ip link set eth0 up"));
  // This interface's pod becomes known by connections that nobody else has.
  for (int i = 0; i < 3; ++i) talk(kNode, 10);
  drain();
  const Socket here = listen_in(node, kNode, 7777), there = listen_in(other_node, kNode, 7777);
  const auto connect_bound = [&](const NetworkNamespace& where) {
    Socket socket;
    where.run([&] {
      socket = Socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const Address from(kPod, 5555), to(kNode, 7777);
      ASSERT_EQ(bind(socket.fd(), from.get(), from.size), 0);
      ASSERT_EQ(connect(socket.fd(), to.get(), to.size), 0) << strerror(errno);
    });
    return socket;
  };
  const Socket ours = connect_bound(*pod), theirs = connect_bound(other_pod);
  const std::uint64_t joined = source->stats().socket_joined;
  const model::FlowDelta d = sum(drain(), 7777);
  EXPECT_EQ(d.packets_out, 2u) << "only what passed at our interface";
  EXPECT_EQ(source->stats().socket_joined, joined + 1);
  EXPECT_GT(d.tcp.congestion_window, 0u);
}

}  // namespace
}  // namespace weir::capture
