#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "metrics/registry.h"

namespace weir::metrics {

struct HttpAnswer {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

struct HttpRoute {
  /// Whole path: "/metrics".
  std::string path;
  /// Called on the server's thread, once a GET (or HEAD): must be quick, and safe beside whoever writes what it reads.
  std::function<HttpAnswer()> answer;
};

/// What an agent serves: /metrics, /healthz (200 while the server's thread runs), /readyz (200 or 503) and /status (the
/// JSON text that `status` gives). `registry` must outlive the server.
std::vector<HttpRoute> agent_routes(const Registry& registry, std::function<bool()> ready,
                                    std::function<std::string()> status);

/// A small HTTP/1.1 server of texts, for one's own node: GET and HEAD of fixed paths, without bodies.
///
/// Bounds:  16 KiB of request; Options::timeout for a request to come, and for its answer to go;
///          Options::max_connections at once (more wait to be accepted). A request that breaks them, or is none, is
///          answered 4xx or closed.
/// Errors:  start() only; one that no thread can repair later (too many open files) is waited out.
/// Threads: one of its own, which signals never interrupt. start(), stop() and the destructor: one thread.
class HttpServer {
 public:
  struct Options {
    /// Loopback; port 0: the kernel chooses one.
    SocketAddress address;
    std::size_t max_connections = 16;
    std::chrono::milliseconds timeout{5000};
  };
  static Result<std::unique_ptr<HttpServer>> start(const Options& options, std::vector<HttpRoute> routes);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  /// Closes all connections and joins the thread; again does nothing.
  void stop();
  /// Where it listens.
  SocketAddress address() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::metrics
