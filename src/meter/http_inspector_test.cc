#include "meter/http_inspector.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "meter/packet_fixture.h"

namespace weir::meter {
namespace {

using Lines = std::vector<std::string>;

/// One connection of slot 5, metered from the client's side, and what is finished: "GET a/x 200 10 20".
struct Script {
  explicit Script(HttpInspectorOptions options = {}) : inspector(std::move(options)) {}

  HttpInspector inspector;
  TcpScript tcp;
  std::int64_t now = 0;

  bool client(std::string_view text, std::uint8_t flags = 0) {
    return give(tcp.send(true, text, now += 10, flags), true);
  }
  bool server(std::string_view text, std::uint8_t flags = 0) {
    return give(tcp.send(false, text, now += 10, flags), false);
  }
  bool give(const packet::DecodedPacket& p, bool from_client) { return inspector.on_segment(p, 5, from_client); }
  void open() {
    client("", packet::kTcpSyn);
    server("", packet::kTcpSyn);
  }
  Lines finished() {
    Lines lines;
    for (const model::HttpTransaction& t : inspector.finished()) {
      EXPECT_EQ(t.tuple.source.to_string(), "10.0.0.1");
      EXPECT_EQ(t.tuple.dest_port, 80);
      EXPECT_EQ(t.slot, 5u);
      lines.push_back(t.method + " " + t.host + t.url + " " + std::to_string(t.status) + " " +
                      std::to_string(t.request_bytes) + " " + std::to_string(t.response_bytes));
    }
    inspector.clear_finished();
    return lines;
  }
};

TEST(HttpInspector, PairsRequestsWithResponsesThroughKeepAliveAndPipelining) {
  Script s;
  s.open();
  s.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(s.finished(), Lines{});
  s.server("abc");
  EXPECT_EQ(s.finished(), (Lines{"GET a/1 200 28 41"}));
  s.client("GET /2 HTTP/1.1\r\n\r\nPOST /3 HTTP/1.1\r\nContent-Length: 2\r\n\r\nxx");
  s.server("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 x\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"GET /2 404 19 37", "POST /3 204 41 18"}));
  EXPECT_EQ(s.inspector.stats().http_connections, 1u);
}

TEST(HttpInspector, TellsWhenRequestAndResponseWereSeen) {
  Script s;
  s.open();
  s.client("GET / HTTP/1.1\r\n");
  s.client("User-Agent: test\r\n\r\n");
  s.server("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(s.inspector.finished().size(), 1u);
  EXPECT_EQ(s.inspector.finished()[0].request_ns, 40);
  EXPECT_EQ(s.inspector.finished()[0].response_ns, 50);
  EXPECT_EQ(s.inspector.finished()[0].version, "HTTP/1.1");
  EXPECT_EQ(s.inspector.finished()[0].user_agent, "test");
}

TEST(HttpInspector, InterimResponsesAreNotTheResponse) {
  Script s;
  s.open();
  s.client("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
  s.server("HTTP/1.1 100 Continue\r\n\r\n");
  s.client("x");
  s.server("HTTP/1.1 201 x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"POST / 201 61 62"}));
}

TEST(HttpInspector, AHeadResponseHasNoBody) {
  Script s;
  s.open();
  s.client("HEAD /1 HTTP/1.1\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
  s.client("GET /2 HTTP/1.1\r\n\r\n");
  s.server("HTTP/1.1 204 x\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"HEAD /1 200 20 40", "GET /2 204 19 18"}));
}

TEST(HttpInspector, StopsAtUpgradesAndTunnels) {
  const struct {
    const char* request;
    const char* response;
  } cases[] = {
      {"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n"},
      {"CONNECT a:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
  };
  for (const auto& c : cases) {
    Script s;
    s.open();
    EXPECT_TRUE(s.client(c.request));
    EXPECT_FALSE(s.server(c.response));
    EXPECT_EQ(s.finished().size(), 1u);
  }
}

TEST(HttpInspector, RefusesOtherProtocolsAtTheFirstPayload) {
  for (const char* payload : {"\x16\x03\x01", "SSH-2.0-x\r\n", "EHLO mail.test\r\n"}) {
    Script s;
    s.open();
    EXPECT_FALSE(s.client(payload)) << payload;
    EXPECT_EQ(s.inspector.stats().other_connections, 1u);
    EXPECT_EQ(s.inspector.stats().http_connections, 0u);
  }
  Script greeting;
  greeting.open();
  EXPECT_FALSE(greeting.server("220 mail ESMTP\r\n")) << "the server speaks first";
}

TEST(HttpInspector, FindsHttpInMidstream) {
  Script s;
  EXPECT_TRUE(s.server("body of a response whose head was not seen"));
  s.client("GET /2 HTTP/1.1\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"GET /2 200 19 38"}));
  Script binary;
  int offered = 1;
  while (binary.server("\x17\x03\x03") && offered < 1000) ++offered;
  EXPECT_EQ(offered, static_cast<int>(HttpInspector::kMaxSearchedSegments));
}

TEST(HttpInspector, AResponseWithoutRequestIsATransaction) {
  Script s;
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"  200 0 38"}));
  EXPECT_EQ(s.inspector.stats().unpaired_responses, 1u);
}

TEST(HttpInspector, ReportsWhatIsOpenAtTheEndOfTheConnection) {
  Script s;
  s.open();
  s.client("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  s.server("HTTP/1.0 200 OK\r\n\r\nuntil the end");
  EXPECT_EQ(s.finished(), Lines{});
  s.inspector.on_connection_end(5);
  EXPECT_EQ(s.finished(), (Lines{"GET /1 200 19 32", "GET /2 0 19 0"}));
  EXPECT_EQ(s.inspector.stats().unanswered_requests, 1u);
  s.inspector.on_connection_end(5);
  s.inspector.finish();
  EXPECT_EQ(s.finished(), Lines{});
}

TEST(HttpInspector, BehindALostResponseTheNextOneFindsItsRequest) {
  Script s;
  s.open();
  s.client("GET /1 HTTP/1.1\r\n\r\n");
  s.tcp.server_seq += 500;  // the first response was not captured
  s.client("GET /2 HTTP/1.1\r\n\r\n");
  s.server("HTTP/1.1 204 x\r\n\r\n");
  s.client("GET /3 HTTP/1.1\r\n\r\n");
  s.client("");
  s.server("HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"GET /1 0 19 0", "GET /2 204 19 18", "GET /3 205 19 37"}));
}

TEST(HttpInspector, ManyUnansweredRequestsAreReportedEarly) {
  HttpInspectorOptions options;
  options.max_pipelined = 2;
  Script s(options);
  s.open();
  for (int i = 0; i < 3; ++i) s.client("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"GET / 0 18 0"}));
}

TEST(HttpInspector, TheMeterMayTurnTheConnectionRound) {
  Script s;
  s.client("GET /1 HTTP/1.1\r\n");
  s.give(s.tcp.send(true, "Host: a\r\n\r\n", 100), false);
  s.give(s.tcp.send(false, "HTTP/1.1 204 x\r\n\r\n", 110), true);
  EXPECT_EQ(s.finished(), (Lines{"GET a/1 204 28 18"}));
}

TEST(HttpInspector, ASlotThatIsGivenAgainIsAnotherConnection) {
  Script s;
  s.open();
  s.client("GET /1 HTTP/1.1\r\n\r\n");
  TcpScript next;
  next.client_port = 40001;
  s.give(next.send(true, "", 100, packet::kTcpSyn), true);
  EXPECT_EQ(s.finished(), (Lines{"GET /1 0 19 0"}));
  s.give(next.send(true, "GET /2 HTTP/1.1\r\n\r\n", 110), true);
  s.inspector.finish();
  EXPECT_EQ(s.finished(), (Lines{"GET /2 0 19 0"}));
}

TEST(HttpInspector, TakesTheOriginalClientByItsRule) {
  HttpInspectorOptions options;
  options.xff.trusted_proxies = {IpPrefix::parse("10.0.0.0/8").value()};
  Script s(options);
  s.open();
  s.client("GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9, 10.1.1.1\r\n\r\n");
  s.inspector.finish();
  ASSERT_EQ(s.inspector.finished().size(), 1u);
  EXPECT_EQ(s.inspector.finished()[0].original_source.to_string(), "203.0.113.9");
}

TEST(HttpInspector, HasALimitOfConnections) {
  HttpInspectorOptions options;
  options.max_connections = 1;
  Script s(options);
  s.open();
  TcpScript other;
  other.client_port = 40001;
  EXPECT_FALSE(s.inspector.on_segment(other.send(true, "", 1, packet::kTcpSyn), 6, true));
  EXPECT_EQ(s.inspector.stats().dropped_connections, 1u);
}

TEST(HttpInspector, WithHeadsOnlyAMessageIsFinishedWithItsHead) {
  HttpInspectorOptions options;
  options.heads_only = true;
  Script s(options);
  const auto skip = [&](bool from_client, std::uint32_t bytes) {
    (from_client ? s.tcp.client_seq : s.tcp.server_seq) += bytes;
  };
  // No handshake: it has no head.
  s.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n<html>and so on");
  EXPECT_EQ(s.finished(), (Lines{"GET a/1 200 28 500043"}));
  skip(false, 500'000 - 15);
  s.client("POST /2 HTTP/1.1\r\nContent-Length: 9000\r\n\r\nGET what");
  skip(true, 9000 - 8);
  s.server("HTTP/1.1 204 x\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"POST /2 204 9042 18"}));
  s.client("GET /3 HTTP/1.1\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  EXPECT_EQ(s.finished(), (Lines{"GET /3 200 19 47"}));
  skip(false, 70'000);
  s.client("HEAD /4 HTTP/1.1\r\n\r\n");
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
  EXPECT_EQ(s.finished(), (Lines{"HEAD /4 200 20 38"}));
  EXPECT_EQ(s.inspector.stats().requests, 4u);
  EXPECT_EQ(s.inspector.stats().responses, 4u);
}

TEST(HttpInspector, WithHeadsOnlyACutHeadIsReadAsFarAsItGoes) {
  HttpInspectorOptions options;
  options.heads_only = true;
  Script s(options);
  const auto cut = [&](bool from_client, std::string text, std::uint32_t wire) {
    packet::DecodedPacket p = s.tcp.send(from_client, text, s.now += 10);
    (from_client ? s.tcp.client_seq : s.tcp.server_seq) += wire - p.payload_bytes;
    p.payload_bytes = wire;
    s.give(p, from_client);
  };
  const std::string request = "GET /1 HTTP/1.1\r\nHost: a\r\nCookie: cut off he";
  cut(true, request, 3000);
  s.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const Lines lines = s.finished();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].substr(0, 11), "GET a/1 200");
}

}  // namespace
}  // namespace weir::meter
