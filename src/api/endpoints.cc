#include "api/internal/endpoints.h"

#include <ctime>

#include "api/internal/request_parameters.h"
#include "base/json.h"

namespace weir::api {
namespace {

constexpr std::string_view kJson = "application/json", kNdjson = "application/x-ndjson";

using http::Method;

std::vector<Parameter> with(std::vector<Parameter> parameters, std::vector<Parameter> more) {
  parameters.insert(parameters.end(), more.begin(), more.end());
  return parameters;
}

void add_queries(std::vector<Endpoint>& rows) {
  rows.push_back(
      {Method::kGet, "/api/v1/flows", "read", "Flow records.", row_parameters(), {kJson, kNdjson}, get_rows});
  rows.push_back({Method::kGet,
                  "/api/v1/flows/stream",
                  "read",
                  "Flow records as they come, as server-sent events; with `from`, those of the range first. An event's "
                  "id is taken back as `Last-Event-ID`.",
                  with(row_parameters(),
                       {{"last_event_id", ParameterType::kInteger, "As the header, for clients that cannot set it."}}),
                  {"text/event-stream"},
                  get_stream});
  rows.push_back({Method::kGet,
                  "/api/v1/stats",
                  "read",
                  "Groups of records and their figures.",
                  group_parameters(),
                  {kJson},
                  get_stats});
  rows.push_back({Method::kGet,
                  "/api/v1/series",
                  "read",
                  "Figures over time; without `interval`, 60 steps.",
                  group_parameters(),
                  {kJson},
                  get_series});
  rows.push_back(
      {Method::kGet,
       "/api/v1/graph",
       "read",
       "Who talks to whom: the edges with the most bytes.",
       with(range_parameters(), {{"level", ParameterType::kText,
                                  "How far ends are told apart: `namespace`, `workload` (default) or `port`."},
                                 {"limit", ParameterType::kInteger, "Edges, 1 to 100000. Default: 1000."}}),
       {kJson},
       get_graph});
  rows.push_back(
      {Method::kGet,
       "/api/v1/values/{field}",
       "read",
       "The most frequent values of a field, or of a word such as `ns`.",
       with(range_parameters(), {{"prefix", ParameterType::kText, "Only values that begin with it."},
                                 {"log", ParameterType::kText, "`flows` (default), `dns`, `l7`, `agent` or `audit`."},
                                 {"limit", ParameterType::kInteger, "Values, 1 to 100000. Default: 20."}}),
       {kJson},
       get_values});
  rows.push_back({Method::kGet, "/api/v1/status", "read", "What the server holds and does.", {}, {kJson}, get_status});
  rows.push_back({Method::kGet, "/api/v1/openapi.json", "", "This document.", {}, {kJson}, get_openapi});
  rows.push_back({Method::kGet,
                  "/api/v1/{log}",
                  "read",
                  "Records of the logs `dns`, `l7`, `agent` and `audit`.",
                  row_parameters(),
                  {kJson, kNdjson},
                  get_rows});
}

void add_own(std::vector<Endpoint>& rows) {
  rows.push_back({Method::kPost,
                  "/api/v1/ingest/{log}",
                  "ingest",
                  "Lines of a log (NDJSON), as `Content-Encoding` zstd, gzip or none. With `Weir-Agent`, `Weir-Stream` "
                  "and `Weir-Range`, what was stored before is recognised. 200: durable.",
                  {},
                  {kJson},
                  post_lines,
                  true});
  rows.push_back({Method::kGet, "/metrics", "read", "Prometheus metrics.", {}, {"text/plain"}, get_metrics});
  rows.push_back({Method::kGet, "/healthz", "", "200 while the server's thread runs.", {}, {"text/plain"}, get_health});
  rows.push_back({Method::kGet, "/readyz", "", "200 once the store is open.", {}, {"text/plain"}, get_ready});
}

void add_elastic(std::vector<Endpoint>& rows) {
  const auto add = [&](Method method, std::string_view path, std::string_view summary,
                       http::Answer (*handle)(Context&, const http::Request&), bool has_body) {
    rows.push_back({method, path, "ingest", summary, {}, {kJson}, handle, has_body, true});
  };
  for (const std::string_view path :
       {"/_bulk", "/_bulk/", "/{index}/_bulk", "/{index}/_bulk/", "/{index}/{type}/_bulk"}) {
    add(Method::kPost, path, "Bulk request of Elasticsearch: `index` and `create`.", post_bulk, true);
    add(Method::kPut, path, "The same.", post_bulk, true);
  }
  add(Method::kGet, "/", "Name and version, for clients' checks.", get_root, false);
  add(Method::kGet, "/_cluster/health", "Always green.", get_cluster_health, false);
  add(Method::kGet, "/_license", "A basic licence.", get_license, false);
  add(Method::kGet, "/_xpack", "The same, for older clients.", get_xpack, false);
  for (const std::string_view path : {"/_index_template/{name}", "/_component_template/{name}", "/_template/{name}",
                                      "/_ilm/policy/{name}", "/_ingest/pipeline/{name}", "/_data_stream/{name}"}) {
    add(Method::kGet, path, "As if it was there.", get_accepted, false);
    add(Method::kPut, path, "Taken and left out of account: the store knows its fields.", put_accepted, true);
  }
  add(Method::kGet, "/{index}", "Whether an index holds a log.", get_index, false);
  add(Method::kPut, "/{index}", "The logs are there already.", put_accepted, true);
}

std::vector<Endpoint> make_endpoints() {
  std::vector<Endpoint> rows;
  add_queries(rows);
  add_own(rows);
  add_elastic(rows);
  return rows;
}

http::Answer serve(Context& context, const Endpoint& endpoint, const http::Request& request) {
  if (!endpoint.elastic) {
    const Status checked = check_parameters(endpoint, request);
    if (!checked.ok()) return error_answer(checked.error());
  }
  return endpoint.handle(context, request);
}

}  // namespace

std::int64_t Context::now() const { return options.now ? options.now() : std::time(nullptr); }

const std::vector<Endpoint>& endpoints() {
  static const std::vector<Endpoint> rows = make_endpoints();
  return rows;
}

http::Answer error_answer(const Error& error) {
  const auto status = [&] {
    switch (error.code) {
      case ErrorCode::kInvalidArgument:
        return 400U;
      case ErrorCode::kNotFound:
        return 404U;
      case ErrorCode::kPermissionDenied:
        return 403U;
      case ErrorCode::kUnavailable:
        return 503U;
      case ErrorCode::kResourceExhausted:
        return 429U;
      case ErrorCode::kUnsupported:
        return 501U;
      case ErrorCode::kCancelled:
        return 504U;
      case ErrorCode::kDataLoss:
      case ErrorCode::kInternal:
        break;
    }
    return 500U;
  }();
  http::Answer answer = http::problem(status, error.message);
  if (status == 429 || status == 503) answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

http::Answer json_answer(std::string body, unsigned status) {
  http::Answer answer;
  answer.status = status;
  answer.content_type = kJson;
  answer.body = std::move(body);
  return answer;
}

http::Answer no_such_route(const http::Request& request, bool path_known) {
  if (path_known) return http::problem(405, "the path has other methods");
  return http::problem(404, "no such path: " + request.path + "; /api/v1/openapi.json lists those that there are");
}

std::vector<http::Route> api_routes(const ApiDeps& deps, const ApiOptions& options) {
  auto context = std::make_shared<Context>(deps, options);
  context->started = context->now();
  std::vector<http::Route> routes;
  for (const Endpoint& endpoint : endpoints()) {
    http::Route route;
    route.method = endpoint.method;
    route.path = endpoint.path;
    route.role = endpoint.role;
    if (endpoint.has_body) route.max_body_bytes = options.max_body_bytes;
    route.answer = [context, &endpoint](const http::Request& request) { return serve(*context, endpoint, request); };
    routes.push_back(std::move(route));
  }
  return routes;
}

}  // namespace weir::api
