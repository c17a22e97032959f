#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

/// For tests that need the kernel: a network namespace of the test's own, which goes away with the process or the next
/// one. Nothing outside it is touched.
namespace weir::testing {

/// Skips the test with the reason; in CI (WEIR_CI=1) fails it, as CI has to have what it takes.
#define WEIR_SKIP_OR_FAIL(reason)                                         \
  do {                                                                    \
    if (std::getenv("WEIR_CI") != nullptr) FAIL() << std::string(reason); \
    GTEST_SKIP() << std::string(reason);                                  \
  } while (false)

/// Runs a shell command in the thread's network namespace; its output is returned, its failure fails the test.
inline std::string run(const std::string& command) {
  std::string output;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) {
    ADD_FAILURE() << "popen: " << command;
    return output;
  }
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, got);
  const int status = pclose(pipe);
  EXPECT_EQ(status, 0) << command << "\n" << output;
  return output;
}

/// Moves the calling thread into a new network namespace with its loopback up. Empty, or why that does not work.
inline std::string enter_own_network() {
  if (unshare(CLONE_NEWNET) != 0) return std::string("no network namespace of our own: ") + std::strerror(errno);
  run("ip link set lo up");
  return {};
}

/// Loads nftables rules into the thread's network namespace.
inline void load_rules(const std::string& rules) {
  std::FILE* pipe = popen("nft -f - 2>&1", "we");
  ASSERT_NE(pipe, nullptr);
  std::fwrite(rules.data(), 1, rules.size(), pipe);
  ASSERT_EQ(pclose(pipe), 0) << rules;
}

}  // namespace weir::testing
