#include "flowlog/log_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/file.h"

namespace weir::flowlog {
namespace {

constexpr std::int64_t kMinBackoffNs = 100'000'000;
constexpr std::int64_t kMaxBackoffNs = 5'000'000'000;
/// One write: large enough to cost nothing, small enough that a nearly full disk still takes one.
constexpr std::size_t kMaxWriteBytes = 1024 * 1024;

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

/// Where the last whole line of the first `limit` bytes ends; 0 if there is none.
std::size_t whole_lines(std::string_view text, std::size_t limit) {
  const std::size_t newline = text.substr(0, limit).rfind('\n');
  return newline == std::string_view::npos ? 0 : newline + 1;
}

/// The end of the last line of the first `size` bytes of a file.
Result<std::uint64_t> last_line_end(int fd, const std::string& path, std::uint64_t size) {
  char chunk[64 * 1024];
  std::uint64_t end = size;
  while (end > 0) {
    const std::uint64_t start = end - std::min<std::uint64_t>(end, sizeof chunk);
    const ssize_t got = ::pread(fd, chunk, end - start, static_cast<off_t>(start));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return errno_error("read", path);
    const std::size_t whole = whole_lines({chunk, static_cast<std::size_t>(got)}, sizeof chunk);
    if (whole > 0) return start + whole;
    end = start;
  }
  return std::uint64_t{0};
}

/// Reserves room, so that a full disk refuses the whole batch and not its second half. File systems that cannot are
/// left to show it in the write.
Status reserve(int fd, const std::string& path, std::uint64_t at, std::size_t bytes) {
  const int failed = ::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at), static_cast<off_t>(bytes));
  if (failed != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO)) return errno_error("write", path);
  return {};
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

Result<std::unique_ptr<LogFile>> LogFile::open(const std::string& directory, const std::string& name,
                                               LogFileOptions options) {
  if (options.max_files < 1) return invalid_argument(name + ": at least one rotated file must be kept");
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error && !std::filesystem::is_directory(directory)) {
    return Error{ErrorCode::kPermissionDenied, "create directory " + directory + ": " + error.message()};
  }
  std::unique_ptr<LogFile> file(new LogFile(directory + '/' + name, std::move(options)));
  TRY(file->open_active());
  return file;
}

LogFile::~LogFile() {
  if (fd_ >= 0) ::close(fd_);
}

void LogFile::set_limits(std::uint64_t max_bytes, int max_files) {
  options_.max_bytes = max_bytes;
  options_.max_files = std::max(1, max_files);
}

Status LogFile::open_active() {
  const int fd = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return errno_error("open", path_);
  fd_ = fd;
  struct stat info {};
  Status status;
  if (::fstat(fd, &info) != 0) {
    status = errno_error("stat", path_);
  } else if (!S_ISREG(info.st_mode)) {
    status = invalid_argument("open " + path_ + ": it is no regular file");
  } else if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    status = Error{ErrorCode::kUnavailable, "open " + path_ + ": another process is writing to it"};
  } else {
    device_ = info.st_dev;
    inode_ = info.st_ino;
    status = cut_torn_tail();
  }
  if (!status.ok()) ::close(std::exchange(fd_, -1));
  return status;
}

Status LogFile::cut_torn_tail() {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return errno_error("stat", path_);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  TRY_ASSIGN(const std::uint64_t end, last_line_end(fd_, path_, size));
  if (end < size) {
    if (::ftruncate(fd_, static_cast<off_t>(end)) != 0) return errno_error("truncate", path_);
    stats_.torn_bytes += size - end;
    note("cut " + std::to_string(size - end) + " bytes of an unfinished line off its end");
  }
  size_ = end;
  torn_ = false;
  return {};
}

/// The file that has our name must be the one that we write to.
Status LogFile::ensure_open() {
  if (fd_ < 0) return open_active();
  struct stat named {};
  const bool there = ::stat(path_.c_str(), &named) == 0;
  if (!there || named.st_dev != device_ || named.st_ino != inode_) {
    ::close(std::exchange(fd_, -1));
    ++stats_.reopened;
    note(there ? "it was replaced by somebody else; writing to the new one" : "it was moved or removed; writing anew");
    return open_active();
  }
  if (torn_ || static_cast<std::uint64_t>(named.st_size) != size_) return cut_torn_tail();
  return {};
}

bool LogFile::flush(std::int64_t now_ns) {
  if (buffer_.empty()) return true;
  CHECK(buffer_.back() == '\n');
  // The second condition: a clock that went back must not keep us waiting.
  const bool due = now_ns >= retry_at_ns_ || retry_at_ns_ - now_ns > backoff_ns_;
  if (!stats_.failing || due) {
    const Status status = write_lines();
    if (status.ok()) {
      recovered();
      return true;
    }
    failed(now_ns, status.error());
  }
  if (buffer_.size() > options_.max_buffered_bytes) {
    if (stats_.lines_dropped == dropped_before_) note("the buffer is full; lines are being dropped");
    drop_from(whole_lines(buffer_, options_.max_buffered_bytes));
  }
  return false;
}

Status LogFile::close() {
  Status status = buffer_.empty() ? Status() : write_lines();
  if (!status.ok()) {
    ++stats_.failures;
    status.error().message += "; " + std::to_string(count_lines(buffer_)) + " lines are lost";
    drop_from(0);
  }
  if (fd_ >= 0 && ::close(std::exchange(fd_, -1)) != 0 && status.ok()) status = errno_error("close", path_);
  return status;
}

Status LogFile::write_lines() {
  TRY(ensure_open());
  std::size_t done = 0;
  Status status;
  while (status.ok() && done < buffer_.size()) {
    const std::string_view rest = std::string_view(buffer_).substr(done);
    const std::uint64_t room = options_.max_bytes - std::min(size_, options_.max_bytes);
    std::size_t chunk = whole_lines(rest, std::min<std::uint64_t>(room, kMaxWriteBytes));
    if (chunk == 0) {
      // The first line alone is larger than the room, or than one write.
      const std::size_t line = rest.find('\n') + 1;
      if (line > room && size_ > 0) {
        status = rotate();
        continue;
      }
      chunk = line;
    }
    std::size_t taken = 0;
    status = append(rest.substr(0, chunk), taken);
    done += taken;
  }
  stats_.lines_written += count_lines(std::string_view(buffer_).substr(0, done));
  stats_.bytes_written += done;
  buffer_.erase(0, done);
  if (options_.sync && done > 0 && ::fdatasync(fd_) != 0 && stats_.sync_failures++ == 0) {
    // The kernel has dropped what it could not write: to write it again might double it.
    note(errno_error("sync", path_).message);
  }
  return status;
}

/// `taken`: bytes of whole lines that are in the file now, all of them unless the Status says otherwise.
Status LogFile::append(std::string_view lines, std::size_t& taken) {
  TRY(reserve(fd_, path_, size_, lines.size()));
  std::size_t written = 0;
  Status status;
  while (status.ok() && written < lines.size()) {
    const ssize_t wrote = ::write(fd_, lines.data() + written, lines.size() - written);
    if (wrote > 0) {
      written += static_cast<std::size_t>(wrote);
    } else if (wrote == 0 || errno != EINTR) {
      status = errno_error("write", path_);
    }
  }
  // Whole lines stay: a tailer may have read them already.
  taken = whole_lines(lines, written);
  size_ += taken;
  if (taken < written) torn_ = ::ftruncate(fd_, static_cast<off_t>(size_)) != 0;
  return status;
}

/// A crash between two renames leaves a gap in the numbers, or no active file: the next rotation or open goes on.
Status LogFile::rotate() {
  for (int number = options_.max_files + 1; ::unlink(rotated_path(number).c_str()) == 0;) ++number;
  int last = 1;
  while (last < options_.max_files && exists(rotated_path(last))) ++last;
  for (int number = last; number >= 1; --number) {
    const std::string from = number == 1 ? path_ : rotated_path(number - 1);
    if (::rename(from.c_str(), rotated_path(number).c_str()) != 0) return errno_error("rotate", from);
  }
  ++stats_.rotations;
  if (options_.sync && ::fdatasync(fd_) != 0) ++stats_.sync_failures;
  ::close(std::exchange(fd_, -1));
  size_ = 0;
  return open_active();
}

void LogFile::failed(std::int64_t now_ns, const Error& error) {
  ++stats_.failures;
  if (!stats_.failing) {
    dropped_before_ = stats_.lines_dropped;
    note(error.message + "; lines wait in memory, up to " + std::to_string(options_.max_buffered_bytes >> 20) + " MiB");
    // Reserved, not touched: growing step by step would end at twice the bound.
    buffer_.reserve(options_.max_buffered_bytes + 2 * kFlushBytes);
  }
  backoff_ns_ = stats_.failing ? std::min(2 * backoff_ns_, kMaxBackoffNs) : kMinBackoffNs;
  retry_at_ns_ = now_ns + backoff_ns_;
  stats_.failing = true;
}

void LogFile::recovered() {
  if (!stats_.failing) return;
  stats_.failing = false;
  buffer_ = std::string();
  note("writing again; " + std::to_string(stats_.lines_dropped - dropped_before_) + " lines were dropped");
}

void LogFile::drop_from(std::size_t at) {
  stats_.lines_dropped += count_lines(std::string_view(buffer_).substr(at));
  stats_.bytes_dropped += buffer_.size() - at;
  buffer_.resize(at);
}

void LogFile::note(const std::string& text) const {
  if (options_.note) options_.note(path_ + ": " + text);
}

}  // namespace weir::flowlog
