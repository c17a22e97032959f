#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

/// Sockets for tests that make traffic of their own, on ports that the kernel chooses.
namespace weir::testing {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) { EXPECT_GE(fd, 0) << std::strerror(errno); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  std::uint16_t port() const { return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port); }
};

inline Address address(const char* ip, std::uint16_t port) {
  Address out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.size = sizeof *v4;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, ip, &v6->sin6_addr), 1);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.size = sizeof *v6;
  }
  return out;
}

inline Address name_of(const Fd& fd) {
  Address out;
  out.size = sizeof out.storage;
  EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&out.storage), &out.size), 0);
  return out;
}

inline Fd bound_socket(int type, const char* ip) {
  const Address any = address(ip, 0);
  Fd fd(socket(any.get()->sa_family, type, 0));
  EXPECT_EQ(bind(fd.get(), any.get(), any.size), 0) << std::strerror(errno);
  EXPECT_TRUE(type != SOCK_STREAM || listen(fd.get(), 64) == 0);
  return fd;
}

inline void send_udp(const Fd& from, const Address& to, std::size_t bytes) {
  const std::string data(bytes, 'x');
  EXPECT_EQ(sendto(from.get(), data.data(), bytes, 0, to.get(), to.size), static_cast<ssize_t>(bytes));
}

inline Fd connect_tcp(const Address& to) {
  Fd fd(socket(to.get()->sa_family, SOCK_STREAM, 0));
  EXPECT_EQ(connect(fd.get(), to.get(), to.size), 0) << std::strerror(errno);
  return fd;
}

}  // namespace weir::testing
