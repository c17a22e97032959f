#pragma once

#include <chrono>
#include <csignal>
#include <ctime>

namespace weir::app {

/// SIGTERM and SIGINT of a program whose threads do the work. Made before there are threads: it blocks the signals, and
/// threads inherit that.
class EndOfWork {
 public:
  EndOfWork() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGTERM);
    ::sigaddset(&signals_, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  /// True: one of them came within `time`.
  bool wait(std::chrono::milliseconds time) const {
    const timespec limit{time.count() / 1000, time.count() % 1000 * 1'000'000};
    return ::sigtimedwait(&signals_, nullptr, &limit) > 0;
  }

 private:
  sigset_t signals_{};
};

}  // namespace weir::app
