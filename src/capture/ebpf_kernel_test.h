#pragma once

#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/ebpf_source.h"
#include "tests/support/live_traffic.h"
#include "tests/support/network_test.h"

namespace weir::capture {

using tests::Address;
using tests::local_port;
using tests::NetworkNamespace;
using tests::Socket;
using tests::Tcpdump;

/// Sums of one connection as the pod sees it.
struct Sums {
  std::uint64_t packets_out = 0, packets_in = 0, bytes_out = 0, bytes_in = 0;
  friend bool operator==(const Sums&, const Sums&) = default;
};
inline std::ostream& operator<<(std::ostream& out, const Sums& s) {
  return out << "out " << s.packets_out << " packets " << s.bytes_out << " B, in " << s.packets_in << " packets "
             << s.bytes_in << " B";
}
/// By the text of the pod's view of the tuple.
using SumsByTuple = std::map<std::string, Sums>;

inline std::string text_of(const model::Tuple& t) {
  return std::to_string(t.protocol) + " " + t.source.to_string() + " " + std::to_string(t.source_port) + " " +
         t.dest.to_string() + " " + std::to_string(t.dest_port);
}

/// A node and a pod behind a veth pair, 10.7.0.1 and 10.7.0.2, fd07::1 and fd07::2.
class EbpfTest : public tests::NetworkTest {
 protected:
  static constexpr const char* kNode = "10.7.0.1";
  static constexpr const char* kPod = "10.7.0.2";

  void SetUp() override {
    tests::NetworkTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    pod = std::make_unique<NetworkNamespace>();
    ip("link set lo up");
    ip("link add cali1 type veth peer name eth0 netns " + pod->path());
    ip("addr add 10.7.0.1/24 dev cali1");
    ip("addr add fd07::1/64 dev cali1 nodad");
    ip("link set cali1 up");
    ASSERT_TRUE(
        pod->shell("ip link set lo up && ip addr add 10.7.0.2/24 dev eth0 && "
                   "ip addr add fd07::2/64 dev eth0 nodad && ip link set eth0 up"));
    node.run([&] { interface.index = static_cast<int>(if_nametoindex("cali1")); });
    interface.zone = 1;
    interface.name = "cali1";
    interface.since_ns = 12345;
  }
  void TearDown() override {
    // A clsact filter is taken off by netlink, in the node's namespace.
    node.run([&] { source.reset(); });
  }

  void start(EbpfOptions options = {}, bool attach = true) {
    node.run([&] {
      auto made = EbpfSource::create(std::move(options));
      ASSERT_TRUE(made.ok()) << made.error().message;
      source = std::move(made).value();
      if (!attach) return;
      const Status attached = source->attach(interface);
      ASSERT_TRUE(attached.ok()) << attached.error().message;
    });
  }
  /// One round, all batches.
  std::vector<model::FlowDelta> drain() {
    std::vector<model::FlowDelta> all;
    for (;;) {
      auto batch = source->drain();
      EXPECT_TRUE(batch.ok()) << batch.error().message;
      if (!batch.ok() || batch.value().empty()) return all;
      all.insert(all.end(), batch.value().begin(), batch.value().end());
    }
  }
  static SumsByTuple sums(const std::vector<model::FlowDelta>& deltas) {
    SumsByTuple all;
    for (const model::FlowDelta& d : deltas) {
      Sums& s = all[text_of(d.tuple)];
      s.packets_out += d.packets_out;
      s.packets_in += d.packets_in;
      s.bytes_out += d.bytes_out;
      s.bytes_in += d.bytes_in;
    }
    return all;
  }
  /// The same of a capture at the interface.
  static SumsByTuple sums(const std::vector<packet::DecodedPacket>& packets) {
    const IpAddress pods[] = {IpAddress::parse(kPod).value(), IpAddress::parse("fd07::2").value()};
    SumsByTuple all;
    for (const packet::DecodedPacket& p : packets) {
      const bool out = p.tuple.source == pods[0] || p.tuple.source == pods[1];
      model::Tuple tuple = p.tuple;
      const bool icmp = tuple.protocol == 1 || tuple.protocol == 58;
      if (!out) std::swap(tuple.source, tuple.dest);
      if (!out && !icmp) std::swap(tuple.source_port, tuple.dest_port);
      // Neighbour discovery with link-local addresses comes whenever it likes.
      if (tuple.protocol == 58 && tuple.dest_port >> 8 != 128) continue;
      Sums& s = all[text_of(tuple)];
      ++(out ? s.packets_out : s.packets_in);
      (out ? s.bytes_out : s.bytes_in) += p.ip_bytes;
    }
    return all;
  }
  /// Without what the kernel sends by itself.
  static std::vector<model::FlowDelta> without_neighbours(std::vector<model::FlowDelta> deltas) {
    std::erase_if(deltas,
                  [](const model::FlowDelta& d) { return d.tuple.protocol == 58 && d.tuple.dest_port >> 8 != 128; });
    return deltas;
  }

  Socket listen_in(const NetworkNamespace& where, const std::string& address, std::uint16_t port = 0) {
    Socket socket;
    where.run([&] {
      const Address at(address, port);
      socket = Socket(::socket(at.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      ASSERT_EQ(bind(socket.fd(), at.get(), at.size), 0) << strerror(errno);
      ASSERT_EQ(listen(socket.fd(), 64), 0);
    });
    return socket;
  }
  /// 0, or the error.
  int connect_from(const NetworkNamespace& where, const std::string& address, std::uint16_t port, Socket& socket) {
    int error = 0;
    where.run([&] {
      const Address to(address, port);
      socket = Socket(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      if (connect(socket.fd(), to.get(), to.size) != 0) error = errno;
    });
    return error;
  }
  static Socket accept_at(const Socket& listener) {
    return Socket(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  Socket udp_in(const NetworkNamespace& where, const std::string& address, std::uint16_t port = 0) {
    Socket socket;
    where.run([&] {
      const Address at(address, port);
      socket = Socket(::socket(at.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(bind(socket.fd(), at.get(), at.size), 0) << strerror(errno);
    });
    return socket;
  }
  static void send_to(const Socket& socket, std::string_view bytes, const std::string& address, std::uint16_t port) {
    const Address to(address, port);
    ASSERT_EQ(sendto(socket.fd(), bytes.data(), bytes.size(), 0, to.get(), to.size), ssize_t(bytes.size()))
        << strerror(errno);
  }

  std::unique_ptr<NetworkNamespace> pod;
  PodInterface interface;
  std::unique_ptr<EbpfSource> source;
};

}  // namespace weir::capture
