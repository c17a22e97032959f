#include "packet/forwarded.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::packet {
namespace {

TEST(Forwarded, ReadsAddressesInAllTheirForms) {
  const struct {
    const char* text;
    const char* want;
  } cases[] = {
      {"192.0.2.1", "192.0.2.1"},
      {" 192.0.2.1\t", "192.0.2.1"},
      {"192.0.2.1:8080", "192.0.2.1"},
      {"2001:db8::1", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"\"[2001:db8::1]:443\"", "2001:db8::1"},
      {"\"192.0.2.1\"", "192.0.2.1"},
      {"unknown", ""},
      {"_hidden", ""},
      {"", ""},
      {"[2001:db8::1", ""},
      {"host.test", ""},
      {"1.2.3", ""},
  };
  for (const auto& c : cases) {
    const auto address = parse_forwarded_address(c.text);
    EXPECT_EQ(address ? address->to_string() : "", c.want) << c.text;
  }
}

std::string client(const std::string& fields, const XffRule& rule = {}) {
  HttpHead head;
  const std::string text = "GET / HTTP/1.1\r\n" + fields + "\r\n";
  EXPECT_TRUE(parse_http_head(text, head));
  const IpAddress address = original_client(head, rule);
  return address.is_none() ? "none" : address.to_string();
}

TEST(Forwarded, TheRightmostAddressThatIsNoTrustedProxyIsTheClient) {
  const std::string list = "X-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.0.0.5\r\n";
  EXPECT_EQ(client(list), "10.0.0.5") << "nobody is trusted: the rightmost";
  XffRule rule;
  rule.trusted_proxies = {IpPrefix::parse("10.0.0.0/8").value()};
  EXPECT_EQ(client(list, rule), "203.0.113.9");
  rule.trusted_proxies.push_back(IpPrefix::parse("0.0.0.0/0").value());
  EXPECT_EQ(client(list, rule), "198.51.100.1") << "all are trusted: the leftmost";
}

TEST(Forwarded, OtherRulesChooseByPlace) {
  const std::string list = "X-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.0.0.5\r\n";
  XffRule rule;
  rule.choose = XffRule::Choose::kLeftmost;
  EXPECT_EQ(client(list, rule), "198.51.100.1");
  rule.choose = XffRule::Choose::kIndex;
  rule.index = 1;
  EXPECT_EQ(client(list, rule), "203.0.113.9");
  rule.index = 3;
  EXPECT_EQ(client(list, rule), "none");
}

TEST(Forwarded, HeadersAreTakenInOrderOfTrust) {
  const struct {
    const char* what;
    const char* fields;
    const char* want;
  } cases[] = {
      {"several lines are one list", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", "2.2.2.2"},
      {"what is no address is passed over", "X-Forwarded-For: 1.1.1.1, unknown, ,\r\n", "1.1.1.1"},
      {"before X-Real-IP", "X-Real-IP: 3.3.3.3\r\nX-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"},
      {"X-Real-IP", "X-Real-IP: 3.3.3.3\r\nForwarded: for=4.4.4.4\r\n", "3.3.3.3"},
      {"X-Real-IP if the list has no address", "X-Forwarded-For: unknown\r\nX-Real-IP: 3.3.3.3\r\n", "3.3.3.3"},
      {"Forwarded", "Forwarded: for=4.4.4.4;proto=http, By=x; FOR=\"[2001:db8::7]:80\"\r\n", "2001:db8::7"},
      {"a comma in quotes", "Forwarded: by=\"a,for=9.9.9.9\";for=4.4.4.4\r\n", "4.4.4.4"},
      {"nothing", "Host: a\r\n", "none"},
  };
  for (const auto& c : cases) EXPECT_EQ(client(c.fields), c.want) << c.what;
}

}  // namespace
}  // namespace weir::packet
