#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/internal/disk.h"
#include "store/internal/source_ranges.h"
#include "store/internal/wal.h"

/// The manifest: an append-only file of changes, the only word on which files are live. docs/storage.md has its form.
namespace weir::store {

/// A live Parquet file.
struct SegmentInfo {
  LogType log = LogType::kFlows;
  /// Relative to the store's folder.
  std::string file;
  std::uint64_t rows = 0, bytes = 0;
  std::int64_t min_start = 0, max_start = 0;
  std::uint64_t min_id = 0, max_id = 0;
  /// Which columns it has: a key of Contents::schemas.
  std::uint64_t schema = 0;
  /// Merged from all segments of its hour at the time.
  bool compacted = false;
  /// Its roll-up; empty if it has none.
  std::string rollup;
  std::uint64_t rollup_rows = 0, rollup_bytes = 0;
};

/// What changes together: one record, all of it or nothing.
struct ManifestEdit {
  std::vector<SegmentInfo> added;
  std::vector<std::string> removed;
  /// By LogType; 0: unchanged.
  Wal::Flushed flushed{};
  /// By LogType: the first row id that was never given.
  PerLogNumbers next_row{};
  struct Range {
    std::string agent, stream;
    std::uint64_t begin = 0, end = 0;
    std::int64_t touched = 0;
  };
  std::vector<Range> ranges;
  std::vector<std::pair<std::uint64_t, std::string>> schemas;
};

struct ManifestContents {
  /// By file.
  std::map<std::string, SegmentInfo> segments;
  Wal::Flushed flushed{};
  PerLogNumbers next_row{1, 1, 1, 1, 1};
  SourceRanges ranges;
  /// Column names, separated by commas.
  std::map<std::uint64_t, std::string> schemas;
};

/// One line, with its checksum and newline.
std::string manifest_line(const ManifestEdit& edit);
/// Applies the lines of a manifest. A last line that is torn is left out; `good_end` is where the whole ones end.
/// Errors: kDataLoss, a damaged line before the end; the line's number.
Result<ManifestContents> read_manifest(std::string_view text, std::uint64_t* good_end = nullptr);

/// Threads: one at a time.
class Manifest {
 public:
  /// Reads it, cuts off a torn end; makes an empty one if there is none.
  static Result<Manifest> open(const std::string& path, ManifestContents& contents);

  /// Durably. `whole`: gives the contents after the edit, for when the file is rewritten as it has grown.
  template <typename Whole>
  Status commit(const ManifestEdit& edit, Whole&& whole) {
    if (file_.size() > kRewriteBytes && file_.size() > 4 * rewritten_bytes_ && !file_.broken()) {
      TRY(rewrite(whole()));
    }
    if (file_.broken()) TRY(reopen());
    return file_.append_durably(manifest_line(edit));
  }
  std::uint64_t bytes() const { return file_.size(); }

 private:
  static constexpr std::uint64_t kRewriteBytes = 4 * 1024 * 1024;
  Status rewrite(const ManifestContents& contents);
  Status reopen();

  AppendFile file_;
  std::uint64_t rewritten_bytes_ = 0;
};

}  // namespace weir::store
