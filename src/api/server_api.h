#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "ingest/bulk.h"
#include "metrics/registry.h"
#include "store/store.h"

/// The HTTP interface of the server: docs/server.md, made from the table of endpoints, tells it.
namespace weir::api {

struct ApiOptions {
  std::string version;
  /// Of an ingest request as sent, and decompressed.
  std::size_t max_body_bytes = 16 * 1024 * 1024, max_decompressed_bytes = 64 * 1024 * 1024;
  /// Live streams at once; more are answered 429.
  std::size_t max_streams = 64;
  /// Unix seconds; for tests.
  std::function<std::int64_t()> now;
};

/// What the routes work on. All outlive the server.
struct ApiDeps {
  store::Store& store;
  ingest::BulkIngest& bulk;
  metrics::Registry& registry;
  /// Of the HTTP server, once it runs.
  std::function<http::ServerStats()> http_stats;
};

/// Every route of the server. Roles: "ingest", "read"; empty: for everybody.
std::vector<http::Route> api_routes(const ApiDeps& deps, const ApiOptions& options);
/// For paths that no route takes.
http::Answer no_such_route(const http::Request& request, bool path_known);

/// OpenAPI 3.1 of these routes, as /api/v1/openapi.json serves it.
std::string openapi_json(const std::string& version);
/// The tables of docs/server.md.
std::string api_markdown();

}  // namespace weir::api
