#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace weir {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-file-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(FileTest, ReadsWhatWasWritten) {
  const std::string path = folder_ + "/x";
  OutputFile out = OutputFile::open(path).value();
  out.buffer() += "hello";
  ASSERT_TRUE(out.close().ok());
  EXPECT_EQ(out.bytes_written(), 5u);
  EXPECT_EQ(FileBytes::open(path).value().text(), "hello");
}

TEST_F(FileTest, AnEmptyFileIsEmptyNotAnError) {
  OutputFile out = OutputFile::open(folder_ + "/x").value();
  ASSERT_TRUE(out.close().ok());
  EXPECT_EQ(FileBytes::open(folder_ + "/x").value().text(), "");
}

TEST_F(FileTest, ErrorsNameThePathAndTheReason) {
  const auto missing = FileBytes::open(folder_ + "/none");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().message, "open " + folder_ + "/none: No such file or directory");
  EXPECT_NE(FileBytes::open(folder_).error().message.find("it is a directory"), std::string::npos);
}

TEST_F(FileTest, AFullDiskIsAnError) {
  OutputFile out = OutputFile::open("/dev/full").value();
  out.buffer() += "x";
  const Status status = out.close();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace weir
