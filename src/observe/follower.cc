#include "observe/follower.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace weir::observe {
namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;
constexpr std::size_t kMaxLineBytes = 16 * 1024 * 1024;
/// Files that a log may have been rotated through between two polls.
constexpr int kMostRotations = 100;

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

}  // namespace

Status Follower::read_new(const std::function<void(std::string_view)>& line) {
  struct stat info {};
  if (::fstat(file_.fd(), &info) != 0) return errno_error("stat", path_);
  // Cut by somebody else: what comes now is new.
  if (S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) < offset_) {
    offset_ = 0;
    rest_.clear();
  }
  while (true) {
    const std::size_t before = rest_.size();
    if (before > kMaxLineBytes) return data_loss("read " + path_ + ": a line is longer than 16 MiB");
    rest_.resize(before + kBlockBytes);
    const ssize_t got = ::pread(file_.fd(), rest_.data() + before, kBlockBytes, static_cast<off_t>(offset_));
    rest_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error("read", path_);
    if (got == 0) return {};
    offset_ += static_cast<std::uint64_t>(got);
    std::size_t begin = 0;
    for (std::size_t end = rest_.find('\n', before); end != std::string::npos; end = rest_.find('\n', begin)) {
      if (end > begin) line(std::string_view(rest_).substr(begin, end - begin));
      begin = end + 1;
    }
    rest_.erase(0, begin);
  }
}

Status Follower::follow_rotation(const std::function<void(std::string_view)>& line) {
  struct stat ours {};
  if (::fstat(file_.fd(), &ours) != 0) return errno_error("stat", path_);
  // Newest first, down to ours.
  std::vector<InputFile> successors;
  for (int number = 0; number < kMostRotations; ++number) {
    const std::string name = number == 0 ? path_ : path_ + '.' + std::to_string(number);
    struct stat info {};
    if (::stat(name.c_str(), &info) != 0) {
      // The active file may be missing for a moment; two missing in a row are the end.
      if (number < 2) continue;
      break;
    }
    if (same_file(info, ours)) break;
    Result<InputFile> file = InputFile::open(name);
    if (file.ok()) successors.push_back(std::move(file.value()));
  }
  for (auto next = successors.rbegin(); next != successors.rend(); ++next) {
    // Lines that came to the old file since.
    TRY(read_new(line));
    file_ = std::move(*next);
    offset_ = 0;
    rest_.clear();
  }
  return read_new(line);
}

Status Follower::poll(const std::function<void(std::string_view)>& line) {
  TRY(read_new(line));
  struct stat active {
  }, ours{};
  if (::stat(path_.c_str(), &active) != 0) return {};
  if (::fstat(file_.fd(), &ours) != 0) return errno_error("stat", path_);
  if (same_file(active, ours)) return {};
  return follow_rotation(line);
}

}  // namespace weir::observe
