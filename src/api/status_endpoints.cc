#include "api/internal/endpoints.h"
#include "base/json_writer.h"

namespace weir::api {
namespace {

void write_log(JsonWriter& w, std::string_view name, const store::StoreStats::PerLog& log) {
  w.open(name, '{');
  w.number("rows_appended", log.rows_appended);
  w.number("lines_duplicate", log.lines_duplicate);
  w.number("lines_refused", log.lines_refused);
  w.number("hot_rows", log.hot_rows);
  w.number("segment_rows", log.segment_rows);
  w.number("segments", log.segments);
  w.number("segment_bytes", log.segment_bytes);
  w.number("segments_expired", log.segments_expired);
  w.number("rows_expired", log.rows_expired);
  log.oldest ? w.number("oldest", *log.oldest) : w.null("oldest");
  w.close('}');
}

void publish_logs(metrics::Registry& registry, const store::StoreStats& stats) {
  for (std::size_t i = 0; i < stats.logs.size(); ++i) {
    const store::StoreStats::PerLog& log = stats.logs[i];
    const metrics::Labels labels = {{"log", std::string(model::kLogTypeNames[i])}};
    registry.counter("weir_server_rows_total", "Rows stored.", labels).set(log.rows_appended);
    registry.counter("weir_server_lines_duplicate_total", "Lines recognised as stored before.", labels)
        .set(log.lines_duplicate);
    registry.counter("weir_server_lines_refused_total", "Lines refused, each with a reason to its sender.", labels)
        .set(log.lines_refused);
    registry.gauge("weir_server_hot_rows", "Rows in memory and in the write-ahead log only.", labels).set(log.hot_rows);
    registry.gauge("weir_server_segment_rows", "Rows in segments.", labels).set(log.segment_rows);
    registry.gauge("weir_server_segments", "Segments.", labels).set(log.segments);
    registry.gauge("weir_server_segment_bytes", "Bytes of segments.", labels).set(log.segment_bytes);
    registry.counter("weir_server_rows_expired_total", "Rows that retention removed.", labels).set(log.rows_expired);
  }
}

void publish_store(metrics::Registry& registry, const store::StoreStats& stats) {
  registry.gauge("weir_server_wal_bytes", "Bytes of the write-ahead log.").set(stats.wal_bytes);
  registry.gauge("weir_server_disk_bytes", "Bytes of all files of the store.").set(stats.total_bytes);
  registry.counter("weir_server_appends_total", "Batches stored.").set(stats.appends);
  registry.counter("weir_server_wal_syncs_total", "Times that the write-ahead log was brought to the disk.")
      .set(stats.wal_syncs);
  registry.counter("weir_server_flushes_total", "Hot tables that became segments.").set(stats.flushes);
  registry.counter("weir_server_compactions_total", "Hours whose segments became one.").set(stats.compactions);
  registry.counter("weir_server_background_failures_total", "Flushes, compactions and removals that failed.")
      .set(stats.background_failures);
  registry.counter("weir_server_queries_total", "Questions answered or refused.").set(stats.queries);
  registry.counter("weir_server_query_failures_total", "Questions that failed.").set(stats.query_failures);
}

void publish_http(metrics::Registry& registry, const http::ServerStats& stats) {
  registry.counter("weir_server_http_requests_total", "HTTP requests.").set(stats.requests);
  registry.counter("weir_server_http_connections_total", "HTTP connections accepted.").set(stats.connections);
  registry.gauge("weir_server_http_connections", "HTTP connections open.").set(stats.open);
  registry.counter("weir_server_http_refused_total", "Requests answered 429, as too many bodies were held.")
      .set(stats.refused_by_pressure);
}

}  // namespace

http::Answer get_status(Context& context, const http::Request&) {
  const store::StoreStats stats = context.deps.store.stats();
  const http::ServerStats http = context.deps.http_stats();
  std::string body;
  JsonWriter w(body);
  w.open('{');
  w.text("version", context.options.version);
  w.number("started", context.started);
  w.number("now", context.now());
  w.open("logs", '{');
  for (std::size_t i = 0; i < stats.logs.size(); ++i) write_log(w, model::kLogTypeNames[i], stats.logs[i]);
  w.close('}');
  w.number("disk_bytes", stats.total_bytes);
  w.number("wal_bytes", stats.wal_bytes);
  w.number("queries", stats.queries);
  w.number("streams", context.streams.load());
  w.number("requests", http.requests);
  w.number("connections", http.open);
  w.close('}');
  return json_answer(body + '\n');
}

http::Answer get_openapi(Context& context, const http::Request&) {
  return json_answer(openapi_json(context.options.version));
}

http::Answer get_metrics(Context& context, const http::Request&) {
  metrics::Registry& registry = context.deps.registry;
  const store::StoreStats stats = context.deps.store.stats();
  publish_logs(registry, stats);
  publish_store(registry, stats);
  publish_http(registry, context.deps.http_stats());
  registry.gauge("weir_server_streams", "Live streams open.").set(static_cast<std::uint64_t>(context.streams.load()));
  http::Answer answer;
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  answer.body = registry.text();
  return answer;
}

http::Answer get_health(Context&, const http::Request&) {
  http::Answer answer;
  answer.body = "ok\n";
  return answer;
}

/// Ready once the store is open, which it is before there are routes.
http::Answer get_ready(Context&, const http::Request&) {
  http::Answer answer;
  answer.body = "ready\n";
  return answer;
}

}  // namespace weir::api
