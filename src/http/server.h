#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "http/message.h"

namespace weir::http {

struct Route {
  Method method = Method::kGet;
  /// "/metrics", or with parameters that stand for one part each: "/api/v1/ingest/{log}". The first that matches
  /// counts; HEAD goes to GET.
  std::string path;
  /// On a worker thread, or the server's own if there are none (it must be quick then).
  std::function<Answer(const Request&)> answer;
  /// Of the body as sent; a larger one is answered 413.
  std::size_t max_body_bytes = 0;
  /// For the server's `authorize`.
  std::string_view role{};
};

/// Files in PEM.
struct TlsFiles {
  std::string certificate, key;
};

struct ServerOptions {
  /// Port 0: the kernel chooses one.
  SocketAddress address;
  /// More wait to be accepted.
  std::size_t max_connections = 16;
  /// Threads that run routes; 0: the server's own thread does.
  unsigned workers = 0;
  /// For a request's head to come, and each part of its answer to go.
  std::chrono::milliseconds timeout{5'000};
  /// For a whole body to come.
  std::chrono::milliseconds body_timeout{60'000};
  /// A connection without a request is closed.
  std::chrono::milliseconds idle_timeout{5'000};
  /// Of all bodies that are being received or worked on; what comes beyond is answered 429 with Retry-After.
  std::size_t max_bodies_bytes = 0;
  /// How long a stream that is idle rests.
  std::chrono::milliseconds stream_rest{200};
  std::optional<TlsFiles> tls;
  /// Called on the server's thread once the head is there, before the body is read; an answer ends the request. Quick.
  std::function<std::optional<Answer>(const Request&, const Route&)> authorize;
  /// For what no route takes; default: a plain 404 or 405.
  std::function<Answer(const Request&, bool path_known)> no_route;
};

struct ServerStats {
  std::uint64_t connections = 0, open = 0, requests = 0, refused_by_pressure = 0, bodies_bytes = 0;
};

/// An HTTP/1.1 server, with TLS if wanted.
///
/// Bounds:  16 KiB of head; the options' times, connections and bytes; one piece of a stream a connection. A request
///          that breaks them, or is none, is answered 4xx or closed.
/// Errors:  start() only; what no thread can repair later (too many open files) is waited out.
/// Threads: one that does all input and output, and the workers; signals never interrupt them. start(), stop() and the
///          destructor: one thread.
class Server {
 public:
  static Result<std::unique_ptr<Server>> start(ServerOptions options, std::vector<Route> routes);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Stops accepting, lets the routes that run come to their end, closes all connections and joins the threads; again
  /// does nothing.
  void stop();
  /// Where it listens.
  SocketAddress address() const;
  ServerStats stats() const;

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::http
