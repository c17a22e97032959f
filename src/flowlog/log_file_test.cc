#include "flowlog/log_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <vector>

#include "flowlog/log_file_fixture.h"

namespace weir::flowlog {
namespace {

using LogFileTest = LogFolder;

TEST_F(LogFileTest, LinesAreWrittenAtAFlushAndAppendedToAfterAReopen) {
  {
    auto file = open();
    file->buffer() += "one\ntwo\n";
    EXPECT_EQ(read("flows.log"), "");
    EXPECT_TRUE(file->flush(0));
    EXPECT_EQ(file->stats().lines_written, 2u);
    EXPECT_TRUE(file->close().ok());
  }
  auto file = open();
  file->buffer() += "three\n";
  EXPECT_TRUE(file->close().ok());
  EXPECT_EQ(read("flows.log"), "one\ntwo\nthree\n");
}

TEST_F(LogFileTest, ALineTornAtAnyByteIsCutOffAtOpen) {
  const std::string whole = "{\"a\":1}\n{\"b\":2}\n", last = "{\"c\":3,\"d\":4}\n";
  for (const std::string& before : {std::string(), whole, whole + std::string(200'000, 'x') + '\n'}) {
    for (std::size_t cut = 0; cut <= last.size(); ++cut) {
      write("flows.log", before + last.substr(0, cut));
      auto file = open();
      const bool complete = cut == last.size();
      EXPECT_EQ(file->stats().torn_bytes, complete ? 0 : cut);
      EXPECT_EQ(notes_.size(), complete || cut == 0 ? 0u : 1u);
      notes_.clear();
      file->buffer() += "next\n";
      EXPECT_TRUE(file->close().ok());
      EXPECT_EQ(read("flows.log"), before + (complete ? last : "") + "next\n");
    }
  }
  write("flows.log", std::string(300'000, 'x'));
  EXPECT_EQ(open()->stats().torn_bytes, 300'000u);
}

TEST_F(LogFileTest, RotatesOnlyBetweenLinesAndKeepsSoMany) {
  options_.max_bytes = 30;
  options_.max_files = 2;
  auto file = open();
  // 10 bytes each: three a file. All in one batch, then one by one.
  for (int i = 0; i < 5; ++i) file->buffer() += "line " + std::to_string(1000 + i) + "\n";
  EXPECT_TRUE(file->flush(0));
  for (int i = 5; i < 10; ++i) {
    file->buffer() += "line " + std::to_string(1000 + i) + "\n";
    EXPECT_TRUE(file->flush(0));
  }
  EXPECT_EQ(read("flows.log"), "line 1009\n");
  EXPECT_EQ(read("flows.log.1"), "line 1006\nline 1007\nline 1008\n");
  EXPECT_EQ(read("flows.log.2"), "line 1003\nline 1004\nline 1005\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/flows.log.3"));
  EXPECT_EQ(file->stats().rotations, 3u);

  file->set_limits(30, 1);
  file->buffer() += "line 1010\nline 1011\nline 1012\n";
  EXPECT_TRUE(file->flush(0));
  EXPECT_EQ(read("flows.log"), "line 1012\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/flows.log.2")) << "fewer are kept after a change of settings";
}

TEST_F(LogFileTest, ALineLargerThanAFileGetsOneOfItsOwn) {
  options_.max_bytes = 10;
  auto file = open();
  file->buffer() += "short\n" + std::string(3 * 1024 * 1024, 'x') + "\nend\n";
  EXPECT_TRUE(file->flush(0));
  EXPECT_EQ(read("flows.log"), "end\n");
  EXPECT_EQ(read("flows.log.1").size(), 3u * 1024 * 1024 + 1);
  EXPECT_EQ(read("flows.log.2"), "short\n");
}

TEST_F(LogFileTest, ATailerByInodeSeesEveryLineOnceInOrder) {
  options_.max_bytes = 1000;
  options_.max_files = 50;
  auto file = open();
  InodeTailer tailer(folder_ + "/flows.log");
  std::mt19937 random(7);
  std::string all;
  for (int i = 0; i < 2000; ++i) {
    const std::string line = std::to_string(i) + std::string(random() % 90, '.') + "\n";
    all += line;
    file->buffer() += line;
    if (random() % 3 == 0) {
      ASSERT_TRUE(file->flush(0));
    }
    if (random() % 40 == 0) tailer.poll();  // up to some ten files behind
  }
  ASSERT_TRUE(file->flush(0));
  tailer.poll();
  EXPECT_EQ(tailer.text(), all);
  EXPECT_GT(file->stats().rotations, 50u);
}

TEST_F(LogFileTest, AGapThatACrashLeftInTheNumbersLosesNoFile) {
  options_.max_bytes = 10;
  options_.max_files = 3;
  // As after a crash between the renames of NAME.1 and NAME.
  write("flows.log.2", "b\n");
  write("flows.log.3", "a\n");
  write("flows.log", "12345678\n");
  auto file = open();
  file->buffer() += "23456789\n";
  EXPECT_TRUE(file->flush(0));
  EXPECT_EQ(read("flows.log") + read("flows.log.1") + read("flows.log.2") + read("flows.log.3"),
            "23456789\n12345678\nb\na\n");
}

TEST_F(LogFileTest, AFileMovedRemovedOrTruncatedBySomebodyElseIsNoticed) {
  auto file = open();
  const auto append = [&](const char* line) {
    file->buffer() += line;
    EXPECT_TRUE(file->flush(0));
  };
  append("1\n");
  std::filesystem::rename(folder_ + "/flows.log", folder_ + "/moved");
  append("2\n");
  EXPECT_EQ(read("moved"), "1\n");
  EXPECT_EQ(read("flows.log"), "2\n");
  std::filesystem::remove(folder_ + "/flows.log");
  append("3\n");
  EXPECT_EQ(read("flows.log"), "3\n");
  EXPECT_EQ(file->stats().reopened, 2u);
  std::filesystem::resize_file(folder_ + "/flows.log", 0);
  append("4\n");
  EXPECT_EQ(read("flows.log"), "4\n");
  std::filesystem::resize_file(folder_ + "/flows.log", 1);  // within a line
  append("5\n");
  EXPECT_EQ(read("flows.log"), "5\n");
  std::filesystem::remove_all(folder_);
  file->buffer() += "6\n";
  EXPECT_FALSE(file->flush(1));
  std::filesystem::create_directories(folder_);
  EXPECT_TRUE(file->flush(1'000'000'000));
  EXPECT_EQ(read("flows.log"), "6\n");
}

TEST_F(LogFileTest, ASecondWriterIsRefused) {
  const auto file = open();
  const auto second = LogFile::open(folder_, "flows.log", {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, "open " + folder_ + "/flows.log: another process is writing to it");
}

TEST_F(LogFileTest, WhatIsNoDirectoryOrNoFileIsOneError) {
  write("file", "");
  EXPECT_FALSE(LogFile::open(folder_ + "/file", "flows.log", {}).ok());
  std::filesystem::create_directories(folder_ + "/flows.log");
  EXPECT_FALSE(LogFile::open(folder_, "flows.log", {}).ok());
  EXPECT_FALSE(LogFile::open("/dev", "null", {}).ok());
}

/// A limit on the size of a file makes the kernel write short, and then refuse: what a disk without reservation does.
class ShortWrites : public LogFolder {
 protected:
  void SetUp() override {
    LogFolder::SetUp();
    ::getrlimit(RLIMIT_FSIZE, &before_);
    old_handler_ = ::signal(SIGXFSZ, SIG_IGN);
  }
  void TearDown() override {
    limit(before_.rlim_cur);
    ::signal(SIGXFSZ, old_handler_);
    LogFolder::TearDown();
  }
  void limit(rlim_t bytes) {
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  rlimit before_{};
  sighandler_t old_handler_ = SIG_DFL;
};

TEST_F(ShortWrites, LeaveWholeLinesOnlyAndTheRestFollowsInOrder) {
  auto file = open();
  for (int i = 0; i < 10; ++i) file->buffer() += "line " + std::to_string(i) + "\n";
  limit(31);  // within the fifth line
  EXPECT_FALSE(file->flush(0));
  EXPECT_EQ(read("flows.log"), "line 0\nline 1\nline 2\nline 3\n");
  EXPECT_EQ(file->stats().lines_written, 4u);
  EXPECT_TRUE(file->stats().failing);
  limit(before_.rlim_cur);
  EXPECT_TRUE(file->flush(100'000'000));
  EXPECT_EQ(read("flows.log"), "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nline 9\n");
  EXPECT_EQ(file->stats().lines_dropped, 0u);
}

TEST_F(ShortWrites, RetriesBackOffFromATenthOfASecondToFive) {
  auto file = open();
  limit(1);
  file->buffer() += "line\n";
  std::vector<std::int64_t> attempts;
  for (std::int64_t ms = 0; ms < 20'000; ms += 50) {
    const std::uint64_t before = file->stats().failures;
    EXPECT_FALSE(file->flush(ms * 1'000'000));
    if (file->stats().failures != before) attempts.push_back(ms);
  }
  EXPECT_EQ(attempts, (std::vector<std::int64_t>{0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300}));
  EXPECT_EQ(notes_.size(), 1u) << "one note a change of state";
  // A clock that jumped back does not make it wait for the old time.
  const std::uint64_t before = file->stats().failures;
  EXPECT_FALSE(file->flush(0));
  EXPECT_EQ(file->stats().failures, before + 1);
}

TEST_F(ShortWrites, BeyondTheBufferTheNewestLinesAreDroppedAndCounted) {
  options_.max_buffered_bytes = 100;
  auto file = open();
  limit(1);
  for (int i = 10; i < 50; ++i) {
    file->buffer() += "line " + std::to_string(i) + "\n";  // 8 bytes
    EXPECT_FALSE(file->flush(0));
    EXPECT_LE(file->buffer().size(), 100u);
  }
  EXPECT_EQ(file->stats().lines_dropped, 40u - 12u);
  limit(before_.rlim_cur);
  EXPECT_TRUE(file->flush(1'000'000'000));
  std::string want;
  for (int i = 10; i < 22; ++i) want += "line " + std::to_string(i) + "\n";
  EXPECT_EQ(read("flows.log"), want);
  ASSERT_EQ(notes_.size(), 3u) << "failing, dropping, well again";
  EXPECT_TRUE(notes_[0].find("File too large; lines wait in memory") != std::string::npos) << notes_[0];
  EXPECT_EQ(notes_[2], folder_ + "/flows.log: writing again; 28 lines were dropped");
}

TEST_F(ShortWrites, CloseTriesOnceMoreAndTellsWhatIsLost) {
  auto file = open();
  limit(1);
  file->buffer() += "one\ntwo\n";
  EXPECT_FALSE(file->flush(0));
  const Status status = file->close();
  ASSERT_FALSE(status.ok());
  EXPECT_TRUE(status.error().message.ends_with("; 2 lines are lost")) << status.error().message;
  EXPECT_EQ(file->stats().lines_dropped, 2u);
}

/// What the child of the next test does until it is killed: goes on with the number after the last one in the files.
[[noreturn]] void write_until_killed(const std::string& folder, unsigned seed, int started) {
  LogFileOptions options;
  options.max_bytes = 2 * 1024 * 1024;
  options.max_files = 100'000;
  auto opened = LogFile::open(folder, "flows.log", options);
  if (!opened.ok()) ::_exit(1);
  LogFile& file = *opened.value();
  std::string before = read_file(folder + "/flows.log");
  if (before.empty()) before = read_file(folder + "/flows.log.1");
  const std::size_t start = before.size() < 2 ? std::string::npos : before.rfind('\n', before.size() - 2);
  std::uint64_t number =
      before.empty() ? 0 : 1 + std::stoull(before.substr(start == std::string::npos ? 0 : start + 1));
  std::mt19937 random(seed);
  for (std::int64_t now = 0;; ++now) {
    const std::size_t batch = 1 + random() % 200;
    for (std::size_t i = 0; i < batch; ++i) {
      file.buffer() += std::to_string(number++) + " " + std::string(random() % 3000, 'x') + " end\n";
    }
    if (!file.flush(now)) ::_exit(2);
    if (now == 0 && ::write(started, "!", 1) != 1) ::_exit(3);
  }
}

TEST_F(LogFileTest, KilledFiftyTimesUnderLoadNoLineIsTornMissingOrDoubled) {
  std::mt19937 random(42);
  options_.max_files = 100'000;
  std::uint64_t torn = 0;
  for (unsigned run = 0; run < 50; ++run) {
    int started[2];
    ASSERT_EQ(::pipe(started), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(folder_, run, started[1]);
    ::close(started[1]);
    char mark;
    ASSERT_EQ(::read(started[0], &mark, 1), 1) << "the writer gave up";
    ::close(started[0]);
    ::usleep(static_cast<useconds_t>(random() % 12'000));  // then at any point of what it does
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer gave up with code " << WEXITSTATUS(status);
    torn += open()->stats().torn_bytes;  // repairs what is torn
  }
  // By age; a kill between two renames may have left a gap in the numbers.
  std::map<int, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string name = entry.path().filename();
    files[name == "flows.log" ? 0 : std::stoi(name.substr(sizeof "flows.log"))] = entry.path();
  }
  std::uint64_t number = 0;
  for (auto path = files.rbegin(); path != files.rend(); ++path) {
    std::ifstream file(path->second);
    for (std::string line; std::getline(file, line); ++number) {
      ASSERT_TRUE(line.starts_with(std::to_string(number) + " ")) << path->second << ": " << line.substr(0, 40);
      ASSERT_TRUE(line.ends_with(" end")) << path->second;
    }
  }
  EXPECT_GE(number, 50u);
  std::printf("%lu lines in %zu files whole; the kills left %lu torn bytes\n", number, files.size(), torn);
}

}  // namespace
}  // namespace weir::flowlog
