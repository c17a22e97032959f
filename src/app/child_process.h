#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::app {

/// A program that this process started, in a process group of its own. It gets SIGTERM when we die, however that is.
/// Threads: one, and no other may run when start() is called.
class ChildProcess {
 public:
  struct Options {
    /// A new file for its standard error; empty: nowhere.
    std::string error_file;
    /// output() reads its standard output, without blocking; else that goes nowhere.
    bool pipe_output = false;
  };
  /// `words[0]` is looked up in PATH. The error is that of the fork or the pipe: a program that cannot be started ends
  /// with exit code 127.
  static Result<ChildProcess> start(const std::vector<std::string>& words, const Options& options);
  ChildProcess(ChildProcess&& other) noexcept { swap(other); }
  ChildProcess& operator=(ChildProcess&& other) noexcept {
    swap(other);
    return *this;
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  /// Kills it if it still runs.
  ~ChildProcess();

  int output() const { return output_; }
  bool running();
  /// Of one that ended: what wait(2) tells. Only then.
  int wait_status() const { return wait_status_; }
  /// Sends SIGTERM.
  void ask_to_end() const;
  /// Waits until it ended; false: it had to be killed.
  bool wait(std::chrono::milliseconds patience);

 private:
  ChildProcess() = default;
  void swap(ChildProcess& other) {
    std::swap(pid_, other.pid_);
    std::swap(output_, other.output_);
    std::swap(wait_status_, other.wait_status_);
  }

  /// 0: it ended, or never began.
  pid_t pid_ = 0;
  int output_ = -1;
  int wait_status_ = 0;
};

}  // namespace weir::app
