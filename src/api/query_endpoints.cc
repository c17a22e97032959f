#include <algorithm>
#include <memory>

#include "api/internal/answer_json.h"
#include "api/internal/endpoints.h"
#include "api/internal/request_parameters.h"
#include "base/json.h"
#include "query/graph.h"

namespace weir::api {
namespace {

constexpr std::string_view kNdjson = "application/x-ndjson";
/// Rows that a stream of rows holds at once.
constexpr std::uint32_t kPageRows = 5'000;

bool wants_ndjson(const http::Request& request) {
  return request.header("accept").find(kNdjson) != std::string_view::npos;
}

/// All rows up to the limit, page by page.
class RowStream : public http::BodyStream {
 public:
  RowStream(Context& context, query::Request request, query::Answer first, std::uint32_t left)
      : context_(context), request_(std::move(request)), page_(std::move(first)), left_(left) {}

  Next next(std::string& piece) override {
    for (std::size_t i = 0; i < page_.rows.size(); ++i) {
      query::append_json_object(piece, page_, i);
      piece += '\n';
    }
    left_ -= std::min<std::uint32_t>(left_, static_cast<std::uint32_t>(page_.rows.size()));
    if (page_.next_cursor.empty() || left_ == 0) return Next::kEnd;
    request_.cursor = page_.next_cursor;
    request_.limit = std::min(left_, kPageRows);
    Result<query::Answer> page = context_.deps.store.query(request_);
    if (!page.ok()) {
      // The status has gone out: the last line says that it is not the whole answer.
      piece += "{\"error\":";
      json::append_string(piece, page.error().message);
      piece += "}\n";
      return Next::kEnd;
    }
    page_ = std::move(page).value();
    return Next::kMore;
  }

 private:
  Context& context_;
  query::Request request_;
  query::Answer page_;
  std::uint32_t left_;
};

http::Answer rows_as_ndjson(Context& context, query::Request request) {
  const std::uint32_t limit = request.limit;
  request.limit = std::min(limit, kPageRows);
  Result<query::Answer> first = context.deps.store.query(request);
  if (!first.ok()) return error_answer(first.error());
  http::Answer answer;
  answer.content_type = kNdjson;
  std::string completeness;
  append_completeness(completeness, first.value().completeness);
  answer.headers.emplace_back("Weir-Completeness", std::move(completeness));
  // A page that ends the answer leaves the cursor of what is behind the limit.
  if (!first.value().next_cursor.empty() && limit <= kPageRows) {
    answer.headers.emplace_back("Weir-Cursor", first.value().next_cursor);
  }
  answer.stream = std::make_unique<RowStream>(context, std::move(request), std::move(first).value(), limit);
  return answer;
}

http::Answer run(Context& context, const query::Request& request) {
  const Result<query::Answer> answer = context.deps.store.query(request);
  return answer.ok() ? json_answer(answer_json(answer.value())) : error_answer(answer.error());
}

}  // namespace

http::Answer get_rows(Context& context, const http::Request& http) {
  Result<query::Request> request = parse_request(http, model::LogType::kFlows, context.now());
  if (!request.ok()) return error_answer(request.error());
  if (wants_ndjson(http)) return rows_as_ndjson(context, std::move(request).value());
  return run(context, request.value());
}

http::Answer get_stats(Context& context, const http::Request& http) {
  Result<query::Request> request = parse_request(http, model::LogType::kFlows, context.now());
  if (!request.ok()) return error_answer(request.error());
  if (request.value().metrics.empty()) request.value().metrics.push_back({});
  return run(context, request.value());
}

http::Answer get_series(Context& context, const http::Request& http) {
  Result<query::Request> request = parse_request(http, model::LogType::kFlows, context.now());
  if (!request.ok()) return error_answer(request.error());
  query::Request& series = request.value();
  if (series.metrics.empty()) series.metrics.push_back({});
  if (series.interval == 0) series.interval = std::max<std::int64_t>(1, (series.to - series.from) / 60);
  if (http::find_field(http.query, "limit") == nullptr) series.limit = query::kMaxLimit;
  return run(context, series);
}

http::Answer get_graph(Context& context, const http::Request& http) {
  Result<query::Request> request = parse_request(http, model::LogType::kFlows, context.now());
  if (!request.ok()) return error_answer(request.error());
  if (http::find_field(http.query, "limit") == nullptr) request.value().limit = 1'000;
  const std::string* named = http::find_field(http.query, "level");
  const Result<query::GraphLevel> level = query::graph_level_named(named == nullptr ? "workload" : *named);
  if (!level.ok()) return error_answer(level.error());
  const Result<query::Answer> answer = context.deps.store.query(query::graph_request(request.value(), level.value()));
  if (!answer.ok()) return error_answer(answer.error());
  return json_answer(graph_json(query::to_graph(answer.value(), level.value()), level.value()));
}

http::Answer get_values(Context& context, const http::Request& http) {
  Result<query::Request> request = parse_request(http, model::LogType::kFlows, context.now());
  if (!request.ok()) return error_answer(request.error());
  if (http::find_field(http.query, "limit") == nullptr) request.value().limit = 20;
  const std::string* given = http::find_field(http.query, "prefix");
  const std::string prefix = given == nullptr ? "" : *given;
  const auto requests = query::hint_requests(request.value(), http.parameter("field"), prefix);
  if (!requests.ok()) return error_answer(requests.error());
  std::vector<query::Answer> answers;
  for (const query::Request& one : requests.value()) {
    Result<query::Answer> answer = context.deps.store.query(one);
    if (!answer.ok()) return error_answer(answer.error());
    answers.push_back(std::move(answer).value());
  }
  std::string body = "{\"items\":[";
  bool first = true;
  for (const query::Hint& hint : query::merge_hints(answers, prefix, request.value().limit)) {
    if (!first) body += ',';
    first = false;
    body += "{\"value\":";
    json::append_string(body, hint.value);
    body += ",\"count\":";
    json::append_int(body, hint.count);
    body += '}';
  }
  return json_answer(body + "]}\n");
}

}  // namespace weir::api
