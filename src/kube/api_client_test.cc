#include "kube/api_client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

// The odd answers that a real API server does not give on demand; it has its own test in tests/kube.

namespace weir::kube {
namespace {

using cluster::ObjectChange;

constexpr const char* kEmptyList = R"({"metadata":{"resourceVersion":"5"},"items":[]})";

std::string pods(int count) {
  std::string items;
  for (int i = 0; i < count; ++i) {
    items += (i == 0 ? "" : ",") + std::string(R"({"metadata":{"name":"p)") + std::to_string(i) + R"("}})";
  }
  return R"({"metadata":{"resourceVersion":"5"},"items":[)" + items + "]}";
}

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string chunked(const std::string& body) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", body.size());
  return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(size) + body;
}

/// Answers each request with raw bytes and hangs up, or keeps the connection until the client does.
class StubServer {
 public:
  struct Answer {
    std::string bytes;
    bool keep_open = false;
  };
  using Handler = std::function<Answer(const std::string& target)>;

  explicit StubServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 32), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    acceptor_ = std::jthread([this](const std::stop_token& stop) { accept_all(stop); });
  }
  ~StubServer() {
    acceptor_.request_stop();
    acceptor_.join();
    ::close(listener_);
  }
  const std::string& url() const { return url_; }
  std::vector<std::string> targets(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> found;
    for (const std::string& target : targets_) {
      if (target.starts_with(path)) found.push_back(target);
    }
    return found;
  }

 private:
  void accept_all(const std::stop_token& stop) {
    std::vector<std::jthread> connections;
    while (!stop.stop_requested()) {
      pollfd entry{listener_, POLLIN, 0};
      if (::poll(&entry, 1, 20) != 1) continue;
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      connections.emplace_back([this, fd](const std::stop_token& end) { serve(fd, end); });
    }
  }
  void serve(int fd, const std::stop_token& stop) {
    std::string request;
    char buffer[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      request.append(buffer, static_cast<std::size_t>(got));
    }
    const std::size_t begin = request.find(' ') + 1;
    const std::string target = request.substr(begin, request.find(' ', begin) - begin);
    {
      const std::lock_guard lock(mutex_);
      targets_.push_back(target);
    }
    const Answer answer = handler_(target);
    ::send(fd, answer.bytes.data(), answer.bytes.size(), MSG_NOSIGNAL);
    while (answer.keep_open && !stop.stop_requested()) {
      pollfd entry{fd, POLLIN, 0};
      if (::poll(&entry, 1, 20) == 1) break;  // the client hung up
    }
    ::close(fd);
  }

  Handler handler_;
  int listener_ = -1;
  std::string url_;
  mutable std::mutex mutex_;
  std::vector<std::string> targets_;
  std::jthread acceptor_;
};

class ApiClientTest : public testing::Test {
 protected:
  void start(StubServer& server, std::size_t capacity, ApiClientOptions options = {}) {
    auto queue = BoundedQueue<ObjectChange>::create(capacity);
    ASSERT_TRUE(queue.ok());
    queue_ = std::move(queue).value();
    ApiServer where;
    where.url = server.url();
    auto client = ApiClient::create(where, options, *queue_, {});
    ASSERT_TRUE(client.ok());
    client_ = std::move(client).value();
    client_->start();
  }
  template <typename Check>
  bool within_10_s(Check check) {
    for (int i = 0; i < 1000; ++i) {
      if (check()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  const KindStatus* kind(const ApiClientStatus& status, const std::string& name) {
    for (const KindStatus& kind : status.kinds) {
      if (kind.name == name) return &kind;
    }
    return nullptr;
  }

  std::unique_ptr<BoundedQueue<ObjectChange>> queue_;
  std::unique_ptr<ApiClient> client_;
};

bool is_watch(const std::string& target) { return target.find("watch=1") != std::string::npos; }
bool is_of_pods(const std::string& target) { return target.starts_with("/api/v1/pods"); }
const StubServer::Answer kQuietWatch{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true};

TEST_F(ApiClientTest, AWatchTornWithinAChunkGoesOnAfterItsLastWholeEvent) {
  std::atomic<int> watches = 0;
  StubServer server([&](const std::string& target) -> StubServer::Answer {
    if (!is_watch(target)) return {ok(kEmptyList)};
    if (!is_of_pods(target) || watches++ > 0) return kQuietWatch;
    const std::string events = R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"7"}}})"
                               "\n"
                               R"({"type":"ADDED","object":{"metadata":{"name":"b","resourceVersion":"8"}}})"
                               "\n";
    const std::string whole = chunked(events);
    return {whole.substr(0, whole.size() - 9)};
  });
  start(server, 100);
  ASSERT_TRUE(within_10_s([&] { return server.targets("/api/v1/pods?watch").size() >= 2; }));
  const std::string again = server.targets("/api/v1/pods?watch")[1];
  EXPECT_NE(again.find("&resourceVersion=7&"), std::string::npos) << again;
  std::vector<ObjectChange> changes;
  ASSERT_TRUE(within_10_s([&] { return queue_->pop(changes, 10) > 0 || !changes.empty(); }));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(object_key(changes[0].object), "Pod/default/a");
}

TEST_F(ApiClientTest, AServerThatFallsSilentIsGivenUp) {
  StubServer server([&](const std::string& target) -> StubServer::Answer {
    return is_watch(target) ? kQuietWatch : StubServer::Answer{ok(kEmptyList)};
  });
  ApiClientOptions options;
  options.stall = std::chrono::seconds(1);
  start(server, 100, options);
  ASSERT_TRUE(within_10_s([&] { return server.targets("/api/v1/nodes?watch").size() >= 2; }));
  const ApiClientStatus status = client_->status();
  EXPECT_EQ(kind(status, "nodes")->last_error, "nothing came for 1 s");
  EXPECT_TRUE(status.synced);
}

TEST_F(ApiClientTest, ItStopsWhileItWaitsForRoom) {
  StubServer server([&](const std::string& target) -> StubServer::Answer {
    if (is_watch(target)) return kQuietWatch;
    return {ok(is_of_pods(target) ? pods(10) : kEmptyList)};
  });
  start(server, 1);
  ASSERT_TRUE(within_10_s([&] { return queue_->size() == 1; }));
  EXPECT_FALSE(client_->status().synced) << "not before all is handed on";
  client_->stop();
  client_->stop();
  EXPECT_EQ(queue_->size(), 1U);
}

TEST_F(ApiClientTest, OnceItSaysSyncedAllIsInTheQueue) {
  StubServer server([&](const std::string& target) -> StubServer::Answer {
    if (is_watch(target)) return kQuietWatch;
    return {ok(is_of_pods(target) ? pods(50) : kEmptyList)};
  });
  start(server, 7);
  std::vector<ObjectChange> changes;
  ASSERT_TRUE(within_10_s([&] {
    const bool synced = client_->status().synced;
    queue_->pop(changes, 1000);
    return synced;
  }));
  EXPECT_EQ(changes.size(), 50U);
}

TEST_F(ApiClientTest, ASlowKindHoldsUpOnlyThoseThatNeedIt) {
  StubServer server([&](const std::string& target) -> StubServer::Answer {
    if (is_watch(target)) return kQuietWatch;
    if (target.starts_with("/apis/apps/v1/replicasets")) return {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"};
    return {ok(is_of_pods(target) ? pods(1) : kEmptyList)};
  });
  start(server, 100);
  std::vector<ObjectChange> changes;
  EXPECT_TRUE(within_10_s([&] { return queue_->pop(changes, 10) > 0; })) << "pods come although their owners fail";
  EXPECT_GE(server.targets("/apis/apps/v1/replicasets").size(), 3U);
  EXPECT_FALSE(client_->status().synced);
}

}  // namespace
}  // namespace weir::kube
