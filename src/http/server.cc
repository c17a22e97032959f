#include "http/server.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <thread>
#include <utility>

#include "http/internal/session.h"
#include "http/internal/worker_pool.h"

// Errors come as error codes; the library throws only where its reactor or its TLS context cannot be made, which
// start() catches.

namespace weir::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr std::chrono::milliseconds kAcceptPause{100};

Tcp::endpoint to_endpoint(const SocketAddress& address) {
  if (address.ip.is_v4()) return {asio::ip::address_v4(address.ip.v4_host_order()), address.port};
  asio::ip::address_v6::bytes_type bytes;
  std::copy(address.ip.bytes.begin(), address.ip.bytes.end(), bytes.begin());
  return {asio::ip::address_v6(bytes), address.port};
}

/// New threads inherit our mask: signals are for the threads that wait for them.
class WithoutSignals {
 public:
  WithoutSignals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  WithoutSignals(const WithoutSignals&) = delete;
  WithoutSignals& operator=(const WithoutSignals&) = delete;
  ~WithoutSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

struct Server::State {
  State(ServerOptions chosen, std::vector<Route> table) : options(std::move(chosen)), routes(std::move(table)) {
    context.ended = [this] { ended(); };
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Status set_up_tls() {
    if (!options.tls) return {};
    tls.emplace(asio::ssl::context::tls_server);
    error_code error;
    tls->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
    if (!error) tls->use_certificate_chain_file(options.tls->certificate, error);
    if (error) return invalid_argument("TLS certificate " + options.tls->certificate + ": " + error.message());
    tls->use_private_key_file(options.tls->key, asio::ssl::context::pem, error);
    if (error) return invalid_argument("TLS key " + options.tls->key + ": " + error.message());
    return {};
  }

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
      ++connections;
      serve(context, std::move(socket), tls ? &*tls : nullptr);
      if (open < options.max_connections) accept();
    });
  }

  void ended() {
    const bool was_full = open-- >= options.max_connections;
    if (was_full && !accepting && !stopped) accept();
  }

  ServerOptions options;
  const std::vector<Route> routes;
  std::optional<asio::ssl::context> tls;
  std::atomic<std::uint64_t> open{0}, connections{0};
  bool accepting = false, stopped = false;
  /// Before the reactor, which ends the last sessions.
  SessionContext context{options, routes, io, workers, {}, {}, {}, {}};
  asio::io_context io{1};
  Tcp::acceptor acceptor{io};
  asio::steady_timer pause{io};
  /// After the reactor: jobs that never began hold sessions, whose sockets are the reactor's.
  WorkerPool workers;
  std::jthread thread;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, std::vector<Route> routes) {
  std::unique_ptr<State> state;
  try {
    state = std::make_unique<State>(std::move(options), std::move(routes));
    TRY(state->set_up_tls());
  } catch (const boost::system::system_error& error) {
    return Error{ErrorCode::kResourceExhausted, std::string("HTTP server: ") + error.what()};
  }
  TRY(state->listen());
  state->accept();
  const WithoutSignals masked;
  state->workers.start(state->options.workers);
  state->thread = std::jthread([&io = state->io] { io.run(); });
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::~Server() { stop(); }

void Server::stop() {
  state_->workers.stop();
  state_->io.stop();
  if (state_->thread.joinable()) state_->thread.join();
  state_->stopped = true;
  error_code ignored;
  state_->acceptor.close(ignored);
}

SocketAddress Server::address() const { return state_->options.address; }

ServerStats Server::stats() const {
  const SessionContext& context = state_->context;
  return {state_->connections, state_->open, context.requests, context.refused_by_pressure, context.bodies_bytes};
}

}  // namespace weir::http
