#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "capture/capture_file.h"
#include "capture/ebpf_source.h"
#include "capture/network_fixture.h"
#include "packet/decoder.h"

namespace weir::capture {

/// A socket that closes itself. Blocking calls give up after 5 s.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {
    const timeval limit{5, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Socket() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }

  void send_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0) << strerror(errno);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  std::string receive(std::size_t bytes) const {
    std::string all(bytes, '\0');
    std::size_t got = 0;
    while (got < bytes) {
      const ssize_t n = ::recv(fd_, all.data() + got, bytes - got, 0);
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    all.resize(got);
    return all;
  }

 private:
  int fd_ = -1;
};

/// An address to bind or connect to.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  Address(const std::string& text, std::uint16_t port) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      size = sizeof(*v4);
    } else {
      inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr);
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(port);
      size = sizeof(*v6);
    }
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

inline std::uint16_t local_port(const Socket& socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&storage), &size);
  return ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
}

/// tcpdump at an interface, into a file that goes with the object.
class Tcpdump {
 public:
  Tcpdump(const NetworkNamespace& where, const std::string& interface) {
    char name[] = "/tmp/weir-capture-XXXXXX";
    close(mkstemp(name));
    path_ = name;
    int told[2];
    if (pipe2(told, O_CLOEXEC) != 0) std::abort();
    where.run([&] {
      pid_ = fork();
      if (pid_ != 0) return;
      dup2(told[1], 2);
      execlp("tcpdump", "tcpdump", "-i", interface.c_str(), "-w", path_.c_str(), "-U", "-s", "256", "-B", "8192",
             "--immediate-mode", "-Z", "root", nullptr);
      _exit(127);
    });
    ::close(told[1]);
    // It says on stderr when it listens.
    std::string said;
    char c = 0;
    while (said.find("listening on") == std::string::npos && read(told[0], &c, 1) == 1) said += c;
    stderr_ = told[0];
    EXPECT_NE(said.find("listening on"), std::string::npos) << said;
  }
  ~Tcpdump() {
    stop();
    unlink(path_.c_str());
  }
  /// Everything it saw, decoded.
  std::vector<packet::DecodedPacket> stop() {
    if (pid_ > 0) {
      kill(pid_, SIGINT);
      char rest[4096];
      while (read(stderr_, rest, sizeof(rest)) > 0) continue;
      waitpid(std::exchange(pid_, 0), nullptr, 0);
      ::close(stderr_);
    }
    std::vector<packet::DecodedPacket> all;
    auto file = CaptureFile::open(path_);
    if (!file.ok()) return all;
    packet::Decoder decoder;
    std::array<packet::PacketView, 64> views;
    while (const std::size_t count = file.value()->next_batch(views)) {
      for (std::size_t i = 0; i < count; ++i) {
        packet::DecodedPacket packet;
        if (decoder.decode(views[i], packet) == packet::DecodeStatus::kOk) all.push_back(packet);
      }
    }
    return all;
  }

 private:
  std::string path_;
  pid_t pid_ = 0;
  int stderr_ = -1;
};

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
class EbpfTest : public NetworkTest {
 protected:
  static constexpr const char* kNode = "10.7.0.1";
  static constexpr const char* kPod = "10.7.0.2";

  void SetUp() override {
    NetworkTest::SetUp();
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
