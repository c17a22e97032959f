#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "api/server_api.h"
#include "api/tokens.h"
#include "base/result.h"
#include "config/settings.h"
#include "http/server.h"
#include "ingest/bulk.h"
#include "metrics/registry.h"
#include "store/store.h"

namespace weir::app {

/// The server half: store, bulk ingest and API, running. For `weir server` and `weir up`.
class ServerRuntime {
 public:
  /// Errors: kInvalidArgument, off loopback without TLS and tokens; those of the store and of listening.
  static Result<std::unique_ptr<ServerRuntime>> start(const config::Settings& settings,
                                                      std::function<void(std::string_view)> note);
  ServerRuntime(const ServerRuntime&) = delete;
  ServerRuntime& operator=(const ServerRuntime&) = delete;
  ~ServerRuntime();

  /// "http://127.0.0.1:4680"
  std::string url() const;
  /// Answers what is under way, then closes the store. Idempotent.
  void stop();

 private:
  ServerRuntime() = default;
  bool tls_ = false;
  metrics::Registry registry_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ingest::BulkIngest> bulk_;
  std::optional<api::Tokens> tokens_;
  /// Last: its threads use all of the above.
  std::unique_ptr<http::Server> http_;
};

}  // namespace weir::app
