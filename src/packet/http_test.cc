#include "packet/http.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace weir::packet {
namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST(HttpDetect, TellsHttpFromOtherProtocolsByItsFirstBytes) {
  const struct {
    std::string_view text;
    HttpStart want;
  } cases[] = {
      {"GET / HTTP/1.1\r\n", HttpStart::kYes},
      {"PROPFIND /x HTTP/1.1", HttpStart::kYes},
      {"M-SEARCH * HTTP/1.1", HttpStart::kYes},
      {"HTTP/1.0 200 OK", HttpStart::kYes},
      {"\r\nGET / HTTP/1.1", HttpStart::kYes},
      {"G", HttpStart::kMaybe},
      {"GET ", HttpStart::kMaybe},
      {"HTTP/", HttpStart::kMaybe},
      {"HTTP/2.0 200", HttpStart::kNo},
      {"\x16\x03\x01\x02", HttpStart::kNo},
      {"SSH-2.0-OpenSSH_9.2\r\n", HttpStart::kNo},
      {"220 mail ESMTP", HttpStart::kNo},
      {std::string_view("GET\0/", 5), HttpStart::kNo},
      {"AVERYLONGWORDTHATISNOMETHODATALL /", HttpStart::kNo},
      {"\r\n\r\n\r\n", HttpStart::kNo},
  };
  for (const auto& c : cases) EXPECT_EQ(detect_http(bytes_of(c.text)), c.want) << c.text;
}

TEST(HttpHead, ReadsRequestAndFields) {
  HttpHead head;
  ASSERT_TRUE(parse_http_head(
      "POST /a b?q=1 HTTP/1.1\r\nHOST: shop.test\r\nuser-agent:  curl/8 \r\nContent-Length: 12\r\n"
      "X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\nX-Real-IP: 9.9.9.9\r\n"
      "Forwarded: for=1.1.1.1\r\nno colon here\r\n: no name\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n",
      head));
  EXPECT_TRUE(head.request);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/a b?q=1");
  EXPECT_EQ(head.version, "HTTP/1.1");
  EXPECT_EQ(head.host, "shop.test");
  EXPECT_EQ(head.user_agent, "curl/8");
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.chunked);
  EXPECT_EQ(head.x_forwarded_for, (std::vector<std::string_view>{"1.2.3.4", "5.6.7.8"}));
  EXPECT_EQ(head.x_real_ip, "9.9.9.9");
  EXPECT_EQ(head.forwarded, (std::vector<std::string_view>{"for=1.1.1.1"}));
}

TEST(HttpHead, IsAsTolerantAsServers) {
  HttpHead head;
  ASSERT_TRUE(parse_http_head("\r\nGET / HTTP/1.0 \nHost : a.test\nX-Forwarded-For: 1.2.3.4,\n  5.6.7.8\n\n", head));
  EXPECT_EQ(head.host, "a.test") << "bare LF, blank before the colon";
  ASSERT_EQ(head.x_forwarded_for.size(), 1u);
  EXPECT_EQ(head.x_forwarded_for[0], "1.2.3.4,\n  5.6.7.8") << "a folded line";
  ASSERT_TRUE(parse_http_head("HTTP/1.1 404\r\n\r\n", head)) << "no reason phrase";
  EXPECT_FALSE(head.request);
  EXPECT_EQ(head.status, 404);
}

TEST(HttpHead, RefusesWhatIsNoHead) {
  const std::string_view cases[] = {"",
                                    "GET /\r\n\r\n",
                                    "GET / HTTP/2.0\r\n\r\n",
                                    "EHLO mail.test\r\n\r\n",
                                    "INVITE sip:a@b SIP/2.0\r\n\r\n",
                                    " HTTP/1.1\r\n\r\n",
                                    "HTTP/1.1 9\r\n\r\n",
                                    "HTTP/1.1 2000 x\r\n\r\n",
                                    "HTTP/1.1 0x1 x\r\n\r\n",
                                    "GET HTTP/1.1\r\n\r\n"};
  HttpHead head;
  for (const std::string_view text : cases) EXPECT_FALSE(parse_http_head(text, head)) << text;
}

/// Writes down what a reader finds: "GET /", "200", "end 5", "cut 3".
struct Recorder final : HttpEvents {
  std::vector<std::string> seen;
  Body body = Body::kAsHeaders;
  Body on_head(const HttpHead& head, std::size_t) override {
    seen.push_back(head.request ? std::string(head.method) + " " + std::string(head.target)
                                : std::to_string(head.status));
    return body;
  }
  void on_message_end(std::uint64_t bytes, bool whole) override {
    seen.push_back((whole ? "end " : "cut ") + std::to_string(bytes));
  }
};

using Seen = std::vector<std::string>;

TEST(HttpReader, FollowsMessagesWhereverTheSegmentsAreCut) {
  const std::string stream =
      "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
      "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n"
      "\r\nGET /c HTTP/1.1\r\n\r\n";
  const Seen want{"POST /a", "end 5", "POST /b", "end 29", "GET /c", "end 0"};
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    HttpReader reader;
    Recorder recorder;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      reader.feed(bytes_of(std::string_view(stream).substr(at, step)), recorder);
    }
    ASSERT_EQ(recorder.seen, want) << "segments of " << step;
  }
}

TEST(HttpReader, KnowsWhichResponsesHaveNoBody) {
  const struct {
    const char* what;
    std::string_view stream;
    HttpEvents::Body body;
    Seen want;
    HttpReader::State state;
  } cases[] = {
      {"HEAD",
       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
       HttpEvents::Body::kNone,
       {"200", "end 0"},
       HttpReader::State::kIdle},
      {"304",
       "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n",
       HttpEvents::Body::kAsHeaders,
       {"304", "end 0"},
       HttpReader::State::kIdle},
      {"100 then 200",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
       HttpEvents::Body::kAsHeaders,
       {"100", "end 0", "200", "end 0"},
       HttpReader::State::kIdle},
      {"upgrade",
       "HTTP/1.1 101 x\r\n\r\n\x81\x05hello",
       HttpEvents::Body::kAsHeaders,
       {"101", "end 0"},
       HttpReader::State::kDone},
      {"CONNECT",
       "HTTP/1.1 200 x\r\n\r\n\x16\x03",
       HttpEvents::Body::kTunnel,
       {"200", "end 0"},
       HttpReader::State::kDone},
      {"refused CONNECT",
       "HTTP/1.1 403 x\r\nContent-Length: 1\r\n\r\nx",
       HttpEvents::Body::kTunnel,
       {"403", "end 1"},
       HttpReader::State::kIdle},
      {"until the end",
       "HTTP/1.0 200 x\r\n\r\nabc",
       HttpEvents::Body::kAsHeaders,
       {"200"},
       HttpReader::State::kUntilClose},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    HttpReader reader;
    Recorder recorder;
    recorder.body = c.body;
    reader.feed(bytes_of(c.stream), recorder);
    EXPECT_EQ(recorder.seen, c.want);
    EXPECT_EQ(reader.state(), c.state);
  }
}

TEST(HttpReader, AGapInABodyIsSkippedIfItsLengthIsKnown) {
  HttpReader reader;
  Recorder recorder;
  reader.feed(bytes_of("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab"), recorder);
  reader.gap(6, recorder);
  reader.feed(bytes_of("ij"), recorder);
  reader.feed(bytes_of("GET /2 HTTP/1.1\r\n\r\n"), recorder);
  EXPECT_EQ(recorder.seen, (Seen{"POST /", "end 10", "GET /2", "end 0"}));
}

TEST(HttpReader, BehindAGapItLooksForTheNextHeadAtTheStartOfASegment) {
  HttpReader reader;
  Recorder recorder;
  reader.feed(bytes_of("POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n"), recorder);
  reader.gap(100, recorder);
  reader.feed(bytes_of("\x01\x02 GET /no HTTP/1.1\r\n\r\n"), recorder);
  reader.feed(bytes_of("PUT is a word of this text\r\n"), recorder);
  reader.feed(bytes_of("GET /2 HTTP/1.1\r\nHost: a\r\n"), recorder);
  reader.gap(10, recorder);
  reader.feed(bytes_of("GET /3 HTTP/1.1\r\n\r\n"), recorder);
  EXPECT_EQ(recorder.seen, (Seen{"POST /1", "end 4", "GET /2", "cut 0", "GET /3", "end 0"}));
}

TEST(HttpReader, ReportsWhatIsOpenWhenTheConnectionEnds) {
  const struct {
    std::string_view stream;
    Seen want;
  } cases[] = {
      {"HTTP/1.0 200 x\r\n\r\nabc", {"200", "end 3"}},
      {"HTTP/1.0 200 x\r\nContent-Length: 9\r\n\r\nabc", {"200", "cut 3"}},
      {"GET / HTTP/1.1\r\nHost: cut.te", {"GET /", "cut 0"}},
      {"GET / HTTP/1.1", {}},
  };
  for (const auto& c : cases) {
    HttpReader reader;
    Recorder recorder;
    reader.feed(bytes_of(c.stream), recorder);
    reader.end(recorder);
    EXPECT_EQ(recorder.seen, c.want) << c.stream;
    EXPECT_TRUE(reader.done());
  }
}

TEST(HttpReader, GivesUpOnWhatIsNoHttp) {
  Recorder recorder;
  HttpReader smtp;
  smtp.feed(bytes_of("EHLO mail.test\r\n"), recorder);
  EXPECT_TRUE(smtp.done()) << "by its first line";
  HttpReader endless;
  const std::string line = "X-Long: " + std::string(1000, 'x') + "\r\n";
  endless.feed(bytes_of("GET / HTTP/1.1\r\n"), recorder);
  for (std::size_t sent = 0; sent < 2 * HttpReader::kMaxHeadBytes; sent += line.size())
    endless.feed(bytes_of(line), recorder);
  EXPECT_TRUE(endless.done()) << "a head without end";
  HttpReader lost(true);
  for (int i = 0; i < HttpReader::kMaxLostSegments; ++i) lost.feed(bytes_of("\x17\x03\x03"), recorder);
  EXPECT_TRUE(lost.done()) << "in mid-stream";
  EXPECT_TRUE(recorder.seen.empty());
}

TEST(HttpReader, ChunksThatMakeNoSenseAreLeft) {
  for (const std::string_view chunk : {"zz\r\n", "-1\r\n", "fffffffffffffffff\r\n"}) {
    HttpReader reader;
    Recorder recorder;
    reader.feed(bytes_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), recorder);
    reader.feed(bytes_of(chunk), recorder);
    EXPECT_EQ(reader.state(), HttpReader::State::kLost) << chunk;
    reader.feed(bytes_of("HTTP/1.1 204 x\r\n\r\n"), recorder);
    EXPECT_EQ(recorder.seen.back(), "end 0");
  }
}

}  // namespace
}  // namespace weir::packet
