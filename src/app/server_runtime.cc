#include "app/server_runtime.h"

#include <utility>

namespace weir::app {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

store::StoreOptions store_options(const config::Settings& settings, std::function<void(std::string_view)> note) {
  store::StoreOptions options;
  options.directory = settings.data_directory + "/store";
  const std::chrono::nanoseconds ages[] = {settings.retention_flows, settings.retention_dns, settings.retention_l7,
                                           settings.retention_agent, settings.retention_audit};
  for (std::size_t i = 0; i < options.retention.size(); ++i) {
    options.retention[i] = std::chrono::duration_cast<std::chrono::seconds>(ages[i]);
  }
  options.max_bytes = static_cast<std::uint64_t>(settings.disk_limit_mb) * kMiB;
  options.memory_bytes = static_cast<std::uint64_t>(settings.server_memory_mb) * kMiB;
  options.query_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(settings.query_timeout);
  options.note = std::move(note);
  return options;
}

Status check_exposure(const config::Settings& settings, const SocketAddress& address) {
  if (settings.tls_certificate.empty() != settings.tls_key.empty()) {
    return invalid_argument("tls_certificate and tls_key are wanted together");
  }
  if (address.is_loopback() || (!settings.tls_certificate.empty() && !settings.token_file.empty())) return {};
  return invalid_argument("listen_address: " + address.to_string() +
                          " is not loopback: tls_certificate, tls_key and token_file are wanted");
}

}  // namespace

Result<std::unique_ptr<ServerRuntime>> ServerRuntime::start(const config::Settings& settings,
                                                            std::function<void(std::string_view)> note) {
  std::unique_ptr<ServerRuntime> runtime(new ServerRuntime());
  ServerRuntime& r = *runtime;
  http::ServerOptions options;
  TRY_ASSIGN(options.address, SocketAddress::parse(settings.listen_address));
  TRY(check_exposure(settings, options.address));
  if (!settings.token_file.empty()) {
    TRY_ASSIGN(r.tokens_, api::Tokens::load(settings.token_file));
    options.authorize = [&r](const http::Request& request, const http::Route& route) {
      return r.tokens_->check(request, route);
    };
  }
  TRY_ASSIGN(r.store_, store::Store::open(store_options(settings, note)));
  TRY_ASSIGN(r.bulk_, ingest::BulkIngest::open(*r.store_, settings.data_directory + "/bulk-ids"));
  api::ApiOptions api_options;
  api_options.version = WEIR_VERSION;
  api_options.max_body_bytes = static_cast<std::size_t>(settings.max_request_mb) * kMiB;
  options.workers = static_cast<unsigned>(settings.server_workers);
  options.max_connections = static_cast<std::size_t>(settings.server_connections);
  options.timeout = std::chrono::seconds(30);
  options.idle_timeout = std::chrono::seconds(75);
  options.max_bodies_bytes = static_cast<std::size_t>(settings.server_memory_mb) * kMiB / 8;
  options.no_route = api::no_such_route;
  if (!settings.tls_certificate.empty()) options.tls = http::TlsFiles{settings.tls_certificate, settings.tls_key};
  r.tls_ = options.tls.has_value();
  const api::ApiDeps deps{*r.store_, *r.bulk_, r.registry_,
                          [&r] { return r.http_ == nullptr ? http::ServerStats() : r.http_->stats(); }};
  TRY_ASSIGN(r.http_, http::Server::start(std::move(options), api::api_routes(deps, api_options)));
  return runtime;
}

ServerRuntime::~ServerRuntime() { stop(); }

std::string ServerRuntime::url() const { return (tls_ ? "https://" : "http://") + http_->address().to_string(); }

void ServerRuntime::stop() {
  if (http_ != nullptr) http_->stop();
  // Streams and routes are gone with it, and hold subscriptions of the store no more.
  http_.reset();
  if (store_ != nullptr) store_->close();
}

}  // namespace weir::app
