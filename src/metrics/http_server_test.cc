#include "metrics/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

namespace weir::metrics {
namespace {

/// A client of raw bytes.
class Client {
 public:
  explicit Client(const SocketAddress& address) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    to.sin_addr.s_addr = htonl(address.ip.v4_host_order());
    timeval limit{20, 0};  // a test that hangs fails
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(fd_); }

  bool connected() const { return connected_; }
  void send(std::string_view text) { (void)::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  void finish() { ::shutdown(fd_, SHUT_WR); }
  /// Up to the end of the connection.
  std::string read_all() {
    std::string text;
    char chunk[4096];
    for (ssize_t got; (got = ::recv(fd_, chunk, sizeof chunk, 0)) > 0;)
      text.append(chunk, static_cast<std::size_t>(got));
    return text;
  }
  /// Up to and with `mark`.
  std::string read_to(std::string_view mark) {
    std::string text;
    char c;
    while (!text.ends_with(mark) && ::recv(fd_, &c, 1, 0) == 1) text += c;
    return text;
  }

 private:
  int fd_;
  bool connected_ = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start(std::size_t max_connections = 16, std::chrono::milliseconds timeout = std::chrono::milliseconds(5000)) {
    HttpServer::Options options;
    options.address = SocketAddress::parse("127.0.0.1:0").value();
    options.max_connections = max_connections;
    options.timeout = timeout;
    auto started = HttpServer::start(
        options, agent_routes(
                     registry_, [this] { return ready_.load(); }, [] { return std::string("{\"node\":\"a\"}"); }));
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
  }
  std::string get(const std::string& request) {
    Client client(server_->address());
    client.send(request);
    return client.read_all();
  }
  static std::string status_of(const std::string& response) { return response.substr(0, response.find("\r\n")); }
  static std::string body_of(const std::string& response) {
    const std::size_t at = response.find("\r\n\r\n");
    return at == std::string::npos ? "" : response.substr(at + 4);
  }

  Registry registry_;
  std::atomic<bool> ready_{false};
  std::unique_ptr<HttpServer> server_;
};

constexpr char kClose[] = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

TEST_F(HttpServerTest, ServesMetricsHealthReadinessAndStatus) {
  start();
  registry_.counter("weir_x_total", "X.").add(3);
  const std::string metrics = get(std::string("GET /metrics") + kClose);
  EXPECT_EQ(status_of(metrics), "HTTP/1.1 200 OK");
  EXPECT_NE(metrics.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), std::string::npos);
  EXPECT_EQ(body_of(metrics), registry_.text());
  EXPECT_EQ(body_of(get(std::string("GET /healthz?verbose") + kClose)), "ok\n");
  EXPECT_EQ(status_of(get(std::string("GET /readyz") + kClose)), "HTTP/1.1 503 Service Unavailable");
  ready_ = true;
  EXPECT_EQ(status_of(get(std::string("GET /readyz") + kClose)), "HTTP/1.1 200 OK");
  EXPECT_EQ(body_of(get(std::string("GET /status") + kClose)), "{\"node\":\"a\"}");
}

TEST_F(HttpServerTest, AConnectionStaysOpenForMoreRequestsAndHeadHasNoBody) {
  start();
  Client client(server_->address());
  client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(client.read_to("ok\n").ends_with("\r\n\r\nok\n"));
  client.send("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string rest = client.read_all();
  EXPECT_EQ(rest.find("ok\n"), std::string::npos);
  EXPECT_TRUE(rest.ends_with("not ready\n"));
}

TEST_F(HttpServerTest, BadRequestsAreAnsweredAndTheServerGoesOn) {
  start();
  const struct {
    const char* name;
    std::string request, want;
  } cases[] = {
      {"unknown path", std::string("GET /") + kClose, "HTTP/1.1 404 Not Found"},
      {"another method", std::string("DELETE /metrics") + kClose, "HTTP/1.1 405 Method Not Allowed"},
      {"a body", "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 400 Bad Request"},
      {"no HTTP", "\x16\x03\x01\x02garbage\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"a header without end", "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x'),
       "HTTP/1.1 431 Request Header Fields Too Large"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(status_of(get(c.request)), c.want);
    EXPECT_EQ(body_of(get(std::string("GET /healthz") + kClose)), "ok\n");
  }
}

TEST_F(HttpServerTest, RandomBytesAndBrokenConnectionsDoNoHarm) {
  start();
  std::mt19937 random(3);
  const std::string good = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  for (int i = 0; i < 300; ++i) {
    std::string request = good;
    for (unsigned flips = random() % 4; flips > 0; --flips)
      request[random() % request.size()] = static_cast<char>(random());
    Client client(server_->address());
    client.send(request.substr(0, random() % (request.size() + 1)));
    if (random() % 2 == 0) continue;  // leaves without waiting
    client.finish();
    client.read_all();
  }
  EXPECT_EQ(body_of(get(std::string("GET /healthz") + kClose)), "ok\n");
}

TEST_F(HttpServerTest, SlowClientsAreCutOffAndOthersWaitTheirTurn) {
  start(2, std::chrono::milliseconds(200));
  Client slow(server_->address()), idle(server_->address());
  slow.send("GET /metr");
  EXPECT_EQ(body_of(get(std::string("GET /healthz") + kClose)), "ok\n") << "served once a slow one is cut off";
  EXPECT_EQ(slow.read_all(), "");
  EXPECT_EQ(idle.read_all(), "");
}

TEST_F(HttpServerTest, StopEndsOpenConnectionsAndASecondTimeDoesNothing) {
  start();
  Client client(server_->address());
  client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  client.read_to("ok\n");
  const SocketAddress address = server_->address();
  server_->stop();
  server_->stop();
  server_.reset();
  EXPECT_EQ(client.read_all(), "");
  EXPECT_FALSE(Client(address).connected());
}

TEST_F(HttpServerTest, AnAddressInUseIsAnError) {
  start();
  HttpServer::Options options;
  options.address = server_->address();
  const auto second = HttpServer::start(options, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, "listen at " + options.address.to_string() + ": Address already in use");
}

TEST_F(HttpServerTest, IsReadWhileAnotherThreadCounts) {
  start();
  Value& value = registry_.counter("weir_x_total", "X.");
  std::jthread writer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) value.add(1);
  });
  for (int i = 0; i < 50; ++i) EXPECT_EQ(status_of(get(std::string("GET /metrics") + kClose)), "HTTP/1.1 200 OK");
}

}  // namespace
}  // namespace weir::metrics
