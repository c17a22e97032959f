#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::flowlog {

struct LogFileOptions {
  /// A file that would grow past this is rotated first. A single longer line gets a file of its own.
  std::uint64_t max_bytes = 100 * 1024 * 1024;
  /// Rotated files that are kept, NAME.1 (the youngest) to NAME.N. At least 1.
  int max_files = 5;
  /// fdatasync after each flush: lines survive a power cut, not only the death of the process.
  bool sync = false;
  /// Lines held while the disk does not take them; beyond it the newest are dropped (counted).
  std::size_t max_buffered_bytes = 64 * 1024 * 1024;
  /// Called once a change of state (failing, dropping, well again, repaired, opened anew), never once a line.
  std::function<void(std::string_view)> note;
};

struct LogFileStats {
  std::uint64_t lines_written = 0, bytes_written = 0;
  /// Lines beyond the bound while the disk was full or failing, or left over at close().
  std::uint64_t lines_dropped = 0, bytes_dropped = 0;
  std::uint64_t rotations = 0;
  /// The file was moved or removed by somebody else, and opened anew.
  std::uint64_t reopened = 0;
  /// Attempts to write that failed.
  std::uint64_t failures = 0;
  std::uint64_t sync_failures = 0;
  /// Bytes of unfinished lines that were cut off.
  std::uint64_t torn_bytes = 0;
  /// The last attempt failed: lines wait in memory.
  bool failing = false;
};

/// A log of whole lines: the active file has a fixed name and is rotated by size between lines.
///
/// Crash:   whatever kills the process, the files hold whole lines only, once it was opened again: a line without its
///          newline at the end is cut off. A flush is one write(2) where it fits, and space for it is reserved first,
///          so a full disk refuses all of it. What is written short all the same is cut back to its last whole line.
/// Rotate:  NAME.4 to NAME.5, …, NAME to NAME.1, then a new NAME. Inodes stay, so tailers that know them lose nothing.
/// Fail:    lines wait in memory and are tried again after 0.1 s, doubling to 5 s, in their order.
/// Others:  a second process on the same file is refused (flock). A file that was moved, removed or truncated by
///          somebody else is noticed at the next flush.
/// Bounds:  max_buffered_bytes and one batch.      Threads: one.
class LogFile {
 public:
  /// Opens or creates `directory`/`name`, and the directory.
  static Result<std::unique_ptr<LogFile>> open(const std::string& directory, const std::string& name,
                                               LogFileOptions options);
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  /// Without writing what is buffered: call close().
  ~LogFile();

  /// Append whole lines here, each with its newline; flush() writes them.
  std::string& buffer() { return buffer_; }
  bool wants_flush() const { return buffer_.size() >= kFlushBytes; }
  /// Writes all lines, or keeps them for later: true if none are left. `now_ns`: a clock that only goes forward.
  bool flush(std::int64_t now_ns);
  /// One last attempt, whenever the last one was. The error tells how many lines are lost. The file is closed then.
  Status close();

  /// For a change of settings; the next flush goes by them.
  void set_limits(std::uint64_t max_bytes, int max_files);
  const std::string& path() const { return path_; }
  /// Of the active file.
  std::uint64_t size() const { return size_; }
  const LogFileStats& stats() const { return stats_; }

 private:
  static constexpr std::size_t kFlushBytes = 256 * 1024;
  LogFile(std::string path, LogFileOptions options) : path_(std::move(path)), options_(std::move(options)) {}

  Status open_active();
  Status ensure_open();
  Status cut_torn_tail();
  Status write_lines();
  Status append(std::string_view lines, std::size_t& taken);
  Status rotate();
  void failed(std::int64_t now_ns, const Error& error);
  void recovered();
  void drop_from(std::size_t at);
  void note(const std::string& text) const;
  std::string rotated_path(int number) const { return path_ + '.' + std::to_string(number); }

  std::string path_;
  LogFileOptions options_;
  int fd_ = -1;
  std::uint64_t device_ = 0, inode_ = 0;
  /// Where the last whole line ends; what lies behind it, if `torn_`, must be cut off before the next write.
  std::uint64_t size_ = 0;
  bool torn_ = false;
  std::string buffer_;
  std::int64_t backoff_ns_ = 0, retry_at_ns_ = 0;
  std::uint64_t dropped_before_ = 0;
  LogFileStats stats_;
};

}  // namespace weir::flowlog
