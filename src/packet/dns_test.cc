#include "packet/dns.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace weir::packet {
namespace {

using namespace std::string_literals;

/// A 16-bit number in network order.
std::string u16(unsigned value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)}; }

std::string header(unsigned flags, unsigned questions, unsigned answers = 0, unsigned authority = 0,
                   unsigned additional = 0) {
  return u16(0x1234) + u16(flags) + u16(questions) + u16(answers) + u16(authority) + u16(additional);
}

/// "www.example.com" in wire form.
std::string name(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    out += static_cast<char>(dot);
    out += text.substr(0, dot);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return out + '\0';
}

std::string question(std::string_view text, unsigned type = 1) { return name(text) + u16(type) + u16(1); }

/// A record named by a pointer to the first question.
std::string record(unsigned type, const std::string& data, unsigned ttl_high = 0) {
  return u16(0xC00C) + u16(type) + u16(1) + u16(ttl_high) + u16(60) + u16(static_cast<unsigned>(data.size())) + data;
}

DnsParse parse(const std::string& bytes, DnsMessage& out) {
  return parse_dns({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, out);
}

TEST(Dns, ReadsHeaderAndQuestion) {
  DnsMessage m;
  ASSERT_EQ(parse(header(0x0100, 1) + question("www.Example.com", 28), m), DnsParse::kOk);
  EXPECT_EQ(m.id, 0x1234);
  EXPECT_FALSE(m.response);
  ASSERT_EQ(m.questions.size(), 1u);
  EXPECT_EQ(m.questions[0].name, "www.Example.com");
  EXPECT_EQ(m.questions[0].type, 28);
  EXPECT_EQ(m.questions[0].qclass, 1);
  ASSERT_EQ(parse(header(0xAC03, 0), m), DnsParse::kOk);
  EXPECT_TRUE(m.response);
  EXPECT_EQ(m.opcode, 5);
  EXPECT_EQ(m.rcode, 3);
  EXPECT_TRUE(m.questions.empty()) << "a message is overwritten";
}

TEST(Dns, WritesNamesInPresentationForm) {
  const struct {
    const char* what;
    std::string wire;
    const char* want;
  } cases[] = {
      {"the root", "\0"s, "."},
      {"a dot and a backslash inside a label", "\4a.\\b\0"s, "a\\.\\\\b"},
      {"bytes outside printable ASCII", "\4a \0\xFC\0"s, "a\\032\\000\\252"},
      {"case is kept", "\3wWw\0"s, "wWw"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    DnsMessage m;
    EXPECT_EQ(parse(header(0, 1) + c.wire + u16(1) + u16(1), m), DnsParse::kOk);
    ASSERT_EQ(m.questions.size(), 1u);
    EXPECT_EQ(m.questions[0].name, c.want);
  }
}

TEST(Dns, WritesRecordDataInPresentationForm) {
  const std::string soa_numbers =
      u16(0) + u16(7) + u16(0) + u16(60) + u16(0) + u16(61) + u16(0) + u16(62) + u16(1) + u16(0);
  const struct {
    const char* what;
    unsigned type;
    std::string data;
    const char* want;
  } cases[] = {
      {"A", 1, "\x0A\0\0\1"s, "10.0.0.1"},
      {"AAAA", 28, "\x20\1\x0d\xb8"s + std::string(11, '\0') + "\1", "2001:db8::1"},
      {"CNAME by pointer", 5, "\3web\xC0\x0C"s, "web.a.test"},
      {"NS", 2, name("ns.test"), "ns.test"},
      {"PTR", 12, name("host.test"), "host.test"},
      {"DNAME", 39, name("other.test"), "other.test"},
      {"MX", 15, u16(10) + name("mail.test"), "10 mail.test"},
      {"SRV", 33, u16(1) + u16(2) + u16(5060) + name("sip.test"), "1 2 5060 sip.test"},
      {"SOA", 6, name("ns.test") + name("root.test") + soa_numbers, "ns.test root.test 7 60 61 62 65536"},
      {"TXT strings joined", 16, "\4v=a \2b.\1\x01"s, "v=a b.\\001"},
      {"empty TXT", 16, "", ""},
      {"unknown type", 65280, "\x01\xAB"s, "\\# 2 01ab"},
      {"unknown and empty", 65280, "", "\\# 0"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    DnsMessage m;
    ASSERT_EQ(parse(header(0x8180, 1, 1) + question("a.test", c.type) + record(c.type, c.data), m), DnsParse::kOk);
    ASSERT_EQ(m.answers.size(), 1u);
    EXPECT_EQ(m.answers[0].name, "a.test");
    EXPECT_EQ(m.answers[0].type, c.type);
    EXPECT_EQ(m.answers[0].ttl, 60u);
    EXPECT_EQ(m.answers[0].data, c.want);
    EXPECT_EQ(m.answers[0].address.is_none(), c.type != 1 && c.type != 28);
  }
}

TEST(Dns, DataThatDoesNotFitItsTypeIsWrittenAsUnknownAndTheRestIsRead) {
  const struct {
    const char* what;
    unsigned type;
    std::string data;
    const char* want;
  } cases[] = {
      {"A of 3 bytes", 1, "\1\2\3", "\\# 3 010203"},
      {"CNAME with bytes behind it", 5, name("x") + "y", "\\# 4 01780079"},
      {"TXT longer than its record", 16, "\5ab", "\\# 3 056162"},
      {"SOA cut off", 6, name("x") + name("y"), "\\# 6 017800017900"},
      {"SRV cut off", 33, u16(1), "\\# 2 0001"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    DnsMessage m;
    EXPECT_EQ(parse(header(0x8180, 1, 2) + question("a.test") + record(c.type, c.data) + record(1, "\x7F\0\0\1"s), m),
              DnsParse::kMalformed);
    ASSERT_EQ(m.answers.size(), 2u);
    EXPECT_EQ(m.answers[0].data, c.want);
    EXPECT_EQ(m.answers[1].data, "127.0.0.1");
  }
}

TEST(Dns, RcodeIsExtendedByEdns) {
  const std::string opt = "\0"s + u16(41) + u16(4096) + u16(0x0100) + u16(0) + u16(0);
  DnsMessage m;
  ASSERT_EQ(parse(header(0x8180, 1, 0, 0, 1) + question("a.test") + opt, m), DnsParse::kOk);
  EXPECT_EQ(m.rcode, 16) << "BADVERS";
}

TEST(Dns, KeepsWhatCouldBeReadOfAMalformedMessage) {
  const std::string good = header(0x8180, 1, 2) + question("a.test") + record(1, "\x0A\0\0\1"s);
  DnsMessage m;
  EXPECT_EQ(parse(good, m), DnsParse::kMalformed) << "the second answer is missing";
  EXPECT_EQ(m.questions.size(), 1u);
  EXPECT_EQ(m.answers.size(), 1u);
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(parse(good.substr(0, size), m), size < 12 ? DnsParse::kNotDns : DnsParse::kMalformed) << size;
  }
}

TEST(Dns, CompressionIsBounded) {
  DnsMessage m;
  EXPECT_EQ(parse(header(0, 1) + u16(0xC00C) + u16(1) + u16(1), m), DnsParse::kMalformed) << "a pointer to itself";
  ASSERT_EQ(m.questions.size(), 1u) << "what follows the name is known";
  EXPECT_EQ(m.questions[0].name, "");
  EXPECT_EQ(m.questions[0].type, 1);
  EXPECT_EQ(parse(header(0, 1) + u16(0xFFFF) + u16(1) + u16(1), m), DnsParse::kMalformed) << "out of the message";
  EXPECT_EQ(parse(header(0, 1) + "\x40" + u16(1) + u16(1), m), DnsParse::kMalformed) << "an undefined label type";
  EXPECT_TRUE(m.questions.empty());

  std::string long_name;
  for (int i = 0; i < 4; ++i) long_name += "\x3F" + std::string(63, 'x');
  EXPECT_EQ(parse(header(0, 1) + long_name + "\0"s + u16(1) + u16(1), m), DnsParse::kMalformed) << "257 bytes";
  EXPECT_TRUE(m.questions.empty());
  std::string chain = header(0, 1) + u16(0xC000 + 16) + u16(1);
  for (unsigned i = 0; i < 200; ++i) chain += u16(0xC000 + 16 + 2 * (i + 1));
  EXPECT_EQ(parse(chain + "\0"s, m), DnsParse::kMalformed) << "too many jumps";
}

TEST(Dns, APointerMayGoForward) {
  DnsMessage m;
  ASSERT_EQ(parse(header(0, 1) + u16(0xC000 + 18) + u16(1) + u16(1) + name("later.test"), m), DnsParse::kOk);
  EXPECT_EQ(m.questions[0].name, "later.test");
}

}  // namespace
}  // namespace weir::packet
