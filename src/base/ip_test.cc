#include "base/ip.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(IpAddress, FormatsWhatItParses) {
  for (const char* text : {"0.0.0.0", "10.0.0.1", "192.168.100.255", "::", "::1", "2001:db8::1", "fe80::1:2"}) {
    SCOPED_TRACE(text);
    ASSERT_TRUE(IpAddress::parse(text).ok());
    EXPECT_EQ(IpAddress::parse(text).value().to_string(), text);
  }
}

TEST(IpAddress, RejectsWhatIsNoAddress) {
  for (const char* text : {"", "10.0.0", "10.0.0.256", "10.0.0.1/8", "host", ":::", "1.2.3.4.5"}) {
    SCOPED_TRACE(text);
    EXPECT_FALSE(IpAddress::parse(text).ok());
  }
  EXPECT_FALSE(IpAddress::parse({}).ok()) << "a view of nothing at all";
}

TEST(IpAddress, MappedIpv6IsTheIpv4AddressItMaps) {
  const IpAddress mapped = IpAddress::parse("::ffff:10.1.2.3").value();
  EXPECT_TRUE(mapped.is_v4());
  EXPECT_EQ(mapped, IpAddress::v4(0x0A010203));
  EXPECT_EQ(mapped.v4_host_order(), 0x0A010203u);
  EXPECT_FALSE(IpAddress::parse("::10.1.2.3").value().is_v4());
}

TEST(IpPrefix, ContainsByFamilyAndBits) {
  const struct {
    const char* prefix;
    const char* ip;
    bool want;
  } cases[] = {
      {"10.0.0.0/8", "10.255.1.1", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"10.1.2.3/20", "10.1.15.255", true},
      {"10.1.2.3/20", "10.1.16.0", false},
      {"0.0.0.0/0", "8.8.8.8", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"::/0", "2001:db8::1", true},
      {"::/0", "10.0.0.1", false},
      {"10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "10.0.0.2", false},
      {"2001:db8::/33", "2001:db8:7fff::", true},
      {"2001:db8::/33", "2001:db8:8000::", false},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.prefix) + " " + c.ip);
    EXPECT_EQ(IpPrefix::parse(c.prefix).value().contains(IpAddress::parse(c.ip).value()), c.want);
  }
}

TEST(IpPrefix, ClearsHostBitsAndRejectsBadLengths) {
  EXPECT_EQ(IpPrefix::parse("10.1.2.3/20").value().to_string(), "10.1.0.0/20");
  EXPECT_EQ(IpPrefix::parse("2001:db8:8000::1/33").value().to_string(), "2001:db8:8000::/33");
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "::/129"}) {
    SCOPED_TRACE(text);
    EXPECT_FALSE(IpPrefix::parse(text).ok());
  }
}

}  // namespace
}  // namespace weir
