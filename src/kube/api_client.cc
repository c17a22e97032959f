#include "kube/api_client.h"

#include <curl/curl.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <mutex>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "kube/internal/reflector.h"
#include "kube/internal/resources.h"
#include "kube/internal/transfer.h"

namespace weir::kube {
namespace {

using cluster::ObjectChange;

/// How long the thread sleeps at most while nothing is due.
constexpr int kLongestPollMs = 1000;
/// How long a server is away before the user is told: one that restarts is none of his business.
constexpr std::int64_t kQuietNs = 15'000'000'000;

struct CurlMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

}  // namespace

const char* to_string(KindStatus::State state) {
  switch (state) {
    case KindStatus::State::kStarting:
      return "starting";
    case KindStatus::State::kListing:
      return "listing";
    case KindStatus::State::kWatching:
      return "watching";
    case KindStatus::State::kRetrying:
      return "retrying";
    case KindStatus::State::kForbidden:
      return "forbidden";
    case KindStatus::State::kAbsent:
      return "absent";
  }
  return "";
}

struct ApiClient::Impl {
  struct Follower {
    Reflector reflector;
    int stage = 0;
    std::unique_ptr<Transfer> transfer = nullptr;
  };

  void run(const std::stop_token& stop);
  void begin_requests(std::int64_t now_ns);
  void end_requests();
  void end_request(Follower& follower, const std::string& transport_error);
  /// Hands on what changed. False: told to stop.
  bool hand_on(const std::stop_token& stop);
  void publish();
  int poll_ms(std::int64_t now_ns) const;
  void say(const std::string& line) const {
    if (log) log(line);
  }

  ApiServer server;
  ApiClientOptions options;
  BoundedQueue<ObjectChange>* queue = nullptr;
  std::function<void(const std::string&)> log;
  std::unique_ptr<CURLM, CurlMulti> multi;
  std::vector<Follower> followers;
  std::vector<ObjectChange> changes;
  std::vector<std::string> messages;
  /// Of the steady clock; 0: it answers.
  std::int64_t unreachable_since_ns = 0;
  bool unreachable_told = false;
  std::string server_error;

  mutable std::mutex mutex;
  /// Under the mutex; all else belongs to the thread while it runs.
  ApiClientStatus published;

  /// The last member: it ends before what it uses.
  std::jthread thread;
};

void ApiClient::Impl::begin_requests(std::int64_t now_ns) {
  const auto settled = [](const Follower& f) { return f.stage > 0 || f.reflector.settled(); };
  const bool later_stages = std::all_of(followers.begin(), followers.end(), settled);
  for (Follower& follower : followers) {
    if (follower.transfer != nullptr || (follower.stage > 0 && !later_stages)) continue;
    const auto request = follower.reflector.next(now_ns);
    if (!request) continue;
    auto begun = Transfer::begin(multi.get(), server, *request, follower.reflector);
    if (begun.ok()) {
      follower.transfer = std::move(begun).value();
    } else {
      end_request(follower, begun.error().message);
    }
  }
}

void ApiClient::Impl::end_request(Follower& follower, const std::string& transport_error) {
  const Transfer* transfer = follower.transfer.get();
  const int code = transfer == nullptr ? 0 : transfer->http_code();
  follower.reflector.on_end(code, transport_error, transfer == nullptr ? 0 : transfer->retry_after_s(),
                            clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME));
  follower.transfer.reset();
  if (code != 0 && !transport_error.empty()) return;  // cut on the way: the next request will tell
  const std::int64_t now = clock_ns(CLOCK_MONOTONIC);
  if (code != 0) {
    if (unreachable_since_ns == 0) return;
    if (unreachable_told) say("API server " + server.url + ": reached again");
    unreachable_since_ns = 0;
    unreachable_told = false;
    for (Follower& other : followers) other.reflector.server_is_back(now);
    return;
  }
  server_error = transport_error;
  if (unreachable_since_ns == 0) unreachable_since_ns = now;
  if (now - unreachable_since_ns < kQuietNs || std::exchange(unreachable_told, true)) return;
  say("API server " + server.url + ": " + transport_error + "; tried again, the last known state is kept");
}

void ApiClient::Impl::end_requests() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    for (Follower& follower : followers) {
      if (follower.transfer == nullptr || follower.transfer->handle() != message->easy_handle) continue;
      end_request(follower, follower.transfer->error(message->data.result));
      break;
    }
  }
  const std::int64_t now = clock_ns(CLOCK_MONOTONIC);
  const std::int64_t stall = std::chrono::nanoseconds(options.stall).count();
  for (Follower& follower : followers) {
    if (follower.transfer == nullptr || now - follower.transfer->last_data_ns() < stall) continue;
    end_request(follower, "nothing came for " + std::to_string(options.stall.count()) + " s");
  }
}

bool ApiClient::Impl::hand_on(const std::stop_token& stop) {
  messages.clear();
  for (Follower& follower : followers) {
    follower.reflector.take_changes(changes);
    follower.reflector.take_messages(messages);
  }
  for (const std::string& message : messages) say("API server " + server.url + ": " + message);
  for (ObjectChange& change : changes) {
    if (!queue->push(std::move(change), stop)) return false;
  }
  changes.clear();
  return true;
}

void ApiClient::Impl::publish() {
  ApiClientStatus status;
  status.url = server.url;
  status.reachable = unreachable_since_ns == 0;
  status.last_error = server_error;
  status.synced = true;
  for (const Follower& follower : followers) {
    status.kinds.push_back(follower.reflector.status());
    const auto state = follower.reflector.status().state;
    const bool left_out = state == KindStatus::State::kForbidden || state == KindStatus::State::kAbsent;
    status.synced = status.synced && (follower.reflector.status().synced || left_out);
  }
  const std::lock_guard lock(mutex);
  published = std::move(status);
}

int ApiClient::Impl::poll_ms(std::int64_t now_ns) const {
  std::int64_t wait_ms = kLongestPollMs;
  for (const Follower& follower : followers) {
    if (follower.transfer != nullptr) continue;
    wait_ms = std::min(wait_ms, (follower.reflector.wake_ns() - now_ns) / 1'000'000 + 1);
  }
  return static_cast<int>(std::max<std::int64_t>(wait_ms, 0));
}

void ApiClient::Impl::run(const std::stop_token& stop) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are the process's, and SIGPIPE is nobody's
  const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi.get()); });
  while (!stop.stop_requested()) {
    begin_requests(clock_ns(CLOCK_MONOTONIC));
    int running = 0;
    curl_multi_perform(multi.get(), &running);
    end_requests();
    // First what changed, then that we are up to date.
    if (!hand_on(stop)) break;
    publish();
    curl_multi_poll(multi.get(), nullptr, 0, poll_ms(clock_ns(CLOCK_MONOTONIC)), nullptr);
  }
  for (Follower& follower : followers) follower.transfer.reset();
}

ApiClient::ApiClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ApiClient::~ApiClient() { stop(); }

Result<std::unique_ptr<ApiClient>> ApiClient::create(ApiServer server, ApiClientOptions options,
                                                     BoundedQueue<ObjectChange>& queue,
                                                     std::function<void(const std::string&)> log) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised != CURLE_OK) return Error{ErrorCode::kInternal, "libcurl does not start"};
  auto impl = std::make_unique<Impl>();
  impl->multi.reset(curl_multi_init());
  if (impl->multi == nullptr) return Error{ErrorCode::kResourceExhausted, "libcurl: out of memory"};
  impl->server = std::move(server);
  impl->options = std::move(options);
  impl->queue = &queue;
  impl->log = std::move(log);
  std::random_device seed;
  for (Resource& resource : resources_of(impl->options)) {
    impl->followers.push_back({Reflector(std::move(resource.options), seed()), resource.stage});
  }
  impl->publish();
  return std::unique_ptr<ApiClient>(new ApiClient(std::move(impl)));
}

void ApiClient::start() {
  if (!impl_->thread.joinable())
    impl_->thread = std::jthread([this](const std::stop_token& stop) { impl_->run(stop); });
}

void ApiClient::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->thread.request_stop();
  impl_->thread.join();
}

ApiClientStatus ApiClient::status() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->published;
}

}  // namespace weir::kube
