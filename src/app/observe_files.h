#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/output_options.h"
#include "app/pager.h"
#include "base/file.h"
#include "base/result.h"
#include "observe/follower.h"
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

/// What a command prints of log files.
struct FilesToPrint {
  const char* command;
  std::vector<std::string> names;
  observe::Selection selection;
  observe::PrintOptions print;
  bool follow = false, pager = true, silent = false;
};

/// Prints the records of a selection, and of those that come if it follows.
template <model::LogType kLog, typename Printer>
class FilePrinter {
 public:
  using Record = model::RecordOf<kLog>;
  FilePrinter(observe::RecordScan<kLog> scan, Printer printer, OutputFile out)
      : scan_(std::move(scan)), printer_(std::move(printer)), out_(std::move(out)) {}

  Status run(bool follow) {
    Progress progress("reading");
    scan_.lines().on_progress([&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
    if (follow) scan_.lines().leave_unfinished();
    printer_.begin(out_.buffer());
    TRY(scan_.run([&](const Record& record, std::string_view line) { print(record, line); }));
    progress.clear();
    if (follow) TRY(follow_files());
    printer_.end(out_.buffer());
    TRY(failure_);
    return out_.close();
  }
  const observe::ScanStats& stats() { return scan_.lines().stats(); }
  const std::vector<observe::LogFiles>& logs() { return scan_.lines().logs(); }
  /// Of the records that were printed.
  observe::TimeRange printed_range() const { return printed_; }

 private:
  void print(const Record& record, std::string_view line) {
    printed_.from = std::min(printed_.from, record.start_time);
    printed_.to = std::max(printed_.to, record.end_time);
    printer_.print(record, line, record.host == "-" ? std::string_view() : record.host, out_.buffer());
    if (failure_.ok()) failure_ = out_.flush_if_large();
  }

  Status follow_files() {
    TRY(out_.flush());
    std::vector<observe::LogFiles>& logs = scan_.lines().logs();
    TRY_ASSIGN(LogWait wait, LogWait::create(logs));
    std::vector<observe::Follower> followers;
    for (std::size_t log = 0; log < logs.size(); ++log) {
      if (logs[log].path == "-") continue;
      followers.emplace_back(std::move(logs[log].generations.back()), scan_.lines().end_of(log));
    }
    // Standard input has ended.
    while (!followers.empty() && failure_.ok()) {
      for (std::size_t log = 0; log < followers.size(); ++log) {
        TRY(followers[log].poll([&](std::string_view line) {
          scan_.offer({line, log}, [&](const Record& record, std::string_view text) { print(record, text); });
        }));
      }
      TRY(out_.flush());
      wait.wait();
    }
    return {};
  }

  observe::RecordScan<kLog> scan_;
  Printer printer_;
  OutputFile out_;
  observe::TimeRange printed_{std::numeric_limits<std::int64_t>::max(), 0};
  Status failure_;
};

/// The exit code.
template <model::LogType kLog, typename Printer>
Result<int> print_files(FilesToPrint files) {
  TRY_ASSIGN(std::vector<observe::LogFiles> logs,
             observe::find_log_files(files.names, std::string(model::to_string(kLog)) + ".log"));
  TRY_ASSIGN(auto scan, observe::RecordScan<kLog>::create(std::move(logs), std::move(files.selection)));
  TRY_ASSIGN(OutputFile out, OutputFile::open("-"));
  const bool paged = files.pager && !files.follow && is_for_people(files.print.format);
  FilePrinter<kLog, Printer> printer(std::move(scan), Printer(std::move(files.print)), std::move(out));
  {
    const Pager pager(paged);
    TRY(printer.run(files.follow));
  }
  report_losses(printer.logs(), printer.printed_range());
  return report_bad_lines(files.command, printer.stats(), files.silent) ? 0 : 1;
}

}  // namespace weir::app
