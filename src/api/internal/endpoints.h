#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "api/server_api.h"
#include "http/message.h"

// One row an endpoint: it becomes the route, the check of its parameters, the OpenAPI document and docs/server.md.

namespace weir::api {

enum class ParameterType : std::uint8_t { kText, kTime, kInteger, kBoolean, kList };

struct Parameter {
  std::string_view name;
  ParameterType type = ParameterType::kText;
  std::string_view doc;
};

/// What handlers share.
struct Context {
  ApiDeps deps;
  ApiOptions options;
  std::atomic<std::size_t> streams{0};
  std::int64_t started = 0;

  std::int64_t now() const;
};

struct Endpoint {
  http::Method method = http::Method::kGet;
  /// {log} and the like are parameters of the path.
  std::string_view path;
  std::string_view role;
  std::string_view summary;
  /// Of the query; others are refused. Of Elasticsearch's paths none is checked.
  std::vector<Parameter> parameters;
  /// Content types of a good answer, the usual first.
  std::vector<std::string_view> answers;
  http::Answer (*handle)(Context& context, const http::Request& request);
  bool has_body = false;
  /// Stands in for Elasticsearch.
  bool elastic = false;
};

const std::vector<Endpoint>& endpoints();

/// Status and problem of an Error.
http::Answer error_answer(const Error& error);
http::Answer json_answer(std::string body, unsigned status = 200);

// query_endpoints.cc
http::Answer get_rows(Context& context, const http::Request& request);
http::Answer get_stats(Context& context, const http::Request& request);
http::Answer get_series(Context& context, const http::Request& request);
http::Answer get_graph(Context& context, const http::Request& request);
http::Answer get_values(Context& context, const http::Request& request);
// stream_endpoint.cc
http::Answer get_stream(Context& context, const http::Request& request);
// ingest_endpoint.cc
http::Answer post_lines(Context& context, const http::Request& request);
/// The body without its Content-Encoding.
Result<std::string> plain_body(const Context& context, const http::Request& request);
// status_endpoints.cc
http::Answer get_status(Context& context, const http::Request& request);
http::Answer get_openapi(Context& context, const http::Request& request);
http::Answer get_metrics(Context& context, const http::Request& request);
http::Answer get_health(Context& context, const http::Request& request);
http::Answer get_ready(Context& context, const http::Request& request);
// elastic_endpoints.cc
http::Answer post_bulk(Context& context, const http::Request& request);
http::Answer get_root(Context& context, const http::Request& request);
http::Answer get_cluster_health(Context& context, const http::Request& request);
http::Answer get_license(Context& context, const http::Request& request);
http::Answer get_xpack(Context& context, const http::Request& request);
http::Answer get_index(Context& context, const http::Request& request);
http::Answer put_accepted(Context& context, const http::Request& request);
http::Answer get_accepted(Context& context, const http::Request& request);

}  // namespace weir::api
