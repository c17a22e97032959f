#pragma once

#include "api/internal/endpoints.h"
#include "query/request.h"

namespace weir::api {

/// "now", "now-15m", "-15m", Unix seconds, or RFC 3339 ("2026-01-02T03:04:05Z"). Unix seconds.
Result<std::int64_t> parse_time(std::string_view text, std::int64_t now);

/// The parameters of a question as a request of `log`; the path's {log} or the parameter `log` win over it.
/// Errors: kInvalidArgument, "limit: …".
Result<query::Request> parse_request(const http::Request& request, model::LogType log, std::int64_t now);

/// Names and types against an endpoint's table.
Status check_parameters(const Endpoint& endpoint, const http::Request& request);

/// Those that parse_request() reads, for tables of endpoints.
std::vector<Parameter> range_parameters();
std::vector<Parameter> row_parameters();
std::vector<Parameter> group_parameters();

}  // namespace weir::api
