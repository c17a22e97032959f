#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>

namespace weir::tests {

/// A network namespace without a name, held by a descriptor: the kernel removes it and all in it once nobody holds it,
/// however the test ends.
class NetworkNamespace {
 public:
  /// Empty, but for a loopback interface that is down. fd() < 0 if the kernel refuses.
  NetworkNamespace() {
    const int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (before >= 0 && unshare(CLONE_NEWNET) == 0) {
      fd_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
      if (setns(before, CLONE_NEWNET) != 0) std::abort();
    }
    const int error = errno;
    if (before >= 0) close(before);
    errno = error;
  }
  ~NetworkNamespace() {
    if (fd_ >= 0) close(fd_);
  }
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  int fd() const { return fd_; }
  /// As `ip link set … netns` takes it.
  std::string path() const { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_); }

  /// Runs `what` with this thread in the namespace; sockets made there stay in it.
  void run(const std::function<void()>& what) const {
    const int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (before < 0 || setns(fd_, CLONE_NEWNET) != 0) std::abort();
    what();
    if (setns(before, CLONE_NEWNET) != 0) std::abort();
    close(before);
  }
  /// Runs a shell command there; whether it succeeded.
  bool shell(const std::string& command) const {
    bool ok = false;
    run([&] { ok = std::system(command.c_str()) == 0; });
    return ok;
  }

 private:
  int fd_ = -1;
};

}  // namespace weir::tests
