#include "base/socket_address.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(SocketAddress, ReadsAndWritesAnAddressAndAPort) {
  for (const char* text : {"127.0.0.1:9081", "[::1]:0", "[2001:db8::2]:65535", "0.0.0.0:1"}) {
    const auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address.value().to_string(), text);
  }
}

TEST(SocketAddress, WhatIsNotAnAddressAndAPortIsRefused) {
  for (const char* text : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x",
                           "::1:80", "[::1]", "[::1]80", "[127.0.0.1]:80", "localhost:80", "[]:80", "127.0.0.1 :80"}) {
    EXPECT_FALSE(SocketAddress::parse(text).ok()) << text;
  }
}

TEST(SocketAddress, KnowsLoopback) {
  const auto loopback = [](const char* text) { return SocketAddress::parse(text).value().is_loopback(); };
  EXPECT_TRUE(loopback("127.0.0.1:1"));
  EXPECT_TRUE(loopback("127.255.0.9:1"));
  EXPECT_TRUE(loopback("[::1]:1"));
  EXPECT_FALSE(loopback("0.0.0.0:1"));
  EXPECT_FALSE(loopback("[::]:1"));
  EXPECT_FALSE(loopback("10.0.0.1:1"));
}

}  // namespace
}  // namespace weir
