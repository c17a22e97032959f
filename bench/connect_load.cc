// connect_load server ADDRESS PORT [--ports N]
// connect_load client ADDRESS PORT [--ports N] [--rate R] [--connections N] [--bytes B] [--hold-ms H] [--first-source
// P]
//
// Load of many short TCP connections with exact counts: each connects, sends B bytes, gets as many back, stays open for
// H ms and closes. The client starts R connections a second, evenly, and ends when all N have ended. The server ends on
// SIGTERM or SIGINT. Both print what they counted, as JSON.
//
// No tuple comes twice until all of PORT..PORT+N-1 and source ports P..60999 have been used: a tuple that comes again
// while somebody still remembers it is hard to count for anybody.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "arguments.h"

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint32_t kLastSource = 60'999;
constexpr milliseconds kTimeout{5000};
constexpr std::size_t kMaxBytes = 65'536;

struct Counts {
  std::uint64_t started = 0, completed = 0, refused = 0, timed_out = 0, failed = 0, bytes_sent = 0, bytes_received = 0;
  std::uint64_t open = 0, max_open = 0;

  void opened() {
    ++started;
    if (++open > max_open) max_open = open;
  }
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void print(const char* what, const Counts& counts, double seconds) {
  std::printf(
      "{\"%s\": %lu, \"completed\": %lu, \"refused\": %lu, \"timed_out\": %lu, \"failed\": %lu, \"bytes_sent\": %lu, "
      "\"bytes_received\": %lu, \"max_open\": %lu, \"seconds\": %.3f, \"cpu_seconds\": %.3f}\n",
      what, counts.started, counts.completed, counts.refused, counts.timed_out, counts.failed, counts.bytes_sent,
      counts.bytes_received, counts.max_open, seconds, cpu_seconds());
}

int fail(const std::string& what) {
  std::fprintf(stderr, "connect_load: %s: %s\n", what.c_str(), std::strerror(errno));
  return 1;
}

void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max = 1'000'000;
  setrlimit(RLIMIT_NOFILE, &limit);  // if it fails, sockets fail, and that is counted
}

sockaddr_in endpoint(in_addr address, std::uint32_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr = address;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  return to;
}

/// What the options say.
struct Plan {
  in_addr address{};
  std::uint32_t port = 0, ports = 1, first_source = 10'000;
  std::uint64_t rate = 0, connections = 0;
  std::size_t bytes = 0;
  milliseconds hold{0};
};

class Server {
 public:
  explicit Server(const Plan& plan) : plan_(plan) {}

  int run() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (std::uint32_t i = 0; i < plan_.ports; ++i) {
      if (!listen_on(plan_.port + i)) return fail("port " + std::to_string(plan_.port + i));
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    const int stop = signalfd(-1, &signals, SFD_CLOEXEC);
    watch(stop);
    std::printf("ready\n");
    std::fflush(stdout);
    const auto start = Clock::now();
    std::array<epoll_event, 512> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), int(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == stop) {
          print("accepted", counts_, std::chrono::duration<double>(Clock::now() - start).count());
          return 0;
        }
        fd < int(is_listener_.size()) && is_listener_[fd] ? accept_all(fd) : answer(fd);
      }
    }
  }

 private:
  bool listen_on(std::uint32_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in at = endpoint(plan_.address, port);
    if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || listen(fd, 65'535) != 0)
      return false;
    if (is_listener_.size() <= std::size_t(fd)) is_listener_.resize(fd + 1);
    is_listener_[fd] = true;
    watch(fd);
    return true;
  }

  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void accept_all(int listener) {
    for (;;) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED) ++counts_.failed;
        return;
      }
      counts_.opened();
      watch(fd);
    }
  }

  void answer(int fd) {
    const ssize_t got = recv(fd, buffer_.data(), buffer_.size(), 0);
    if (got > 0) {
      counts_.bytes_received += std::uint64_t(got);
      const ssize_t sent = send(fd, buffer_.data(), std::size_t(got), MSG_NOSIGNAL);
      if (sent > 0) counts_.bytes_sent += std::uint64_t(sent);
      if (sent == got) return;
    } else if (got < 0 && errno == EAGAIN) {
      return;
    }
    ++(got == 0 ? counts_.completed : counts_.failed);
    --counts_.open;
    close(fd);
  }

  const Plan plan_;
  int epoll_ = -1;
  std::vector<bool> is_listener_;
  Counts counts_;
  std::array<char, kMaxBytes> buffer_{};
};

class Client {
 public:
  explicit Client(const Plan& plan) : plan_(plan), payload_(plan.bytes, 'x') {}

  int run() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    const auto start = Clock::now();
    std::array<epoll_event, 512> events;
    while (counts_.started + unstarted_ < plan_.connections || counts_.open > 0) {
      const auto now = Clock::now();
      start_due(now, start);
      end_held(now);
      end_overdue(now);
      const int count = epoll_wait(epoll_, events.data(), int(events.size()), 1);
      for (int i = 0; i < count; ++i) advance(events[i].data.fd, events[i].events);
    }
    counts_.failed += unstarted_;
    print("started", counts_, std::chrono::duration<double>(Clock::now() - start).count());
    return counts_.completed == plan_.connections ? 0 : 1;
  }

 private:
  enum class Step : std::uint8_t { kClosed, kConnecting, kReceiving, kHeld };
  struct Connection {
    Step step = Step::kClosed;
    std::uint32_t generation = 0;
    std::size_t received = 0;
  };
  struct Deadline {
    Clock::time_point at;
    int fd;
    std::uint32_t generation;
  };

  void start_due(Clock::time_point now, Clock::time_point start) {
    const double seconds = std::chrono::duration<double>(now - start).count();
    const auto due = std::min(plan_.connections, std::uint64_t(seconds * double(plan_.rate)) + 1);
    // Not more at once than a listener's backlog may hold: the rest follows a millisecond later.
    for (int i = 0; i < 256 && counts_.started + unstarted_ < due; ++i) start_one(now);
  }

  void start_one(Clock::time_point now) {
    const std::uint64_t number = counts_.started + unstarted_;
    const std::uint32_t span = kLastSource - plan_.first_source + 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const sockaddr_in from = endpoint({INADDR_ANY}, plan_.first_source + std::uint32_t(number / plan_.ports % span));
    const sockaddr_in to = endpoint(plan_.address, plan_.port + std::uint32_t(number % plan_.ports));
    if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
        (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)) {
      if (fd >= 0) close(fd);
      ++unstarted_;
      return;
    }
    counts_.opened();
    if (connections_.size() <= std::size_t(fd)) connections_.resize(fd + 1);
    Connection& connection = connections_[fd];
    connection = {.step = Step::kConnecting, .generation = connection.generation + 1, .received = 0};
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    overdue_.push_back({now + kTimeout, fd, connection.generation});
  }

  void advance(int fd, std::uint32_t events) {
    Connection& connection = connections_[fd];
    if (connection.step == Step::kConnecting) {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return end(fd, error == ECONNREFUSED ? counts_.refused : counts_.failed);
      if ((events & EPOLLOUT) == 0) return;
      const ssize_t sent = send(fd, payload_.data(), payload_.size(), MSG_NOSIGNAL);
      if (sent > 0) counts_.bytes_sent += std::uint64_t(sent);
      if (sent != ssize_t(payload_.size())) return end(fd, counts_.failed);
      connection.step = Step::kReceiving;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || connection.step == Step::kClosed) return;
    for (;;) {
      const ssize_t got = recv(fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return end(fd, counts_.failed);
      counts_.bytes_received += std::uint64_t(got);
      connection.received += std::size_t(got);
      if (connection.received < payload_.size() || connection.step == Step::kHeld) continue;
      if (plan_.hold.count() == 0) return end(fd, counts_.completed);
      connection.step = Step::kHeld;
      held_.push_back({Clock::now() + plan_.hold, fd, connection.generation});
    }
  }

  void end_held(Clock::time_point now) {
    for (; !held_.empty() && held_.front().at <= now; held_.pop_front()) {
      if (is(held_.front(), Step::kHeld)) end(held_.front().fd, counts_.completed);
    }
  }

  void end_overdue(Clock::time_point now) {
    for (; !overdue_.empty() && overdue_.front().at <= now; overdue_.pop_front()) {
      const Deadline& deadline = overdue_.front();
      if (is(deadline, Step::kConnecting) || is(deadline, Step::kReceiving)) end(deadline.fd, counts_.timed_out);
    }
  }

  bool is(const Deadline& deadline, Step step) const {
    const Connection& connection = connections_[deadline.fd];
    return connection.generation == deadline.generation && connection.step == step;
  }

  void end(int fd, std::uint64_t& counter) {
    ++counter;
    --counts_.open;
    connections_[fd].step = Step::kClosed;
    close(fd);
  }

  const Plan plan_;
  const std::string payload_;
  int epoll_ = -1;
  Counts counts_;
  std::uint64_t unstarted_ = 0;  // no socket, or no way there
  std::vector<Connection> connections_;
  std::deque<Deadline> held_, overdue_;
  std::array<char, kMaxBytes> buffer_{};
};

}  // namespace

int main(int argc, char** argv) {
  weir::bench::Arguments arguments;
  arguments.numbers = {{"ports", 1},  {"rate", 1000}, {"connections", 1000},
                       {"bytes", 64}, {"hold-ms", 0}, {"first-source", 10'000}};
  if (!arguments.parse({argv, std::size_t(argc)}, 3)) return 2;
  Plan plan;
  std::uint64_t port = 0;
  const std::string& text = arguments.words[2];
  const bool is_port = std::from_chars(text.data(), text.data() + text.size(), port).ptr == text.data() + text.size();
  const std::uint64_t ports = arguments.number("ports"), first_source = arguments.number("first-source");
  const bool is_server = arguments.words[0] == "server";
  if ((!is_server && arguments.words[0] != "client") ||
      inet_pton(AF_INET, arguments.words[1].c_str(), &plan.address) != 1 || !is_port || port == 0 || ports == 0 ||
      port + ports > 65'536 || first_source == 0 || first_source > kLastSource || arguments.number("rate") == 0 ||
      arguments.number("bytes") == 0 || arguments.number("bytes") > kMaxBytes) {
    std::fprintf(stderr, "usage: connect_load server|client ADDRESS PORT [--ports N] [--rate R] ...; see its source\n");
    return 2;
  }
  plan.port = std::uint32_t(port);
  plan.ports = std::uint32_t(ports);
  plan.first_source = std::uint32_t(first_source);
  plan.rate = arguments.number("rate");
  plan.connections = arguments.number("connections");
  plan.bytes = arguments.number("bytes");
  plan.hold = milliseconds(arguments.number("hold-ms"));
  raise_file_limit();
  return is_server ? Server(plan).run() : Client(plan).run();
}
