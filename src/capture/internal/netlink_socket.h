#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace weir::capture {

/// A non-blocking netlink socket to the kernel's netfilter part. Owns its descriptor. Threads: one.
class NetlinkSocket {
 public:
  NetlinkSocket() = default;
  NetlinkSocket(NetlinkSocket&& other) noexcept;
  NetlinkSocket& operator=(NetlinkSocket&& other) noexcept;
  ~NetlinkSocket();

  /// `receive_buffer_bytes`: asked for with SO_RCVBUFFORCE, and within the system's limit if that is not allowed.
  static Result<NetlinkSocket> open(std::uint32_t receive_buffer_bytes);

  Status join(int group);
  Status send(std::span<const std::uint8_t> request);
  int fd() const { return fd_; }
  /// What the kernel granted, in its own count (twice what is usable).
  std::uint32_t receive_buffer_bytes() const;
  /// Messages that the kernel dropped since the socket was opened, as its buffer was full.
  std::uint32_t lost_messages() const;

  enum class Received : std::uint8_t {
    kData,
    kNothing,  ///< the queue is empty
    kOverrun,  ///< messages were lost since the last call; the queue may hold more
    kFailed,   ///< errno tells why
  };

 private:
  int fd_ = -1;
};

/// Reads many datagrams with one system call each time. The datagrams of a read are valid until the next one.
class DatagramBatch {
 public:
  DatagramBatch(std::size_t count, std::size_t bytes_each);

  NetlinkSocket::Received receive(const NetlinkSocket& socket);
  std::size_t size() const { return size_; }
  std::span<const std::uint8_t> operator[](std::size_t i) const {
    return {buffer_.get() + i * each_, headers_[i].msg_len};
  }
  /// The datagram was longer than the place for it: its end is missing.
  bool truncated(std::size_t i) const { return (headers_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0; }

 private:
  std::size_t each_, size_ = 0;
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::vector<iovec> places_;
  std::vector<mmsghdr> headers_;
};

}  // namespace weir::capture
