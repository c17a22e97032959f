#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace weir::observe {

/// Gives the lines that come to a log behind a place in its active file, across rotations.
///
/// Bounds: one block and the longest line (16 MiB; a longer one is an error).      Threads: one.
class Follower {
 public:
  /// `active`: the log's active file, of which the bytes before `offset` were read.
  Follower(InputFile active, std::uint64_t offset) : path_(active.path()), file_(std::move(active)), offset_(offset) {}

  /// Calls `line` for each whole new line, without its newline. Returns at once.
  Status poll(const std::function<void(std::string_view)>& line);
  const std::string& path() const { return path_; }

 private:
  Status read_new(const std::function<void(std::string_view)>& line);
  Status follow_rotation(const std::function<void(std::string_view)>& line);

  std::string path_;
  InputFile file_;
  std::uint64_t offset_;
  /// The begin of a line that is not finished.
  std::string rest_;
};

}  // namespace weir::observe
