#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "app/query_options.h"
#include "base/file.h"
#include "base/result.h"
#include "observe/record_scan.h"

namespace weir::app {

/// What was found wrong in files that were read, on standard error; false if something was.
bool report_bad_lines(const char* command, const observe::ScanStats& stats, bool silent);

/// What the agents of these logs say of losses in the range, on standard error: "EVENTS LOST: …".
/// Looks at agent.log beside each log; logs without one are passed over.
void report_losses(const std::vector<observe::LogFiles>& logs, const observe::TimeRange& range);

/// Waits until one of the logs may have grown, at most a second.
class LogWait {
 public:
  static Result<LogWait> create(const std::vector<observe::LogFiles>& logs);
  LogWait(LogWait&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  LogWait& operator=(LogWait&&) = delete;
  LogWait(const LogWait&) = delete;
  LogWait& operator=(const LogWait&) = delete;
  ~LogWait();
  void wait();

 private:
  explicit LogWait(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace weir::app
