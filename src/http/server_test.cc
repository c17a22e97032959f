#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "tests/support/http_client.h"

namespace weir::http {
namespace {

using testing::body_of;
using testing::RawClient;
using testing::status_line;

/// Gives `pieces`, resting before each.
class Pieces : public BodyStream {
 public:
  explicit Pieces(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  Next next(std::string& piece) override {
    rested_ = !rested_;
    if (rested_) return Next::kIdle;
    if (at_ == pieces_.size()) return Next::kEnd;
    piece += pieces_[at_++];
    return Next::kMore;
  }

 private:
  std::vector<std::string> pieces_;
  std::size_t at_ = 0;
  bool rested_ = false;
};

/// Lets requests wait in a route until they are let go.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait_for(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return waiting_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.address = SocketAddress::parse("127.0.0.1:0").value();
    options_.max_connections = 64;
    options_.workers = 3;
    options_.stream_rest = std::chrono::milliseconds(1);
  }
  void TearDown() override { gate_.open(); }

  void start() {
    const auto echo = [](const Request& request) {
      Answer answer;
      answer.body = std::string(request.parameter("name")) + ":" + request.body;
      return answer;
    };
    auto server = Server::start(
        options_, {
                      {Method::kPost, "/echo/{name}", echo, 1'000},
                      {Method::kPost, "/wait/{name}",
                       [this, echo](const Request& request) {
                         gate_.wait();
                         return echo(request);
                       },
                       1'000},
                      {Method::kGet, "/stream",
                       [](const Request&) {
                         Answer answer;
                         answer.content_type = "text/event-stream";
                         answer.stream = std::make_unique<Pieces>(std::vector<std::string>{"one", "", "three"});
                         return answer;
                       }},
                      {Method::kGet, "/endless",
                       [](const Request&) {
                         Answer answer;
                         answer.stream = std::make_unique<Pieces>(std::vector<std::string>(1'000'000, "piece"));
                         return answer;
                       }},
                  });
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
  }
  std::string talk(std::string_view text) {
    RawClient client(server_->address());
    client.send(text);
    return client.read_all();
  }

  ServerOptions options_;
  Gate gate_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, TakesBodiesOfAKnownLengthAndInChunks) {
  start();
  EXPECT_EQ(body_of(talk("POST /echo/a HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")), "a:abc");
  EXPECT_EQ(body_of(talk("POST /echo/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                         "2\r\nxy\r\n1\r\nz\r\n0\r\n\r\n")),
            "b:xyz");
  EXPECT_EQ(body_of(talk("POST /echo/c HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")), "c:");
}

TEST_F(ServerTest, AClientThatAsksFirstIsToldToContinue) {
  start();
  RawClient client(server_->address());
  client.send("POST /echo/a HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.read_to("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_EQ(body_of(client.read_all()), "a:abc");
}

TEST_F(ServerTest, BodiesBeyondTheLimitAreRefusedHoweverTheyCome) {
  start();
  const std::string large(1'001, 'x');
  EXPECT_EQ(status_line(talk("POST /echo/a HTTP/1.1\r\nContent-Length: 1001\r\n\r\n" + large)),
            "HTTP/1.1 413 Content Too Large");
  EXPECT_EQ(status_line(talk("POST /echo/a HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n")),
            "HTTP/1.1 413 Content Too Large");
  EXPECT_EQ(status_line(talk("POST /echo/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + large)),
            "HTTP/1.1 413 Content Too Large");
  EXPECT_EQ(
      body_of(talk("POST /echo/a HTTP/1.1\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n" + large.substr(1))),
      "a:" + large.substr(1));
  EXPECT_EQ(server_->stats().bodies_bytes, 0u);
}

TEST_F(ServerTest, BodiesBeyondWhatIsHeldAtOnceAreSentAwayForLater) {
  options_.max_bodies_bytes = 1'500;
  start();
  const std::string body(1'000, 'x');
  const std::string request = "POST /wait/a HTTP/1.1\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n" + body;
  RawClient first(server_->address());
  first.send(request);
  ASSERT_TRUE(gate_.wait_for(1));
  const std::string refused = talk(request);
  EXPECT_EQ(status_line(refused), "HTTP/1.1 429 Too Many Requests");
  EXPECT_NE(refused.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(body_of(talk("POST /echo/b HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")), "b:abc");
  gate_.open();
  EXPECT_EQ(body_of(first.read_all()), "a:" + body);
  EXPECT_EQ(body_of(talk(request)), "a:" + body);
  EXPECT_EQ(server_->stats().refused_by_pressure, 1u);
  EXPECT_EQ(server_->stats().bodies_bytes, 0u);
}

TEST_F(ServerTest, RoutesRunAtTheSameTimeAndConnectionsServeOneRequestAfterTheOther) {
  start();
  const std::string wait = "POST /wait/a HTTP/1.1\r\nContent-Length: 1\r\n\r\n1";
  RawClient first(server_->address()), second(server_->address());
  first.send(wait);
  second.send(wait);
  ASSERT_TRUE(gate_.wait_for(2));
  // The third worker is free.
  EXPECT_EQ(body_of(talk("POST /echo/b HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")), "b:abc");
  gate_.open();
  EXPECT_TRUE(first.read_to("a:1").ends_with("\r\n\r\na:1"));
  first.send("POST /echo/x HTTP/1.1\r\nContent-Length: 1\r\n\r\n2POST /echo/y HTTP/1.1\r\nContent-Length: 1\r\n\r\n3");
  EXPECT_TRUE(first.read_to("x:2").ends_with("\r\n\r\nx:2"));
  EXPECT_TRUE(first.read_to("y:3").ends_with("\r\n\r\ny:3"));
}

TEST_F(ServerTest, StreamsComeInChunksAndForOldClientsUpToTheEnd) {
  start();
  const std::string chunked = talk("GET /stream HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_NE(chunked.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(body_of(chunked), "3\r\none\r\n5\r\nthree\r\n0\r\n\r\n");
  const std::string old = talk("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.find("chunked"), std::string::npos);
  EXPECT_EQ(body_of(old), "onethree");
  const std::string head = talk("HEAD /stream HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_line(head), "HTTP/1.1 200 OK");
  EXPECT_EQ(body_of(head), "");
  RawClient client(server_->address());
  client.send("GET /stream HTTP/1.1\r\n\r\n");
  client.read_to("0\r\n\r\n");
  client.send("POST /echo/x HTTP/1.1\r\nContent-Length: 1\r\n\r\n2");
  EXPECT_TRUE(client.read_to("x:2").ends_with("\r\n\r\nx:2"));
}

TEST_F(ServerTest, AStreamWithoutReaderEndsAndStopDoesNotWaitForOne) {
  start();
  {
    RawClient gone(server_->address());
    gone.send("GET /endless HTTP/1.1\r\n\r\n");
    gone.read_to("piece");
  }
  RawClient slow(server_->address()), reading(server_->address());
  slow.send("GET /endless HTTP/1.1\r\n\r\n");
  reading.send("GET /endless HTTP/1.1\r\n\r\n");
  slow.read_to("piece");
  reading.read_to("piece");
  server_->stop();
  server_.reset();
}

TEST_F(ServerTest, WhoIsNotAllowedIsToldBeforeTheBody) {
  options_.authorize = [](const Request& request, const Route&) -> std::optional<Answer> {
    if (request.header("authorization") == "Bearer good") return std::nullopt;
    return problem(401, "a token is wanted");
  };
  start();
  EXPECT_EQ(status_line(talk("POST /echo/a HTTP/1.1\r\nContent-Length: 900\r\n\r\n")), "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(body_of(talk("POST /echo/a HTTP/1.1\r\nAuthorization: Bearer good\r\nContent-Length: 1\r\n"
                         "Connection: close\r\n\r\nx")),
            "a:x");
}

TEST_F(ServerTest, UnknownPathsAndMethodsAreProblems) {
  start();
  EXPECT_EQ(status_line(talk("GET /no HTTP/1.1\r\nConnection: close\r\n\r\n")), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(status_line(talk("GET /echo/a HTTP/1.1\r\nConnection: close\r\n\r\n")), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_EQ(status_line(talk("GET /%zz HTTP/1.1\r\n\r\n")), "HTTP/1.1 400 Bad Request");
}

TEST_F(ServerTest, RandomBytesDoNoHarm) {
  start();
  std::mt19937 random(5);
  const std::string good =
      "POST /echo/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nxy\r\n1\r\nz\r\n0\r\n\r\n";
  for (int i = 0; i < 300; ++i) {
    std::string request = good;
    for (auto flips = random() % 4; flips > 0; --flips)
      request[random() % request.size()] = static_cast<char>(random());
    RawClient client(server_->address());
    client.send(request.substr(0, random() % (request.size() + 1)));
    if (random() % 2 == 0) continue;  // leaves without waiting
    client.finish();
    client.read_all();
  }
  EXPECT_EQ(body_of(talk(good)), "a:xyz");
  EXPECT_EQ(server_->stats().bodies_bytes, 0u);
}

TEST_F(ServerTest, BrokenTlsFilesAreAnErrorOfTheStart) {
  options_.tls = TlsFiles{"/nowhere/cert.pem", "/nowhere/key.pem"};
  const auto server = Server::start(options_, {});
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.error().message.find("TLS certificate /nowhere/cert.pem"), std::string::npos);
}

}  // namespace
}  // namespace weir::http
