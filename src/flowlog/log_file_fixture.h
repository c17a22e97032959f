#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "flowlog/log_file.h"

namespace weir::flowlog {

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A folder of its own for the log files of a test.
class LogFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-log-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    options_.note = [this](std::string_view text) { notes_.emplace_back(text); };
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<LogFile> open() {
    auto file = LogFile::open(folder_, "flows.log", options_);
    if (!file.ok()) throw std::runtime_error(file.error().message);
    return std::move(file).value();
  }
  std::string read(const std::string& name) const { return read_file(folder_ + '/' + name); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + '/' + name, std::ios::binary) << text;
  }

  std::string folder_;
  LogFileOptions options_;
  std::vector<std::string> notes_;
};

/// Follows a log as a log shipper does: holds the file it reads open, and goes from there to the next younger one.
class InodeTailer {
 public:
  explicit InodeTailer(std::string path) : path_(std::move(path)) { fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC); }
  InodeTailer(const InodeTailer&) = delete;
  InodeTailer& operator=(const InodeTailer&) = delete;
  ~InodeTailer() { ::close(fd_); }

  void poll() {
    for (int number = number_of(fd_);; --number) {
      char chunk[4096];
      for (ssize_t got; (got = ::read(fd_, chunk, sizeof chunk)) > 0;)
        text_.append(chunk, static_cast<std::size_t>(got));
      if (number <= 0) return;
      ::close(fd_);
      fd_ = ::open(name(number - 1).c_str(), O_RDONLY | O_CLOEXEC);
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string name(int number) const { return number == 0 ? path_ : path_ + '.' + std::to_string(number); }
  /// Which rotated file has the inode; -1 if none has.
  int number_of(int fd) const {
    struct stat ours {
    }, theirs{};
    ::fstat(fd, &ours);
    for (int number = 0; ::stat(name(number).c_str(), &theirs) == 0; ++number) {
      if (theirs.st_ino == ours.st_ino) return number;
    }
    return -1;
  }
  std::string path_, text_;
  int fd_ = -1;
};

}  // namespace weir::flowlog
