#include <algorithm>
#include <atomic>
#include <ctime>
#include <thread>

#include "capture/ebpf_kernel_test.h"

namespace weir::capture {
namespace {

using model::FlowDelta;

class EbpfSourceKernel : public EbpfTest {
 protected:
  const FlowDelta* find(const std::vector<FlowDelta>& deltas, std::uint8_t protocol, std::uint16_t peer_port) {
    for (const FlowDelta& d : deltas) {
      if (d.tuple.protocol == protocol && d.tuple.dest_port == peer_port) return &d;
    }
    return nullptr;
  }
  /// A connection from the pod that sends and receives so many bytes and closes. The peer's port.
  std::uint16_t exchange(const std::string& address, std::size_t out, std::size_t in) {
    const Socket listener = listen_in(node, address);
    const std::uint16_t port = local_port(listener);
    Socket client;
    EXPECT_EQ(connect_from(*pod, address, port, client), 0);
    Socket server = accept_at(listener);
    std::thread sender([&] { client.send_all(std::string(out, 'q')); });
    EXPECT_EQ(server.receive(out).size(), out);
    sender.join();
    std::thread answerer([&] { server.send_all(std::string(in, 'a')); });
    EXPECT_EQ(client.receive(in).size(), in);
    answerer.join();
    shutdown(client.fd(), SHUT_WR);
    EXPECT_EQ(server.receive(1).size(), 0u);
    server.close();
    EXPECT_EQ(client.receive(1).size(), 0u);
    socklen_t size = sizeof(client_info_);
    EXPECT_EQ(getsockopt(client.fd(), IPPROTO_TCP, TCP_INFO, &client_info_, &size), 0);
    return port;
  }
  /// Of the client of the last exchange().
  tcp_info client_info_{};

  void offload(bool on) {
    const std::string segments = on ? "65535" : "1";
    ip("link set cali1 gso_max_segs " + segments);
    ASSERT_TRUE(pod->shell("ip link set eth0 gso_max_segs " + segments));
  }
  void ping(const std::string& address) {
    ASSERT_TRUE(pod->shell("ping -q -c 3 -i 0.01 -W 2 " + address + " >/dev/null"));
  }
};

TEST_F(EbpfSourceKernel, CountsWhatTcpdumpSeesAtTheInterface) {
  for (const bool tcx : {true, false}) {
    SCOPED_TRACE(tcx ? "tcx" : "clsact");
    offload(false);
    Tcpdump capture(node, "cali1");
    start({.tcx = tcx});
    EXPECT_STREQ(source->attachment(), tcx ? "tcx" : "clsact");
    exchange(kNode, 100'000, 30'000);
    exchange("fd07::1", 5'000, 70'000);
    ping(kNode);
    ping("fd07::1");
    const Socket server = udp_in(node, kNode), client = udp_in(*pod, kPod);
    send_to(client, "question", kNode, local_port(server));
    // In three fragments, two of which have no ports.
    send_to(server, std::string(4000, 'x'), kPod, local_port(client));
    // Nobody listens there: ICMP.
    send_to(client, "anyone?", kNode, 9);
    EXPECT_EQ(client.receive(8).size(), 8u);
    const auto deltas = drain();
    const SumsByTuple want = sums(capture.stop()), got = sums(without_neighbours(deltas));
    EXPECT_EQ(got, want);
    EXPECT_GE(want.size(), 6u);
    EXPECT_EQ(source->stats().orphan_fragments, 0u);
    for (const FlowDelta& d : deltas) {
      EXPECT_EQ(d.zone, 1);
      EXPECT_EQ(d.interface_since_ns, 12345);
    }
    node.run([&] { source.reset(); });
  }
}

TEST_F(EbpfSourceKernel, CountsPacketsThatAreYetToBeSegmentedAsTheirSegments) {
  offload(true);
  // Without selective acknowledgements all headers have one size: 52 bytes with timestamps, 60 in a SYN.
  const std::string plain = "sysctl -q -w net.ipv4.tcp_sack=0 >/dev/null";
  ASSERT_TRUE(node.shell(plain) && pod->shell(plain));
  start();
  const std::uint16_t port = exchange(kNode, 3'000'000, 1'000'000);
  const auto deltas = drain();
  const FlowDelta* d = find(deltas, 6, port);
  ASSERT_NE(d, nullptr);
  // The sender's own counters; they know of retransmissions.
  EXPECT_EQ(d->packets_out, client_info_.tcpi_segs_out);
  EXPECT_EQ(d->bytes_out, client_info_.tcpi_bytes_sent + 60 + 52 * (d->packets_out - 1));
  EXPECT_EQ(d->packets_in, client_info_.tcpi_segs_in);
  EXPECT_GE(d->bytes_in, 1'000'000 + 60 + 52 * (d->packets_in - 1));
  EXPECT_GE(d->packets_out, 3'000'000u / 1448);
  EXPECT_EQ(d->tcp.mss, 1460);
}

TEST_F(EbpfSourceKernel, TellsHowTcpConnectionsWent) {
  start();
  const std::uint16_t open = exchange(kNode, 10, 10);
  Socket refused;
  EXPECT_EQ(connect_from(*pod, kNode, 9, refused), ECONNREFUSED);
  const auto deltas = drain();
  const FlowDelta* good = find(deltas, 6, open);
  ASSERT_NE(good, nullptr);
  EXPECT_TRUE(good->first_is_out && good->syn_out && good->syn_ack_in);
  EXPECT_FALSE(good->syn_in || good->syn_ack_out || good->reopened || good->unreachable);
  EXPECT_EQ(good->first_flags, packet::kTcpSyn);
  EXPECT_EQ(good->tcp_flags_out, packet::kTcpSyn | packet::kTcpAck | packet::kTcpFin);
  EXPECT_EQ(good->tcp_flags_in, packet::kTcpSyn | packet::kTcpAck | packet::kTcpFin);
  EXPECT_GT(good->tcp.smooth_rtt_us, 0u);
  EXPECT_LT(good->tcp.smooth_rtt_us, 1'000'000u);
  const FlowDelta* bad = find(deltas, 6, 9);
  ASSERT_NE(bad, nullptr);
  EXPECT_EQ(bad->tcp_flags_out, packet::kTcpSyn);
  EXPECT_EQ(bad->tcp_flags_in, packet::kTcpRst) << "the ACK of a RST answers nothing";
  EXPECT_EQ(bad->tcp.resets, 1u);
  EXPECT_EQ(bad->tcp.smooth_rtt_us, 0u);
}

TEST_F(EbpfSourceKernel, AnUnreachableMarksTheConnectionThatItQuotes) {
  start();
  const Socket client = udp_in(*pod, kPod);
  send_to(client, "anyone?", kNode, 9);
  // Of a connection that the pod refuses, too.
  const Socket outside = udp_in(node, kNode);
  send_to(outside, "anyone?", kPod, 11);
  const auto deltas = drain();
  const FlowDelta* d = find(deltas, 17, 9);
  ASSERT_NE(d, nullptr);
  EXPECT_TRUE(d->unreachable);
  EXPECT_EQ(d->packets_out, 1u);
  EXPECT_EQ(d->packets_in, 0u);
  const FlowDelta* incoming = find(deltas, 17, local_port(outside));
  ASSERT_NE(incoming, nullptr);
  EXPECT_EQ(incoming->tuple.source_port, 11);
  EXPECT_TRUE(incoming->unreachable);
  EXPECT_FALSE(incoming->first_is_out);
}

TEST_F(EbpfSourceKernel, EachDrainHasWhatCameSinceTheOneBefore) {
  start();
  const Socket server = udp_in(node, kNode), client = udp_in(*pod, kPod);
  for (std::uint64_t round = 1; round <= 5; ++round) {
    for (std::uint64_t i = 0; i < round; ++i) send_to(client, "12345678", kNode, local_port(server));
    const auto deltas = drain();
    const FlowDelta* d = find(deltas, 17, local_port(server));
    ASSERT_NE(d, nullptr);
    EXPECT_EQ(d->packets_out, round);
    EXPECT_EQ(d->bytes_out, round * 36);
    EXPECT_LE(d->first_ns, d->newest_ns);
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    EXPECT_NEAR(static_cast<double>(d->first_ns) / 1e9, static_cast<double>(now.tv_sec), 5);
  }
  EXPECT_TRUE(drain().empty());
}

TEST_F(EbpfSourceKernel, NothingIsLostOrCountedTwiceWhileDrainsRun) {
  start();
  const Socket server = udp_in(node, kNode), client = udp_in(*pod, kPod);
  std::atomic<bool> done{false};
  std::uint64_t sent = 0;
  std::thread sender([&] {
    while (!done) {
      send_to(client, "12345678", kNode, local_port(server));
      ++sent;
    }
  });
  std::uint64_t seen = 0;
  const auto take = [&] {
    for (const FlowDelta& d : drain()) {
      if (d.tuple.dest_port == local_port(server)) seen += d.packets_out;
    }
  };
  for (int i = 0; i < 50; ++i) take();
  done = true;
  sender.join();
  take();
  EXPECT_EQ(seen, sent);
  EXPECT_GT(sent, 1000u);
}

TEST_F(EbpfSourceKernel, CountsWhatAFullMapCannotHold) {
  start({.max_flows = 64});
  const Socket client = udp_in(*pod, kPod);
  const Socket server = udp_in(node, kNode);
  const std::uint64_t flows = 500;
  // Two packets each; nobody listens there, so nothing comes back but ICMP.
  for (int turn = 0; turn < 2; ++turn) {
    for (std::uint64_t i = 0; i < flows; ++i) send_to(client, "12345678", kNode, std::uint16_t(20'000 + i));
  }
  std::uint64_t packets = 0, bytes = 0;
  for (const FlowDelta& d : drain()) {
    if (d.tuple.protocol == 17) packets += d.packets_out, bytes += d.bytes_out;
  }
  const EbpfStats stats = source->stats();
  EXPECT_LT(packets, 2 * flows);
  EXPECT_GE(stats.flows, 64u);
  EXPECT_GE(packets + stats.lost_full.packets, 2 * flows);
  EXPECT_GE(bytes + stats.lost_full.bytes, 2 * flows * 36);
  // Not more than ICMP errors on top, of which the kernel sends few.
  EXPECT_LT(packets + stats.lost_full.packets, 2 * flows + flows);
  EXPECT_EQ(stats.lost_busy.packets, 0u);
}

TEST_F(EbpfSourceKernel, HandsOnDnsMessagesWhole) {
  start();
  const Socket server = udp_in(node, kNode, 53), client = udp_in(*pod, kPod);
  const std::string question(40, 'q'), answer(1200, 'a');
  send_to(client, question, kNode, 53);
  send_to(server, answer, kPod, local_port(client));
  const auto views = source->packets();
  ASSERT_EQ(views.size(), 2u);
  packet::Decoder decoder;
  packet::DecodedPacket p;
  ASSERT_EQ(decoder.decode(views[0], p), packet::DecodeStatus::kOk);
  EXPECT_TRUE(views[0].from_pod);
  EXPECT_EQ(views[0].zone, 1);
  EXPECT_EQ(p.tuple.dest_port, 53);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(p.payload), p.payload_captured), question);
  ASSERT_EQ(decoder.decode(views[1], p), packet::DecodeStatus::kOk);
  EXPECT_FALSE(views[1].from_pod);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(p.payload), p.payload_captured), answer);
  EXPECT_TRUE(source->packets().empty());
  EXPECT_EQ(source->stats().dns_frames, 2u);
}

TEST_F(EbpfSourceKernel, HandsOnTheHeadsOfHttpAndNothingElseOfIt) {
  start({.http_bytes = 600});
  const Socket listener = listen_in(node, kNode);
  Socket client;
  ASSERT_EQ(connect_from(*pod, kNode, local_port(listener), client), 0);
  const Socket server = accept_at(listener);
  for (int turn = 0; turn < 3; ++turn) {
    const std::string request = "GET /" + std::to_string(turn) + " HTTP/1.1\r\nHost: shop\r\n\r\n";
    client.send_all(request);
    EXPECT_EQ(server.receive(request.size()), request);
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n";
    std::thread answerer([&] { server.send_all(head + std::string(500'000, 'b')); });
    EXPECT_EQ(client.receive(head.size() + 500'000).size(), head.size() + 500'000);
    answerer.join();
  }
  std::vector<std::string> starts;
  packet::Decoder decoder;
  for (auto views = source->packets(); !views.empty(); views = source->packets()) {
    for (const auto& view : views) {
      packet::DecodedPacket p;
      ASSERT_EQ(decoder.decode(view, p), packet::DecodeStatus::kOk);
      EXPECT_LE(view.captured_bytes, 600u);
      starts.emplace_back(reinterpret_cast<const char*>(p.payload), 10);
    }
  }
  EXPECT_EQ(starts, (std::vector<std::string>{"GET /0 HTT", "HTTP/1.1 2", "GET /1 HTT", "HTTP/1.1 2", "GET /2 HTT",
                                              "HTTP/1.1 2"}));
}

TEST_F(EbpfSourceKernel, CountsFramesThatTheRingCannotHoldAndWakesTheReader) {
  start({.ring_bytes = 65'536});
  const Socket server = udp_in(node, kNode, 53), client = udp_in(*pod, kPod);
  pollfd wait{source->fd(), POLLIN, 0};
  send_to(client, std::string(40, 'q'), kNode, 53);
  EXPECT_EQ(source->packets().size(), 1u);
  const std::uint64_t sent = 1000;
  for (std::uint64_t i = 0; i < sent; ++i) send_to(client, std::string(40, 'q'), kNode, 53);
  EXPECT_EQ(::poll(&wait, 1, 1000), 1) << "a ring that is a quarter full wakes";
  std::uint64_t seen = 0;
  for (auto views = source->packets(); !views.empty(); views = source->packets()) seen += views.size();
  const EbpfStats stats = source->stats();
  EXPECT_GT(stats.dns_dropped, 0u);
  EXPECT_EQ(seen + stats.dns_dropped, sent);
  EXPECT_EQ(stats.dns_frames, seen + 1);
}

TEST_F(EbpfSourceKernel, AnInterfaceThatGoesAwayLeavesItsCounts) {
  start();
  const Socket server = udp_in(node, kNode), client = udp_in(*pod, kPod);
  send_to(client, "12345678", kNode, local_port(server));
  ip("link del cali1");
  source->detach(interface);
  const auto deltas = drain();
  const FlowDelta* d = find(deltas, 17, local_port(server));
  ASSERT_NE(d, nullptr);
  EXPECT_EQ(d->packets_out, 1u);
  EXPECT_EQ(d->zone, 1);
  EXPECT_TRUE(drain().empty());
  node.run([&] {
    const Status again = source->attach(interface);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, ErrorCode::kNotFound) << again.error().message;
  });
  EXPECT_EQ(source->stats().unknown_interface_flows, 0u);
}

TEST_F(EbpfSourceKernel, ADetachedInterfaceIsNotCounted) {
  for (const bool tcx : {true, false}) {
    start({.tcx = tcx});
    node.run([&] { source->detach(interface); });
    const Socket server = udp_in(node, kNode), client = udp_in(*pod, kPod);
    send_to(client, "12345678", kNode, local_port(server));
    EXPECT_EQ(find(drain(), 17, local_port(server)), nullptr);
    node.run([&] { source.reset(); });
  }
}

TEST_F(EbpfSourceKernel, ASecondAgentCountsTheSame) {
  start();
  auto first = std::move(source);
  start();
  const Socket server = udp_in(node, kNode), client = udp_in(*pod, kPod);
  send_to(client, "12345678", kNode, local_port(server));
  const auto deltas = drain();
  const FlowDelta* d = find(deltas, 17, local_port(server));
  ASSERT_NE(d, nullptr);
  EXPECT_EQ(d->packets_out, 1u);
  std::swap(first, source);
  const auto others = drain();
  EXPECT_NE(find(others, 17, local_port(server)), nullptr);
}

}  // namespace
}  // namespace weir::capture
