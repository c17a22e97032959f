#include "api/internal/endpoints.h"
#include "base/json.h"

namespace weir::api {
namespace {

void append_log(std::string& out, std::string_view name, const store::StoreStats::PerLog& log) {
  json::append_string(out, name);
  const struct {
    std::string_view name;
    std::uint64_t value;
  } numbers[] = {{"rows_appended", log.rows_appended}, {"lines_duplicate", log.lines_duplicate},
                 {"lines_refused", log.lines_refused}, {"hot_rows", log.hot_rows},
                 {"segment_rows", log.segment_rows},   {"segments", log.segments},
                 {"segment_bytes", log.segment_bytes}, {"segments_expired", log.segments_expired},
                 {"rows_expired", log.rows_expired}};
  out += ":{";
  for (const auto& number : numbers) {
    json::append_string(out, number.name);
    out += ':';
    json::append_uint(out, number.value);
    out += ',';
  }
  out += "\"oldest\":";
  if (log.oldest) {
    json::append_int(out, *log.oldest);
  } else {
    out += "null";
  }
  out += '}';
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
  std::string body = "{\"version\":";
  json::append_string(body, context.options.version);
  body += ",\"started\":";
  json::append_int(body, context.started);
  body += ",\"now\":";
  json::append_int(body, context.now());
  body += ",\"logs\":{";
  for (std::size_t i = 0; i < stats.logs.size(); ++i) {
    if (i > 0) body += ',';
    append_log(body, model::kLogTypeNames[i], stats.logs[i]);
  }
  body += "},\"disk_bytes\":";
  json::append_uint(body, stats.total_bytes);
  body += ",\"wal_bytes\":";
  json::append_uint(body, stats.wal_bytes);
  body += ",\"queries\":";
  json::append_uint(body, stats.queries);
  body += ",\"streams\":";
  json::append_uint(body, context.streams.load());
  const http::ServerStats http = context.deps.http_stats();
  body += ",\"requests\":";
  json::append_uint(body, http.requests);
  body += ",\"connections\":";
  json::append_uint(body, http.open);
  return json_answer(body + "}\n");
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
