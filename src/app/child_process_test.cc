#include "app/child_process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace weir::app {
namespace {

using std::chrono::milliseconds;

ChildProcess start(const std::vector<std::string>& words, const ChildProcess::Options& options = {}) {
  Result<ChildProcess> child = ChildProcess::start(words, options);
  EXPECT_TRUE(child.ok());
  return std::move(child).value();
}

TEST(ChildProcess, TellsHowItEnded) {
  ChildProcess child = start({"sh", "-c", "exit 3"});
  EXPECT_TRUE(child.wait(milliseconds(20'000)));
  EXPECT_TRUE(WIFEXITED(child.wait_status()));
  EXPECT_EQ(WEXITSTATUS(child.wait_status()), 3);
  EXPECT_FALSE(child.running());
}

TEST(ChildProcess, EndsWhenAskedTo) {
  ChildProcess child = start({"sleep", "100"});
  EXPECT_TRUE(child.running());
  child.ask_to_end();
  EXPECT_TRUE(child.wait(milliseconds(20'000)));
  EXPECT_EQ(WTERMSIG(child.wait_status()), SIGTERM);
}

TEST(ChildProcess, IsKilledIfItDoesNotEnd) {
  ChildProcess child = start({"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"}, {"", true});
  char byte;
  while (::read(child.output(), &byte, 1) != 1) ::usleep(1000);  // the trap is set then
  child.ask_to_end();
  EXPECT_FALSE(child.wait(milliseconds(50)));
  EXPECT_EQ(WTERMSIG(child.wait_status()), SIGKILL);
}

TEST(ChildProcess, AProgramThatIsMissingSaysSo) {
  const std::string errors = testing::TempDir() + "child_process_test.err";
  ChildProcess child = start({"no-such-program"}, {errors, false});
  EXPECT_TRUE(child.wait(milliseconds(20'000)));
  EXPECT_EQ(WEXITSTATUS(child.wait_status()), 127);
  std::ifstream file(errors);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text, "no-such-program: No such file or directory\n");
  std::filesystem::remove(errors);
}

}  // namespace
}  // namespace weir::app
