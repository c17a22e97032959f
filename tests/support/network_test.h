#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/support/network_namespace.h"

namespace weir::tests {

/// A test in a namespace that plays the node. Skips where the kernel has no namespaces for us, in CI it fails.
class NetworkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (node.fd() >= 0) return;
    const std::string reason = std::string("no network namespace for us (are we root?): ") + std::strerror(errno);
    if (std::getenv("WEIR_CI") != nullptr) FAIL() << reason;
    GTEST_SKIP() << reason;
  }

  void ip(const std::string& arguments) { ASSERT_TRUE(node.shell("ip " + arguments)) << "ip " << arguments; }

  NetworkNamespace node;
};

}  // namespace weir::tests
