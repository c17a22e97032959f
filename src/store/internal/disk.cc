#include "store/internal/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/file.h"

namespace weir::store {
namespace fs = std::filesystem;

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_), broken_(other.broken_) {}
AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(broken_, other.broken_);
  return *this;
}
AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<AppendFile> AppendFile::open(const std::string& path) {
  AppendFile file;
  file.path_ = path;
  file.fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (file.fd_ < 0) return errno_error("open", path);
  const off_t end = ::lseek(file.fd_, 0, SEEK_END);
  if (end < 0) return errno_error("seek", path);
  file.size_ = static_cast<std::uint64_t>(end);
  return file;
}

Status AppendFile::append_durably(std::string_view bytes) {
  std::string_view left = bytes;
  const char* failed = nullptr;
  while (!left.empty() && failed == nullptr) {
    const ssize_t written = ::write(fd_, left.data(), left.size());
    if (written > 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (written == 0 || errno != EINTR) {
      failed = "write";
    }
  }
  if (failed == nullptr && ::fdatasync(fd_) != 0) failed = "fdatasync";
  if (failed == nullptr) {
    size_ += bytes.size();
    return {};
  }
  Error error = errno_error(failed, path_);
  if (error.code == ErrorCode::kInternal || errno == ENOSPC || errno == EDQUOT) {
    error.code = ErrorCode::kResourceExhausted;
  }
  // What came after a failed sync may or may not be on the disk: it must not be there later.
  if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0 || ::fdatasync(fd_) != 0) broken_ = true;
  return error;
}

Status make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Error{ErrorCode::kPermissionDenied, "make folder " + path + ": " + error.message()};
  return {};
}

namespace {
Status sync_path(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return errno_error("open", path);
  const bool fine = ::fsync(fd) == 0;
  const Status status = fine ? Status() : Status(errno_error("fsync", path));
  ::close(fd);
  return status;
}
}  // namespace

Status sync_file(const std::string& path) { return sync_path(path, O_RDONLY); }
Status sync_folder(const std::string& path) { return sync_path(path, O_RDONLY | O_DIRECTORY); }

Status publish_file(const std::string& temporary, const std::string& path) {
  TRY(sync_file(temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error("rename to", path);
  return sync_folder(fs::path(path).parent_path());
}

std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) files.push_back(at->path().lexically_relative(folder).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::uint64_t file_size(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

void remove_file(const std::string& path) { ::unlink(path.c_str()); }

}  // namespace weir::store
