#include "metrics/agent_routes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/support/http_client.h"

namespace weir::metrics {
namespace {

using testing::body_of;
using testing::status_line;
using Client = testing::RawClient;

class AgentRoutesTest : public ::testing::Test {
 protected:
  void start(std::size_t max_connections = 16, std::chrono::milliseconds timeout = std::chrono::milliseconds(5000)) {
    http::ServerOptions options;
    options.address = SocketAddress::parse("127.0.0.1:0").value();
    options.max_connections = max_connections;
    options.timeout = options.idle_timeout = timeout;
    auto started = http::Server::start(
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
  Registry registry_;
  std::atomic<bool> ready_{false};
  std::unique_ptr<http::Server> server_;
};

constexpr char kClose[] = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

TEST_F(AgentRoutesTest, ServesMetricsHealthReadinessAndStatus) {
  start();
  registry_.counter("weir_x_total", "X.").add(3);
  const std::string metrics = get(std::string("GET /metrics") + kClose);
  EXPECT_EQ(status_line(metrics), "HTTP/1.1 200 OK");
  EXPECT_NE(metrics.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), std::string::npos);
  EXPECT_EQ(body_of(metrics), registry_.text());
  EXPECT_EQ(body_of(get(std::string("GET /healthz?verbose") + kClose)), "ok\n");
  EXPECT_EQ(status_line(get(std::string("GET /readyz") + kClose)), "HTTP/1.1 503 Service Unavailable");
  ready_ = true;
  EXPECT_EQ(status_line(get(std::string("GET /readyz") + kClose)), "HTTP/1.1 200 OK");
  EXPECT_EQ(body_of(get(std::string("GET /status") + kClose)), "{\"node\":\"a\"}");
}

TEST_F(AgentRoutesTest, AConnectionStaysOpenForMoreRequestsAndHeadHasNoBody) {
  start();
  Client client(server_->address());
  client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(client.read_to("ok\n").ends_with("\r\n\r\nok\n"));
  client.send("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string rest = client.read_all();
  EXPECT_EQ(rest.find("ok\n"), std::string::npos);
  EXPECT_TRUE(rest.ends_with("not ready\n"));
}

TEST_F(AgentRoutesTest, BadRequestsAreAnsweredAndTheServerGoesOn) {
  start();
  const struct {
    const char* name;
    std::string request, want;
  } cases[] = {
      {"unknown path", std::string("GET /") + kClose, "HTTP/1.1 404 Not Found"},
      {"another method", std::string("DELETE /metrics") + kClose, "HTTP/1.1 405 Method Not Allowed"},
      {"a body", "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
       "HTTP/1.1 405 Method Not Allowed"},
      {"a body for a path that takes none", "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
       "HTTP/1.1 413 Content Too Large"},
      {"no HTTP", "\x16\x03\x01\x02garbage\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"a header without end", "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x'),
       "HTTP/1.1 431 Request Header Fields Too Large"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(status_line(get(c.request)), c.want);
    EXPECT_EQ(body_of(get(std::string("GET /healthz") + kClose)), "ok\n");
  }
}

TEST_F(AgentRoutesTest, RandomBytesAndBrokenConnectionsDoNoHarm) {
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

TEST_F(AgentRoutesTest, SlowClientsAreCutOffAndOthersWaitTheirTurn) {
  start(2, std::chrono::milliseconds(200));
  Client slow(server_->address()), idle(server_->address());
  slow.send("GET /metr");
  EXPECT_EQ(body_of(get(std::string("GET /healthz") + kClose)), "ok\n") << "served once a slow one is cut off";
  EXPECT_EQ(slow.read_all(), "");
  EXPECT_EQ(idle.read_all(), "");
}

TEST_F(AgentRoutesTest, StopEndsOpenConnectionsAndASecondTimeDoesNothing) {
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

TEST_F(AgentRoutesTest, AnAddressInUseIsAnError) {
  start();
  http::ServerOptions options;
  options.address = server_->address();
  const auto second = http::Server::start(options, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, "listen at " + options.address.to_string() + ": Address already in use");
}

TEST_F(AgentRoutesTest, IsReadWhileAnotherThreadCounts) {
  start();
  Value& value = registry_.counter("weir_x_total", "X.");
  std::jthread writer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) value.add(1);
  });
  for (int i = 0; i < 50; ++i) EXPECT_EQ(status_line(get(std::string("GET /metrics") + kClose)), "HTTP/1.1 200 OK");
}

}  // namespace
}  // namespace weir::metrics
