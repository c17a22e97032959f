#include "meter/stream.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "meter/packet_fixture.h"

namespace weir::meter {
namespace {

/// What came out: bytes, with "<N>" for a gap of N.
struct Text {
  std::string text;
  std::int64_t newest_ns = 0;
  void deliver(std::span<const std::uint8_t> bytes, std::int64_t time_ns) {
    text.append(bytes.begin(), bytes.end());
    newest_ns = time_ns;
  }
  void gap(std::uint64_t bytes) { text += '<' + std::to_string(bytes) + '>'; }
};

packet::DecodedPacket segment(std::uint32_t seq, std::string_view payload, std::uint8_t flags = 0) {
  packet::DecodedPacket p = packet_of(model::kProtoTcp, "10.0.0.1", 1, "10.0.0.2", 2, payload, 1);
  p.tcp_seq = seq;
  p.tcp_flags = flags;
  return p;
}

TEST(TcpStream, PutsSegmentsInOrder) {
  const struct {
    const char* what;
    std::vector<std::pair<std::uint32_t, std::string_view>> segments;
    const char* want;
  } cases[] = {
      {"in order", {{0, "ab"}, {2, "cd"}}, "abcd"},
      {"out of order", {{0, "ab"}, {4, "ef"}, {2, "cd"}}, "abcdef"},
      {"several holes", {{0, "a"}, {4, "e"}, {2, "c"}, {3, "d"}, {1, "b"}}, "abcde"},
      {"retransmission", {{0, "ab"}, {0, "xx"}, {2, "cd"}}, "abcd"},
      {"keep-alive", {{0, "ab"}, {1, "\0"}, {2, "cd"}}, "abcd"},
      {"overlap with what was delivered", {{0, "abc"}, {1, "xxde"}}, "abcde"},
      {"overlap of waiting segments", {{0, "a"}, {3, "def"}, {2, "cxx"}, {1, "b"}}, "abcxxf"},
      {"copy of a waiting segment", {{0, "a"}, {2, "c"}, {2, "x"}, {1, "b"}}, "abc"},
      {"a hole at the end of input", {{0, "ab"}, {5, "fg"}}, "ab<3>fg"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    for (const std::uint32_t base : {0u, 100u, 0xFFFFFFFDu}) {
      TcpStream stream;
      StreamBudget budget;
      Text out;
      stream.accept(segment(base - 1, "", packet::kTcpSyn), budget, out);
      for (const auto& [seq, payload] : c.segments) stream.accept(segment(base + seq, payload), budget, out);
      stream.finish(budget, out);
      EXPECT_EQ(out.text, c.want) << "from " << base;
      EXPECT_EQ(budget.used_bytes, 0u);
      EXPECT_TRUE(stream.from_start());
    }
  }
}

TEST(TcpStream, StartsWithTheFirstPayloadIfTheSynWasNotSeen) {
  TcpStream stream;
  StreamBudget budget;
  Text out;
  stream.accept(segment(500, ""), budget, out);
  stream.accept(segment(700, "ab"), budget, out);
  stream.accept(segment(702, "cd"), budget, out);
  EXPECT_EQ(out.text, "abcd");
  EXPECT_FALSE(stream.from_start());
}

TEST(TcpStream, PayloadOnASynIsTheStart) {
  TcpStream stream;
  StreamBudget budget;
  Text out;
  stream.accept(segment(10, "GET", packet::kTcpSyn), budget, out);
  stream.accept(segment(10, "GET", packet::kTcpSyn), budget, out);
  stream.accept(segment(14, " /"), budget, out);
  EXPECT_EQ(out.text, "GET /");
}

TEST(TcpStream, BytesThatWereNotCapturedAreAGap) {
  TcpStream stream;
  StreamBudget budget;
  Text out;
  packet::DecodedPacket cut = segment(0, "abcdef");
  cut.payload_captured = 4;
  stream.accept(cut, budget, out);
  stream.accept(segment(6, "gh"), budget, out);
  EXPECT_EQ(out.text, "abcd<2>gh");
}

TEST(TcpStream, AHoleThatTheReceiverAcknowledgedTwiceIsGivenUp) {
  TcpStream stream;
  StreamBudget budget;
  Text out;
  stream.accept(segment(0, "ab"), budget, out);
  packet::DecodedPacket late = segment(5, "fg");
  late.time_ns = 77;
  stream.accept(late, budget, out);
  stream.acknowledge(3, budget, out);
  stream.acknowledge(4, budget, out);
  EXPECT_EQ(out.text, "ab") << "not all of the hole";
  stream.acknowledge(7, budget, out);
  EXPECT_EQ(out.text, "ab") << "once may be a capture out of order";
  stream.acknowledge(7, budget, out);
  EXPECT_EQ(out.text, "ab<3>fg");
  EXPECT_EQ(out.newest_ns, 77) << "the time is the segment's own";
  EXPECT_EQ(budget.gaps, 1u);
}

TEST(TcpStream, WaitsWithinBounds) {
  StreamBudget budget;
  {
    TcpStream stream;
    Text out;
    stream.accept(segment(0, "a"), budget, out);
    for (std::uint32_t i = 0; i <= TcpStream::kMaxSegments; ++i) stream.accept(segment(10 + 2 * i, "x"), budget, out);
    EXPECT_TRUE(out.text.starts_with("a<9>x")) << "by the number of segments";
    stream.drop(budget);
  }
  EXPECT_EQ(budget.used_bytes, 0u);
  {
    TcpStream stream;
    Text out;
    const std::string large(60'000, 'x');
    stream.accept(segment(0, "a"), budget, out);
    for (std::uint32_t i = 0; i < 5; ++i) stream.accept(segment(10 + 60'000 * i, large), budget, out);
    EXPECT_TRUE(out.text.starts_with("a<9>x")) << "by their bytes";
    stream.drop(budget);
  }
  budget.max_bytes = 100;
  TcpStream stream;
  Text out;
  stream.accept(segment(0, "a"), budget, out);
  stream.accept(segment(10, "x"), budget, out);
  stream.accept(segment(20, "y"), budget, out);
  EXPECT_TRUE(out.text.starts_with("a<9>x")) << "by the budget of all streams";
  stream.finish(budget, out);
  EXPECT_EQ(budget.used_bytes, 0u);
}

TEST(TcpStream, SegmentsFarFromTheWindowAreIgnored) {
  TcpStream stream;
  StreamBudget budget;
  Text out;
  stream.accept(segment(0, "a"), budget, out);
  stream.accept(segment(0x50000000, "far"), budget, out);
  stream.accept(segment(1, "b"), budget, out);
  stream.finish(budget, out);
  EXPECT_EQ(out.text, "ab");
}

/// The slow way: every byte in a map, the first one to come wins.
TEST(TcpStream, AgreesWithAByteMapOnRandomSegments) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::string text = "The quick brown fox jumps over the lazy dog, and nobody is surprised.";
    TcpStream stream;
    StreamBudget budget;
    Text out;
    stream.accept(segment(99, "", packet::kTcpSyn), budget, out);
    std::map<std::size_t, char> bytes;
    for (int i = 0; i < 25; ++i) {
      const std::size_t at = random() % text.size(), size = 1 + random() % 12;
      const std::string_view piece = std::string_view(text).substr(at, size);
      for (std::size_t k = 0; k < piece.size(); ++k) bytes.emplace(at + k, piece[k]);
      stream.accept(segment(static_cast<std::uint32_t>(100 + at), piece), budget, out);
    }
    stream.finish(budget, out);
    std::string want;
    std::size_t next = 0;
    for (const auto& [at, c] : bytes) {
      if (at != next) want += '<' + std::to_string(at - next) + '>';
      want += c;
      next = at + 1;
    }
    EXPECT_EQ(out.text, want);
  }
}

}  // namespace
}  // namespace weir::meter
