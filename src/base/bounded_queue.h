#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir {

/// Hands values from one thread to another, in order; who adds to a full queue waits.
///
/// The reader may wait with epoll: fd() is readable as long as values are there. Nothing is lost but what is in the
/// queue when it is destroyed.
/// Bounds:  `capacity` values.     Threads: any number on both sides.
template <typename T>
class BoundedQueue {
 public:
  static Result<std::unique_ptr<BoundedQueue>> create(std::size_t capacity) {
    const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return Error{ErrorCode::kResourceExhausted, std::string("eventfd: ") + std::strerror(errno)};
    return std::unique_ptr<BoundedQueue>(new BoundedQueue(capacity, fd));
  }
  ~BoundedQueue() { ::close(fd_); }
  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  /// Waits for room. False: `stop` was requested first, and the value was not added.
  bool push(T value, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (!has_room_.wait(lock, stop, [this] { return values_.size() < capacity_; })) return false;
    values_.push_back(std::move(value));
    if (values_.size() == 1) signal();
    return true;
  }

  /// Moves up to `most` values to the end of `out`; returns how many. Does not wait.
  std::size_t pop(std::vector<T>& out, std::size_t most) {
    std::size_t taken = 0;
    {
      const std::lock_guard lock(mutex_);
      while (taken < most && !values_.empty()) {
        out.push_back(std::move(values_.front()));
        values_.pop_front();
        ++taken;
      }
      if (taken > 0 && values_.empty()) drain_signal();
    }
    if (taken > 0) has_room_.notify_all();
    return taken;
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }
  int fd() const { return fd_; }

 private:
  BoundedQueue(std::size_t capacity, int fd) : capacity_(capacity), fd_(fd) {}
  // Both under the lock, so that the descriptor says what the queue holds. They cannot fail: the count never overflows.
  void signal() { CHECK(::eventfd_write(fd_, 1) == 0); }
  void drain_signal() {
    eventfd_t count = 0;
    CHECK(::eventfd_read(fd_, &count) == 0);
  }

  const std::size_t capacity_;
  const int fd_;
  mutable std::mutex mutex_;
  std::condition_variable_any has_room_;
  std::deque<T> values_;
};

}  // namespace weir
