#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "base/socket_address.h"

namespace weir::testing {

/// A client of raw bytes, for tests of HTTP servers. A test that hangs fails after 20 s.
class RawClient {
 public:
  explicit RawClient(const SocketAddress& address) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    to.sin_addr.s_addr = htonl(address.ip.v4_host_order());
    timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { ::close(fd_); }

  bool connected() const { return connected_; }
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void finish() { ::shutdown(fd_, SHUT_WR); }
  /// Up to the end of the connection.
  std::string read_all() {
    std::string text;
    char chunk[4096];
    for (ssize_t got; (got = ::recv(fd_, chunk, sizeof chunk, 0)) > 0;) {
      text.append(chunk, static_cast<std::size_t>(got));
    }
    return text;
  }
  /// Up to and with `mark`.
  std::string read_to(std::string_view mark) {
    std::string text;
    char c;
    while (!text.ends_with(mark) && ::recv(fd_, &c, 1, 0) == 1) text += c;
    return text;
  }

 private:
  int fd_;
  bool connected_ = false;
};

/// "HTTP/1.1 200 OK"
inline std::string status_line(const std::string& response) { return response.substr(0, response.find("\r\n")); }
inline std::string body_of(const std::string& response) {
  const std::size_t at = response.find("\r\n\r\n");
  return at == std::string::npos ? "" : response.substr(at + 4);
}

}  // namespace weir::testing
