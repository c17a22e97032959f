#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/capture_file.h"
#include "packet/decoder.h"
#include "tests/support/network_namespace.h"

namespace weir::tests {

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
    auto file = capture::CaptureFile::open(path_);
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

}  // namespace weir::tests
