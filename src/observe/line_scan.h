#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "observe/log_files.h"
#include "observe/prefilter.h"

namespace weir::observe {

/// A line of a log, without its newline.
struct Line {
  std::string_view text;
  /// Index of its log in those that are read.
  std::size_t log = 0;
};

enum class Verdict : std::uint8_t {
  kPass,  ///< not wanted
  kTake,
  kBad,   ///< no record; counted
  kStop,  ///< not wanted, nor is any other
};

struct ScanStats {
  std::uint64_t bytes_read = 0, lines_taken = 0, bad_lines = 0;
  /// The first of them: "flows.log, byte 1234".
  std::string first_bad;
};

/// Reads the lines of logs that may pass a filter, forward or from their end, in blocks.
///
/// Order:   log after log, of each the oldest file first; last() gives the same order.
/// Torn:    a last line without its newline, if it is no record, is still being written: passed over.
/// Bounds:  one block, which grows to the longest line; 16 MiB. last(): the lines that it gives.
class LineScan {
 public:
  static constexpr std::size_t kBlockBytes = 1024 * 1024;
  static constexpr std::size_t kMaxLineBytes = 16 * 1024 * 1024;

  LineScan(std::vector<LogFiles> logs, Prefilter prefilter)
      : logs_(std::move(logs)), prefilter_(std::move(prefilter)), ends_(logs_.size(), 0) {}

  using Examine = std::function<Verdict(const Line&)>;
  /// Shows every line that the prefilter lets through.
  Status forward(const Examine& examine);

  struct OwnedLine {
    std::string text;
    std::size_t log = 0;
  };
  /// The last `count` lines of each log that `examine` takes, read from the end.
  /// Errors: kUnsupported for what cannot be read backward (a pipe): use forward().
  Result<std::vector<OwnedLine>> last(std::size_t count, const Examine& examine);

  /// Leaves a last line without its newline for who follows the log, whatever it holds.
  void leave_unfinished() { leave_unfinished_ = true; }
  /// How far the log's active file was read.
  std::uint64_t end_of(std::size_t log) const { return ends_[log]; }

  /// Called after each block with the bytes read of `total` (0: not known).
  void on_progress(std::function<void(std::uint64_t read, std::uint64_t total)> call) { progress_ = std::move(call); }
  const ScanStats& stats() const { return stats_; }
  std::vector<LogFiles>& logs() { return logs_; }
  const std::vector<LogFiles>& logs() const { return logs_; }

 private:
  Status forward_file(std::size_t log, const InputFile& file, const Examine& examine, bool& stop);
  Status last_of_file(std::size_t log, const InputFile& file, std::size_t count, const Examine& examine,
                      std::vector<OwnedLine>& newest_first);
  /// `torn`: the last line has no newline.
  bool examine_lines(std::size_t log, const std::string& path, std::uint64_t begin, std::string_view lines, bool torn,
                     const Examine& examine, const std::function<void(std::string_view)>& take);
  void progress();
  std::uint64_t total_bytes() const;

  std::vector<LogFiles> logs_;
  Prefilter prefilter_;
  std::vector<std::uint64_t> ends_;
  bool leave_unfinished_ = false, tuned_ = false;
  ScanStats stats_;
  std::uint64_t total_ = 0;
  std::function<void(std::uint64_t, std::uint64_t)> progress_;
};

}  // namespace weir::observe
