#include "app/capabilities.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace weir::app {
namespace {

/// Runs `check` in a child, which may give up what we want to keep. Its exit code.
template <typename F>
int in_child(F&& check) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Capabilities, NamesAreThoseOfTheManual) {
  EXPECT_EQ(capability_names(agent_capabilities()),
            (std::vector<std::string>{"NET_ADMIN", "NET_RAW", "PERFMON", "BPF"}));
  EXPECT_EQ(capability_names(Capabilities{1} << 60), std::vector<std::string>{"60"});
}

TEST(Capabilities, ARunningAgentNeedsWhatItsSourceNeeds) {
  EXPECT_EQ(capability_names(running_capabilities({"ebpf", "nflog", "nat"})),
            (std::vector<std::string>{"NET_ADMIN", "BPF"}));
  EXPECT_EQ(capability_names(running_capabilities({"conntrack", "nflog"})), std::vector<std::string>{"NET_ADMIN"});
  EXPECT_EQ(capability_names(running_capabilities({"afpacket"})), std::vector<std::string>{"NET_RAW"});
  EXPECT_EQ(capability_names(running_capabilities({"conntrack", "afpacket"})),
            (std::vector<std::string>{"NET_ADMIN", "NET_RAW"}));
}

TEST(Capabilities, WhatIsGivenUpIsGone) {
  const Capabilities before = held_capabilities();
  EXPECT_EQ(in_child([&] {
              if (!keep_capabilities(agent_capabilities()).ok()) return 1;
              if (held_capabilities() != (before & agent_capabilities())) return 2;
              if (!keep_capabilities(running_capabilities({"conntrack"})).ok()) return 3;
              if (held_capabilities() != (before & running_capabilities({"conntrack"}))) return 4;
              // There is no way back.
              if (!keep_capabilities(agent_capabilities()).ok()) return 5;
              return held_capabilities() == (before & running_capabilities({"conntrack"})) ? 0 : 6;
            }),
            0);
  EXPECT_EQ(held_capabilities(), before);
}

TEST(Capabilities, FilesOfOthersNeedOneMore) {
  if (::geteuid() != 0 || (held_capabilities() & file_capability()) == 0) GTEST_SKIP() << "needs root";
  std::string folder = testing::TempDir() + "capabilities_test_XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  EXPECT_TRUE(can_use(folder, true, agent_capabilities())) << "it is ours";
  EXPECT_TRUE(can_use(folder + "/a/b", true, agent_capabilities())) << "can be made";
  EXPECT_FALSE(can_use(folder + "/a", false, agent_capabilities() | file_capability())) << "is not there";
  ASSERT_EQ(::chown(folder.c_str(), 12345, 12345), 0);
  EXPECT_FALSE(can_use(folder, true, agent_capabilities()));
  EXPECT_FALSE(can_use(folder + "/a/b", true, agent_capabilities()));
  EXPECT_TRUE(can_use(folder, true, agent_capabilities() | file_capability()));
  ::rmdir(folder.c_str());
}

}  // namespace
}  // namespace weir::app
