#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

/// The Error of `errno`: "open /x: No such file or directory".
Error errno_error(const char* what, const std::string& path);
/// The same of a call that is about no path: "epoll_ctl: Invalid argument". kInternal, whatever the reason.
Error errno_error(const char* what);

/// An open file, or standard input. Closes it at its end.
class InputFile {
 public:
  /// `path` "-" is standard input. The error names the path and the reason; a folder is an error.
  static Result<InputFile> open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  InputFile() = default;
  std::string path_;
  int fd_ = -1;
};

/// The bytes of a file, mapped read-only where it is a regular file, else read to its end (a pipe, /dev/stdin).
/// A mapped file that somebody truncates while we read raises SIGBUS: callers read files that nobody rewrites.
class FileBytes {
 public:
  /// `path` "-" is standard input. The error names the path and the reason.
  static Result<FileBytes> open(const std::string& path);
  /// All bytes of `input`, of which `begun` are those that were read from its start already.
  static Result<FileBytes> of_input(const InputFile& input, std::span<const std::uint8_t> begun = {});
  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&& other) noexcept;
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes();

  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  FileBytes() = default;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool mapped_ = false;
  std::string owned_;
};

/// A buffered writer of one output: a path, or "-" for standard output. One thread.
class OutputFile {
 public:
  /// Truncates an existing file.
  static Result<OutputFile> open(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Closes without reporting an error: call close() to learn of a full disk.
  ~OutputFile();

  /// Append here; flush_if_large() or close() writes it out.
  std::string& buffer() { return buffer_; }
  Status flush_if_large() { return buffer_.size() >= kFlushBytes ? flush() : Status(); }
  Status flush();
  Status close();
  std::uint64_t bytes_written() const { return written_; }

 private:
  static constexpr std::size_t kFlushBytes = 256 * 1024;
  OutputFile() = default;
  std::string path_;
  int fd_ = -1;
  std::uint64_t written_ = 0;
  std::string buffer_;
};

}  // namespace weir
