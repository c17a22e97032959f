#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::flowlog {

/// One generation of a log file: the bytes that were written between its creation, or its truncation, and its removal.
/// Renaming keeps it. Two generations never have the same stream name, unless a file begins with the same line, in the
/// same inode and, where the file system tells when it was created, in the same nanosecond.
struct Generation {
  std::uint64_t inode = 0;
  /// Nanoseconds since 1970; 0 where the file system does not tell.
  std::int64_t created_ns = 0;
  /// Of the first bytes of its first line.
  std::uint64_t head_hash = 0;
  std::uint32_t head_bytes = 0;
  /// Counts truncations that left the same first line.
  std::uint32_t epoch = 0;

  /// "flows-1f3a…": `log` and 16 hexadecimal digits.
  std::string stream(std::string_view log) const;
  friend bool operator==(const Generation&, const Generation&) = default;
};

/// How far one generation was delivered.
struct Cursor {
  /// Of the log's name without ".log".
  std::string log;
  Generation generation;
  /// Everything before was delivered; always at the begin of a line.
  std::uint64_t offset = 0;
};

/// The cursors of one reader, from its small file. None if there is no file; kDataLoss if it is damaged.
Result<std::vector<Cursor>> load_cursors(const std::string& path);
/// Replaces that file whole (new file, fdatasync, rename, fsync of the folder): a crash leaves the old or the new one.
Status store_cursors(const std::string& path, const std::vector<Cursor>& cursors);

/// Whole lines of one generation.
struct TailBatch {
  std::string stream;
  /// Bytes [begin, end) of the generation.
  std::uint64_t begin = 0, end = 0;
  /// Exactly these bytes, each line with its newline.
  std::string lines;
};

struct TailStats {
  std::uint64_t lines = 0, bytes = 0;
  /// Files that shrank below their cursor: read anew from their start as another generation.
  std::uint64_t truncations = 0;
  /// Files that were removed with bytes that nobody had read, and these bytes as far as they were seen.
  std::uint64_t files_lost = 0, bytes_lost = 0;
  /// Lines beyond max_line_bytes that were skipped, and their bytes.
  std::uint64_t lines_too_long = 0, bytes_too_long = 0;
};

/// Reads the lines of a rotated log in order, across renames, restarts and truncations, without holding up its writer.
///
/// Files: NAME and NAME.<number>, the highest number first, as flowlog::LogFile and logrotate leave them. A file is
///        known by its generation, so a rotation in the middle of a read loses and doubles nothing.
/// Lines: a last line without its newline is left until it is whole.
/// Bounds: one batch; a handful of cursors.      Errors: read() tells those of the disk; try again later.
/// Threads: one.
class Tailer {
 public:
  struct Options {
    std::string directory;
    /// "flows.log".
    std::string name;
    /// A batch ends at the last line within; a longer line is a batch of its own.
    std::size_t batch_bytes = 1024 * 1024;
    std::size_t max_line_bytes = 16 * 1024 * 1024;
  };
  /// `cursors`: those of other logs are left out.
  Tailer(Options options, const std::vector<Cursor>& cursors);
  Tailer(Tailer&&) noexcept;
  Tailer& operator=(Tailer&&) noexcept;
  Tailer(const Tailer&) = delete;
  Tailer& operator=(const Tailer&) = delete;
  ~Tailer();

  /// The next lines behind the cursors; the same again until advance() or seek(). None: there is nothing new.
  Result<std::optional<TailBatch>> read();
  /// Everything before `offset` of the batch's generation was delivered: forward only, within the batch, to a line's
  /// begin.
  void advance(const TailBatch& batch, std::uint64_t offset);
  /// Goes on at `offset` of the batch's generation, forward or backward; false: the file is not that long.
  bool seek(const TailBatch& batch, std::uint64_t offset);

  /// Appends the cursors of the files that are still there.
  void cursors(std::vector<Cursor>& out) const;
  /// Bytes that are there and not yet delivered, as of the last look at the folder.
  std::uint64_t lag_bytes() const;
  const TailStats& stats() const { return stats_; }
  const std::string& log() const { return log_; }

 private:
  struct File;
  Status look();
  void look_at(const std::string& path, unsigned rank);
  void forget_gone();
  File* find(const std::string& stream);
  Result<bool> identify(File& file);
  Status check(File& file);
  void begin_anew(File& file);
  Result<bool> read_lines(File& file, TailBatch& batch);

  Options options_;
  std::string log_;
  /// Oldest first.
  std::vector<File> files_;
  /// Cursors of an earlier run that no file has claimed yet.
  std::vector<Cursor> unclaimed_;
  std::int64_t looked_at_ns_ = 0;
  /// At the folder, up to kMissedLooks.
  int looks_ = 0;
  TailStats stats_;
};

}  // namespace weir::flowlog
