#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "http/internal/worker_pool.h"
#include "http/server.h"

namespace weir::http {

/// What all sessions of a server share. Lives until the last of them is gone.
struct SessionContext {
  const ServerOptions& options;
  const std::vector<Route>& routes;
  boost::asio::io_context& io;
  WorkerPool& workers;
  std::atomic<std::uint64_t> requests{0}, refused_by_pressure{0}, bodies_bytes{0};
  /// Called by the server's thread once a session is gone.
  std::function<void()> ended;
};

/// Serves one connection until it ends; it owns itself. `tls` null: plain.
void serve(SessionContext& context, boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls);

}  // namespace weir::http
