// A real full disk: a tmpfs of one MiB in a mount namespace of this program's own. Needs root.

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "flowlog/log_file_fixture.h"

namespace weir::flowlog {
namespace {

class FullDisk : public LogFolder {
 protected:
  void SetUp() override {
    LogFolder::SetUp();
    const bool mounted = ::unshare(CLONE_NEWNS) == 0 &&
                         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("weir", folder_.c_str(), "tmpfs", 0, "size=1m") == 0;
    if (mounted) return;
    const std::string reason = std::string("no tmpfs in a private mount namespace: ") + std::strerror(errno);
    if (std::getenv("WEIR_CI") != nullptr) FAIL() << reason;
    GTEST_SKIP() << reason;
  }
  void TearDown() override {
    ::umount2(folder_.c_str(), MNT_DETACH);
    LogFolder::TearDown();
  }
};

TEST_F(FullDisk, KeepsWholeLinesWaitsAndGoesOnInOrderWhenThereIsRoom) {
  auto file = open();
  write("hog", std::string(500'000, 'h'));
  std::string all;
  std::int64_t now = 0;
  bool written = true;
  for (int i = 0; i < 3000; ++i) {
    const std::string line = std::to_string(i) + " " + std::string(400, 'x') + "\n";
    all += line;
    file->buffer() += line;
    if (i % 50 != 0) continue;
    written = file->flush(now += 10'000'000);
    const std::string text = read("flows.log");
    ASSERT_TRUE(text.empty() || text.back() == '\n') << "line " << i;
    ASSERT_EQ(text, all.substr(0, text.size()));
  }
  EXPECT_FALSE(written);
  EXPECT_TRUE(file->stats().failing);
  EXPECT_EQ(file->stats().torn_bytes, 0u);
  const std::uint64_t kept = file->stats().bytes_written;
  EXPECT_GT(kept, 300'000u);
  EXPECT_LT(kept, 600'000u);

  // The disk is still too small for everything: what fits goes out, in order.
  std::filesystem::remove(folder_ + "/hog");
  EXPECT_FALSE(file->flush(now += 10'000'000'000));
  ASSERT_EQ(::mount("weir", folder_.c_str(), "tmpfs", MS_REMOUNT, "size=4m"), 0);
  EXPECT_TRUE(file->flush(now += 10'000'000'000));
  EXPECT_EQ(read("flows.log"), all);
  EXPECT_EQ(file->stats().lines_dropped, 0u);
  EXPECT_EQ(file->stats().lines_written, 3000u);
  ASSERT_EQ(notes_.size(), 2u);
  EXPECT_TRUE(notes_[0].find("No space left on device") != std::string::npos) << notes_[0];
}

TEST_F(FullDisk, ADiskFullAtRotationLosesNothing) {
  options_.max_bytes = 100'000;
  options_.max_files = 3;
  auto file = open();
  std::string all;
  std::int64_t now = 0;
  for (int i = 0; i < 900; ++i) file->buffer() += std::to_string(i) + " " + std::string(95, 'x') + "\n";
  ASSERT_TRUE(file->flush(now));
  // Fill the disk to the last page, then write past the size of one file.
  std::size_t hog = 1 << 20;
  for (; hog > 0; hog -= 4096) {
    write("hog", std::string(hog, 'h'));
    if (std::filesystem::file_size(folder_ + "/hog") == hog) break;
  }
  for (int i = 900; i < 2500; ++i) file->buffer() += std::to_string(i) + " " + std::string(95, 'x') + "\n";
  EXPECT_FALSE(file->flush(now += 1'000'000'000));
  std::filesystem::remove(folder_ + "/hog");
  EXPECT_TRUE(file->flush(now += 1'000'000'000));
  const std::string text = read("flows.log.3") + read("flows.log.2") + read("flows.log.1") + read("flows.log");
  for (int i = 0; i < 2500; ++i) all += std::to_string(i) + " " + std::string(95, 'x') + "\n";
  EXPECT_EQ(text, all);
}

}  // namespace
}  // namespace weir::flowlog
