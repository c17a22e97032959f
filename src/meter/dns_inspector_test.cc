#include "meter/dns_inspector.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "meter/packet_fixture.h"

namespace weir::meter {
namespace {

using namespace std::string_literals;

constexpr std::int64_t kSecond = 1'000'000'000;

/// A message with one question (one label and ".test"), and an A record if `answers`.
std::string message(std::uint16_t id, bool response, const std::string& label, bool answers = false,
                    std::uint8_t rcode = 0) {
  std::string m{static_cast<char>(id >> 8), static_cast<char>(id & 0xFF)};
  m += response ? '\x81' : '\x01';
  m += static_cast<char>(rcode);
  m += "\0\1\0"s + (answers ? '\1' : '\0') + "\0\0\0\0"s;
  m += static_cast<char>(label.size());
  m += label + "\4test\0\0\1\0\1"s;
  if (answers) m += "\xC0\x0C\0\1\0\1\0\0\0\x3C\0\4\x0A\0\0\x09"s;
  return m;
}

/// Feeds packets and writes down what is finished: "a.test NoError 1.5s", "a.test Timeout".
struct Script {
  explicit Script(DnsInspectorOptions options = {}) : inspector(options) {}

  DnsInspector inspector;
  std::vector<std::string> payloads;

  void udp(bool from_client, std::string payload, double seconds, std::uint16_t server_port = 53) {
    const auto time = static_cast<std::int64_t>(seconds * kSecond);
    const packet::DecodedPacket p =
        from_client ? packet_of(model::kProtoUdp, "10.0.0.1", 5000, "10.0.0.2", server_port, payload, time)
                    : packet_of(model::kProtoUdp, "10.0.0.2", server_port, "10.0.0.1", 5000, payload, time);
    ASSERT_TRUE(DnsInspector::wants(p));
    inspector.on_packet(p, 0, true);
  }

  std::vector<std::string> finished() {
    std::vector<std::string> lines;
    for (const model::DnsTransaction& t : inspector.finished()) {
      EXPECT_EQ(t.client.to_string(), "10.0.0.1");
      EXPECT_EQ(t.server.to_string(), "10.0.0.2");
      std::string line = t.qname + " " + model::dns_rcode_name(t.rcode);
      if (t.query_ns != 0 && t.answer_ns != 0)
        line += " " + std::to_string((t.answer_ns - t.query_ns) / 1'000'000) + "ms";
      for (const auto& answer : t.answers) line += " " + answer.data;
      lines.push_back(line);
    }
    inspector.clear_finished();
    return lines;
  }
};

using Lines = std::vector<std::string>;

TEST(DnsInspector, PairsAQueryWithItsAnswer) {
  Script s;
  s.udp(true, message(7, false, "a"), 1);
  EXPECT_EQ(s.finished(), Lines{});
  s.udp(false, message(7, true, "A", true), 1.25);
  EXPECT_EQ(s.finished(), (Lines{"A.test NoError 250ms 10.0.0.9"})) << "names differ in case only";
  s.inspector.finish();
  EXPECT_EQ(s.finished(), Lines{});
  EXPECT_EQ(s.inspector.stats().queries, 1u);
  EXPECT_EQ(s.inspector.stats().responses, 1u);
}

TEST(DnsInspector, AnAnswerNeedsTheEndsIdAndQuestionOfItsQuery) {
  Script s;
  s.udp(true, message(7, false, "a"), 1);
  s.udp(true, message(7, false, "b"), 1);
  s.udp(false, message(8, true, "a", false, 3), 1.1);
  s.udp(false, message(7, true, "c", false, 3), 1.1);
  s.udp(false, message(7, true, "b", false, 3), 1.1);
  s.inspector.finish();
  EXPECT_EQ(s.finished(), (Lines{"a.test NXDomain", "c.test NXDomain", "b.test NXDomain 100ms", "a.test Timeout"}));
  EXPECT_EQ(s.inspector.stats().unpaired_responses, 2u);
}

TEST(DnsInspector, AQueryWithoutAnswerIsATimeoutAfterFiveSecondsOrAtTheEnd) {
  Script s;
  s.udp(true, message(1, false, "a"), 1);
  s.inspector.advance(5 * kSecond);
  EXPECT_EQ(s.finished(), Lines{});
  s.inspector.advance(6 * kSecond);
  EXPECT_EQ(s.finished(), (Lines{"a.test Timeout"}));
  s.udp(false, message(1, true, "a"), 6.5);
  EXPECT_EQ(s.finished(), (Lines{"a.test NoError"})) << "a late answer is one without query";
  s.udp(true, message(2, false, "b"), 7);
  s.inspector.finish();
  EXPECT_EQ(s.finished(), (Lines{"b.test Timeout"}));
}

TEST(DnsInspector, ARetryIsTheSameLookup) {
  Script s;
  s.udp(true, message(1, false, "a"), 1);
  s.udp(true, message(1, false, "a"), 2);
  s.udp(false, message(1, true, "a"), 2.5);
  s.udp(false, message(1, true, "a"), 2.75);
  EXPECT_EQ(s.finished(), (Lines{"a.test NoError 1500ms", "a.test NoError 750ms"}))
      << "the first answer counts from the first sending, one more from the newest";
  s.udp(true, message(2, false, "b"), 3);
  s.udp(true, message(2, false, "b"), 4);
  s.udp(true, message(2, false, "b"), 8.5);
  EXPECT_EQ(s.finished(), (Lines{"b.test Timeout"}));
  s.udp(true, message(2, false, "b"), 13.5);
  s.inspector.advance(40 * kSecond);
  EXPECT_EQ(s.finished(), Lines{}) << "a retry after the timeout is the same lookup too";
  s.udp(false, message(2, true, "b"), 41);
  EXPECT_EQ(s.finished(), (Lines{"b.test NoError"})) << "too late for any of them";
}

TEST(DnsInspector, ARetryAfterTheTimeoutMayBeAnswered) {
  Script s;
  s.udp(true, message(1, false, "a"), 1);
  s.udp(true, message(1, false, "a"), 6);
  s.udp(false, message(1, true, "a"), 6.25);
  EXPECT_EQ(s.finished(), (Lines{"a.test Timeout", "a.test NoError 250ms"}));
}

TEST(DnsInspector, TheSameQueryLongAfterIsANewLookup) {
  Script s;
  s.udp(true, message(1, false, "a"), 1);
  s.udp(true, message(1, false, "a"), 40);
  s.udp(true, message(1, false, "a"), 80);
  s.inspector.finish();
  EXPECT_EQ(s.finished(), (Lines{"a.test Timeout", "a.test Timeout", "a.test Timeout"}));
}

TEST(DnsInspector, TimesThatGoBackwardsDoNotPairWhatIsFarApart) {
  Script s;
  s.udp(true, message(9, false, "z"), 1000);
  s.udp(true, message(1, false, "a"), 10);
  s.udp(false, message(1, true, "a"), 18);
  EXPECT_EQ(s.finished(), (Lines{"a.test Timeout", "a.test NoError"}));
}

TEST(DnsInspector, AnAnswerWithoutQuestionTakesThatOfItsQuery) {
  Script s;
  s.udp(true, message(7, false, "a"), 1);
  s.udp(false, "\0\7\x81\1\0\0\0\0\0\0\0\0"s, 1.5);
  EXPECT_EQ(s.finished(), (Lines{"a.test FormErr 500ms"}));
  s.udp(false, "\0\7\x81\1\0\0\0\0\0\0\0\0"s, 1.5);
  EXPECT_EQ(s.finished(), (Lines{" FormErr"}));
}

TEST(DnsInspector, WhatIsNoQuestionIsCountedOnly) {
  Script s;
  s.udp(true, "short", 1);
  s.udp(true, "\0\7\1\0\0\1\0\0\0\0\0\0\x80"s, 1);
  s.inspector.finish();
  EXPECT_EQ(s.finished(), Lines{});
  EXPECT_EQ(s.inspector.stats().not_dns, 1u);
  EXPECT_EQ(s.inspector.stats().no_question, 1u);
  EXPECT_EQ(s.inspector.stats().malformed, 1u);
}

TEST(DnsInspector, MulticastNamesAreReportedOnRequest) {
  Script off;
  off.udp(false, message(0, true, "a", true), 1, 5353);
  EXPECT_EQ(off.finished(), Lines{});
  EXPECT_EQ(off.inspector.stats().multicast, 1u);
  DnsInspectorOptions options;
  options.multicast = true;
  Script on(options);
  on.udp(true, message(0, false, "a"), 1, 5355);
  on.udp(false, message(0, true, "a", true), 1, 5353);
  on.inspector.finish();
  EXPECT_EQ(on.finished(), (Lines{"a.test NoError 10.0.0.9"})) << "the query asks nobody, and never times out";
}

TEST(DnsInspector, ForgetsTheOldestQueryAboveItsLimit) {
  DnsInspectorOptions options;
  options.max_pending = 2;
  Script s(options);
  for (std::uint16_t id = 1; id <= 3; ++id) s.udp(true, message(id, false, "a"), 1);
  s.inspector.finish();
  EXPECT_EQ(s.finished().size(), 2u);
  EXPECT_EQ(s.inspector.stats().dropped_pending, 1u);
}

/// TCP with the length prefix, cut into segments of `step` bytes.
Lines over_tcp(std::size_t step, bool with_syn, std::size_t lost_segment) {
  DnsInspector inspector;
  TcpScript tcp;
  tcp.server_port = 53;
  if (with_syn) {
    inspector.on_packet(tcp.send(true, "", kSecond, packet::kTcpSyn), 3, true);
    inspector.on_packet(tcp.send(false, "", kSecond, packet::kTcpSyn), 3, false);
  }
  const auto framed = [](const std::string& m) { return "\0"s + static_cast<char>(m.size()) + m; };
  const std::string queries = framed(message(1, false, "a")) + framed(message(2, false, "b"));
  const std::string answers = framed(message(1, true, "a", true)) + framed(message(2, true, "b"));
  for (std::size_t at = 0; at < queries.size(); at += step) {
    inspector.on_packet(tcp.send(true, std::string_view(queries).substr(at, step), 2 * kSecond), 3, true);
  }
  std::size_t number = 0;
  for (std::size_t at = 0; at < answers.size(); at += step) {
    const packet::DecodedPacket p = tcp.send(false, std::string_view(answers).substr(at, step), 3 * kSecond);
    if (number++ != lost_segment) inspector.on_packet(p, 3, false);
  }
  inspector.on_connection_end(3);
  Lines lines;
  for (const model::DnsTransaction& t : inspector.finished()) {
    EXPECT_EQ(t.protocol, model::kProtoTcp);
    EXPECT_EQ(t.client.to_string(), "10.0.0.1");
    lines.push_back(t.qname + " " + std::to_string((t.answer_ns - t.query_ns) / kSecond));
  }
  return lines;
}

TEST(DnsInspector, ReadsMessagesFromTcpHoweverTheyAreCut) {
  for (std::size_t step = 1; step < 90; ++step) {
    EXPECT_EQ(over_tcp(step, true, 1000), (Lines{"a.test 1", "b.test 1"})) << step;
  }
}

TEST(DnsInspector, FindsTheNextMessageOnTcpBehindAGapOrInMidstream) {
  EXPECT_EQ(over_tcp(1000, false, 1000), (Lines{"a.test 1", "b.test 1"}));
  const std::size_t first_answer = message(1, true, "a", true).size() + 2;
  EXPECT_EQ(over_tcp(first_answer, true, 0), (Lines{"b.test 1"}));
}

TEST(DnsInspector, PutsFragmentsTogether) {
  const std::string whole = message(7, true, "a", true);
  const auto fragment = [&](std::size_t from, std::size_t size, bool more, std::uint16_t port) {
    packet::DecodedPacket p = packet_of(model::kProtoUdp, "10.0.0.2", port, "10.0.0.1", port == 0 ? 0 : 5000,
                                        std::string_view(whole).substr(from, size), kSecond);
    p.fragment = true;
    p.later_fragment = from > 0;
    p.more_fragments = more;
    p.fragment_id = 77;
    p.fragment_offset = static_cast<std::uint16_t>(from == 0 ? 0 : from + 8);
    return p;
  };
  const packet::DecodedPacket first = fragment(0, 16, true, 53), second = fragment(16, 8, true, 53),
                              third = fragment(24, 99, false, 53), early = fragment(24, 99, false, 0);
  const auto finished = [](std::vector<packet::DecodedPacket> packets) {
    DnsInspector inspector;
    for (const packet::DecodedPacket& p : packets) {
      EXPECT_TRUE(DnsInspector::wants(p));
      inspector.on_packet(p, 0, true);
    }
    const std::size_t before_the_end = inspector.finished().size();
    inspector.finish();
    Lines lines{std::to_string(before_the_end)};
    for (const model::DnsTransaction& t : inspector.finished()) {
      lines.push_back(t.qname + " " + std::to_string(t.answers.size()));
    }
    return lines;
  };
  EXPECT_EQ(finished({first, second, third}), (Lines{"1", "a.test 1"}));
  EXPECT_EQ(finished({early, second, second, first}), (Lines{"1", "a.test 1"})) << "in any order, copies too";
  EXPECT_EQ(finished({first, second}), (Lines{"0", "a.test 0"})) << "what there is, at the end";
  EXPECT_EQ(finished({second, third}), (Lines{"0"})) << "nothing without the first";
  packet::DecodedPacket overlap = fragment(8, 16, true, 53);
  EXPECT_EQ(finished({first, overlap}), (Lines{"1", " 0"})) << "an overlap ends the datagram";
}

}  // namespace
}  // namespace weir::meter
