#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace weir {
namespace {

Status read_to_end(int fd, const std::string& path, std::string& out) {
  constexpr std::size_t kChunk = 1 << 20;
  for (;;) {
    const std::size_t used = out.size();
    out.resize(used + kChunk);
    const ssize_t got = ::read(fd, out.data() + used, kChunk);
    out.resize(used + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got == 0) return {};
    if (got < 0 && errno != EINTR) return errno_error("read", path);
  }
}

}  // namespace

Error errno_error(const char* what, const std::string& path) {
  const int error = errno;
  ErrorCode code = ErrorCode::kInternal;
  if (error == ENOENT || error == ENOTDIR) code = ErrorCode::kNotFound;
  if (error == EACCES || error == EPERM) code = ErrorCode::kPermissionDenied;
  if (error == ENOSPC || error == EDQUOT) code = ErrorCode::kResourceExhausted;
  return {code, std::string(what) + " " + path + ": " + std::strerror(error)};
}

Error errno_error(const char* what) { return {ErrorCode::kInternal, std::string(what) + ": " + std::strerror(errno)}; }

Result<InputFile> InputFile::open(const std::string& path) {
  InputFile file;
  file.path_ = path;
  file.fd_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.fd_ < 0) return errno_error("open", path);
  struct stat info {};
  if (::fstat(file.fd_, &info) != 0) return errno_error("stat", path);
  if (S_ISDIR(info.st_mode)) return invalid_argument("open " + path + ": it is a directory");
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept { *this = std::move(other); }

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

Result<FileBytes> FileBytes::open(const std::string& path) {
  TRY_ASSIGN(const InputFile input, InputFile::open(path));
  return of_input(input);
}

Result<FileBytes> FileBytes::of_input(const InputFile& input, std::span<const std::uint8_t> begun) {
  struct stat info {};
  if (::fstat(input.fd(), &info) != 0) return errno_error("stat", input.path());
  FileBytes file;
  if (S_ISREG(info.st_mode) && info.st_size > 0) {
    const auto size = static_cast<std::size_t>(info.st_size);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, input.fd(), 0);
    if (address == MAP_FAILED) return errno_error("mmap", input.path());
    ::madvise(address, size, MADV_SEQUENTIAL);
    file.data_ = static_cast<const std::uint8_t*>(address);
    file.size_ = size;
    file.mapped_ = true;
  } else {
    file.owned_.assign(begun.begin(), begun.end());
    TRY(read_to_end(input.fd(), input.path(), file.owned_));
    file.data_ = reinterpret_cast<const std::uint8_t*>(file.owned_.data());
    file.size_ = file.owned_.size();
  }
  return file;
}

FileBytes::FileBytes(FileBytes&& other) noexcept { *this = std::move(other); }

FileBytes& FileBytes::operator=(FileBytes&& other) noexcept {
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  std::swap(owned_, other.owned_);
  std::swap(data_, other.data_);
  // A short std::string keeps its bytes inside the object: point at where they are now.
  if (!mapped_) data_ = reinterpret_cast<const std::uint8_t*>(owned_.data());
  if (!other.mapped_) other.data_ = reinterpret_cast<const std::uint8_t*>(other.owned_.data());
  return *this;
}

FileBytes::~FileBytes() {
  if (mapped_) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

Result<OutputFile> OutputFile::open(const std::string& path) {
  OutputFile file;
  file.path_ = path == "-" ? "standard output" : path;
  file.fd_ = path == "-" ? STDOUT_FILENO : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file.fd_ < 0) return errno_error("open", path);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept { *this = std::move(other); }

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(written_, other.written_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

OutputFile::~OutputFile() {
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

Status OutputFile::flush() {
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t wrote = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (wrote < 0) {
      if (errno == EINTR) continue;
      Error error = errno_error("write", path_);
      buffer_.erase(0, done);
      return error;
    }
    done += static_cast<std::size_t>(wrote);
    written_ += static_cast<std::uint64_t>(wrote);
  }
  buffer_.clear();
  return {};
}

Status OutputFile::close() {
  TRY(flush());
  if (fd_ > STDERR_FILENO) {
    const int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0) return errno_error("close", path_);
  }
  return {};
}

}  // namespace weir
