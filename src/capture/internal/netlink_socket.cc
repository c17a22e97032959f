#include "capture/internal/netlink_socket.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace weir::capture {
namespace {

Error system_error(const std::string& what) {
  const ErrorCode code = errno == EPERM || errno == EACCES ? ErrorCode::kPermissionDenied : ErrorCode::kUnavailable;
  return {code, what + ": " + std::strerror(errno) +
                    (code == ErrorCode::kPermissionDenied ? " (CAP_NET_ADMIN is needed)" : "")};
}

}  // namespace

NetlinkSocket::NetlinkSocket(NetlinkSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

NetlinkSocket& NetlinkSocket::operator=(NetlinkSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

NetlinkSocket::~NetlinkSocket() {
  if (fd_ >= 0) close(fd_);
}

Result<NetlinkSocket> NetlinkSocket::open(std::uint32_t receive_buffer_bytes) {
  NetlinkSocket made;
  made.fd_ = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
  if (made.fd_ < 0) return system_error("netfilter netlink socket");
  const int size = static_cast<int>(receive_buffer_bytes);
  if (setsockopt(made.fd_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
    // Not allowed without CAP_NET_ADMIN over the initial namespace: take what net.core.rmem_max gives.
    if (setsockopt(made.fd_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) != 0) return system_error("netlink SO_RCVBUF");
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(made.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return system_error("bind netfilter netlink socket");
  }
  return made;
}

Status NetlinkSocket::join(int group) {
  if (setsockopt(fd_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return system_error("join netfilter netlink group " + std::to_string(group));
  }
  return {};
}

Status NetlinkSocket::send(std::span<const std::uint8_t> request) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent =
      sendto(fd_, request.data(), request.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent < 0) return system_error("send netfilter netlink request");
  return {};
}

std::uint32_t NetlinkSocket::receive_buffer_bytes() const {
  int size = 0;
  socklen_t length = sizeof size;
  if (getsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &size, &length) != 0) return 0;
  return static_cast<std::uint32_t>(size);
}

std::uint32_t NetlinkSocket::lost_messages() const {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t length = sizeof memory;
  if (getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, memory.data(), &length) != 0) return 0;
  return memory[SK_MEMINFO_DROPS];
}

DatagramBatch::DatagramBatch(std::size_t count, std::size_t bytes_each)
    : each_(bytes_each), buffer_(new std::uint8_t[count * bytes_each]), places_(count), headers_(count) {
  for (std::size_t i = 0; i < count; ++i) {
    places_[i] = {buffer_.get() + i * each_, each_};
    headers_[i] = {};
    headers_[i].msg_hdr.msg_iov = &places_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
  }
}

NetlinkSocket::Received DatagramBatch::receive(const NetlinkSocket& socket) {
  size_ = 0;
  int got;
  do {
    got = recvmmsg(socket.fd(), headers_.data(), static_cast<unsigned>(headers_.size()), MSG_DONTWAIT, nullptr);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    size_ = static_cast<std::size_t>(got);
    return NetlinkSocket::Received::kData;
  }
  if (got == 0 || errno == EAGAIN || errno == EWOULDBLOCK) return NetlinkSocket::Received::kNothing;
  return errno == ENOBUFS ? NetlinkSocket::Received::kOverrun : NetlinkSocket::Received::kFailed;
}

}  // namespace weir::capture
