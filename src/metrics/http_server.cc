#include "metrics/http_server.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>

// One thread runs everything: the acceptor and all sessions. A session owns itself through the operation that it waits
// for. Errors come as error codes; the library throws only where its reactor cannot be made, which start() catches.

namespace weir::metrics {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr std::uint32_t kMaxHeaderBytes = 8 * 1024;
constexpr std::size_t kMaxRequestBytes = 16 * 1024;
constexpr std::size_t kMaxDrainedBytes = 1024 * 1024;
constexpr std::chrono::milliseconds kAcceptPause{100};

using Response = http::response<http::string_body>;

Response make_response(unsigned version, const HttpAnswer& answer, bool keep_alive, bool body) {
  Response response{static_cast<http::status>(answer.status), version};
  response.set(http::field::server, "weir");
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  response.keep_alive(keep_alive);
  response.content_length(answer.body.size());
  if (body) response.body() = answer.body;
  return response;
}

HttpAnswer find_answer(const std::vector<HttpRoute>& routes, http::verb verb, beast::string_view target) {
  const std::string_view path(target.data(), std::min(target.find('?'), target.size()));
  for (const HttpRoute& route : routes) {
    if (route.path != path) continue;
    if (verb != http::verb::get && verb != http::verb::head) return {405, "text/plain", "only GET and HEAD\n"};
    return route.answer();
  }
  std::string body = "no such path; there are:";
  for (const HttpRoute& route : routes) body.append(" ").append(route.path);
  return {404, "text/plain", body + "\n"};
}

/// What a client that is still there can be told.
bool is_protocol_error(const error_code& error) {
  return error.category() == http::make_error_code(http::error::bad_method).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

/// One connection.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Tcp::socket socket, const std::vector<HttpRoute>& routes, std::chrono::milliseconds timeout,
          std::function<void()> ended)
      : stream_(std::move(socket)), routes_(routes), timeout_(timeout), ended_(std::move(ended)) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { ended_(); }

  void read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    stream_.expires_after(timeout_);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) { self->answer(error); });
  }

 private:
  void answer(error_code error) {
    if (error && !is_protocol_error(error)) return;  // it left, timed out or broke off: nobody to answer to
    if (error) {
      const unsigned status = error == http::error::header_limit || error == http::error::buffer_overflow ? 431 : 400;
      response_ = make_response(11, {status, "text/plain", "bad request: " + error.message() + "\n"}, false, true);
    } else {
      const auto& request = parser_->get();
      const HttpAnswer found = find_answer(routes_, request.method(), request.target());
      response_ = make_response(request.version(), found, request.keep_alive(), request.method() != http::verb::head);
    }
    stream_.expires_after(timeout_);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](error_code failed, std::size_t) { self->written(failed); });
  }

  void written(error_code error) {
    if (error) return;
    if (response_.keep_alive()) return read();
    error_code ignored;
    stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
    drain();
  }

  /// To close with unread bytes would reset the connection, and take the answer from the client. The time limit of the
  /// answer goes on.
  void drain() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kMaxRequestBytes),
                            [self = shared_from_this()](error_code error, std::size_t bytes) {
                              self->drained_ += bytes;
                              if (!error && self->drained_ < kMaxDrainedBytes) self->drain();
                            });
  }

  std::size_t drained_ = 0;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{kMaxRequestBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  Response response_;
  const std::vector<HttpRoute>& routes_;
  std::chrono::milliseconds timeout_;
  std::function<void()> ended_;
};

Tcp::endpoint to_endpoint(const SocketAddress& address) {
  if (address.ip.is_v4()) return {asio::ip::address_v4(address.ip.v4_host_order()), address.port};
  asio::ip::address_v6::bytes_type bytes;
  std::copy(address.ip.bytes.begin(), address.ip.bytes.end(), bytes.begin());
  return {asio::ip::address_v6(bytes), address.port};
}

}  // namespace

struct HttpServer::State {
  State(Options chosen, std::vector<HttpRoute> table) : options(std::move(chosen)), routes(std::move(table)) {}

  Status listen() {
    const Tcp::endpoint endpoint = to_endpoint(options.address);
    error_code error;
    if (!error) acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return Error{ErrorCode::kUnavailable, "listen at " + options.address.to_string() + ": " + error.message()};
    }
    options.address.port = acceptor.local_endpoint(error).port();
    return {};
  }

  void accept() {
    accepting = true;
    acceptor.async_accept([this](error_code error, Tcp::socket socket) {
      accepting = false;
      if (error == asio::error::operation_aborted) return;
      if (error) {
        // Out of descriptors: waiting is all that can be done.
        pause.expires_after(kAcceptPause);
        pause.async_wait([this](error_code aborted) {
          if (!aborted) accept();
        });
        return;
      }
      ++open;
      std::make_shared<Session>(std::move(socket), routes, options.timeout, [this] { ended(); })->read();
      if (open < options.max_connections) accept();
    });
  }

  void ended() {
    const bool was_full = open-- >= options.max_connections;
    if (was_full && !accepting && !stopped) accept();
  }

  Options options;
  const std::vector<HttpRoute> routes;
  std::size_t open = 0;
  bool accepting = false, stopped = false;
  asio::io_context io{1};
  Tcp::acceptor acceptor{io};
  asio::steady_timer pause{io};
  std::jthread thread;
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const Options& options, std::vector<HttpRoute> routes) {
  std::unique_ptr<State> state;
  try {
    state = std::make_unique<State>(options, std::move(routes));
  } catch (const boost::system::system_error& error) {
    return Error{ErrorCode::kResourceExhausted, std::string("HTTP server: ") + error.what()};
  }
  TRY(state->listen());
  state->accept();
  // The new thread inherits our mask: signals are for the threads that wait for them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  state->thread = std::jthread([&io = state->io] { io.run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::~HttpServer() { stop(); }

void HttpServer::stop() {
  state_->io.stop();
  if (state_->thread.joinable()) state_->thread.join();
  state_->stopped = true;
  error_code ignored;
  state_->acceptor.close(ignored);
}

SocketAddress HttpServer::address() const { return state_->options.address; }

std::vector<HttpRoute> agent_routes(const Registry& registry, std::function<bool()> ready,
                                    std::function<std::string()> status) {
  return {
      {"/metrics",
       [&registry] {
         return HttpAnswer{200, "text/plain; version=0.0.4; charset=utf-8", registry.text()};
       }},
      {"/healthz",
       [] {
         return HttpAnswer{200, "text/plain", "ok\n"};
       }},
      {"/readyz",
       [ready = std::move(ready)] {
         return ready() ? HttpAnswer{200, "text/plain", "ready\n"} : HttpAnswer{503, "text/plain", "not ready\n"};
       }},
      {"/status",
       [status = std::move(status)] {
         return HttpAnswer{200, "application/json", status()};
       }},
  };
}

}  // namespace weir::metrics
