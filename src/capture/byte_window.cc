#include "capture/internal/byte_window.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir::capture {

Result<ByteWindow> ByteWindow::of_file(int fd) {
  ByteWindow window;
  window.buffer_ = std::make_unique_for_overwrite<std::uint8_t[]>(kMaxNeed + kReadBytes);
  window.fd_ = fd;
  // Enough to tell what it is: a pipe may give its bytes one by one.
  TRY(window.refill(0, kLongestMagic));
  return window;
}

Status ByteWindow::refill(std::size_t count, std::size_t need) {
  CHECK(bytes_.size() - count <= kMaxNeed && need <= kMaxNeed);
  std::size_t have = bytes_.size() - count;
  if (have > 0) std::memmove(buffer_.get(), bytes_.data() + count, have);
  offset_ += count;
  do {
    const ssize_t got = ::read(fd_, buffer_.get() + have, kReadBytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      fd_ = -1;
      bytes_ = {buffer_.get(), have};
      if (got == 0) return {};
      return Error{ErrorCode::kUnavailable, std::string("read: ") + std::strerror(errno)};
    }
    have += static_cast<std::size_t>(got);
  } while (have < need);
  bytes_ = {buffer_.get(), have};
  return {};
}

}  // namespace weir::capture
