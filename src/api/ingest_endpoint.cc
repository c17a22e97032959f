#include <charconv>

#include "api/internal/endpoints.h"
#include "base/compression.h"
#include "base/json.h"

namespace weir::api {
namespace {

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

/// Weir-Agent, Weir-Stream, Weir-Range: all, or none.
Result<std::optional<store::SourceRange>> range_of(const http::Request& request) {
  const std::string_view agent = request.header("weir-agent"), stream = request.header("weir-stream"),
                         range = request.header("weir-range");
  if (agent.empty() && stream.empty() && range.empty()) return std::optional<store::SourceRange>();
  store::SourceRange source;
  const std::size_t dash = range.find('-');
  if (agent.empty() || stream.empty() || dash == std::string_view::npos ||
      !parse_number(range.substr(0, dash), source.begin) || !parse_number(range.substr(dash + 1), source.end) ||
      source.begin >= source.end) {
    return invalid_argument("Weir-Agent, Weir-Stream and Weir-Range (BEGIN-END, bytes) are wanted together");
  }
  source.agent = agent;
  source.stream = stream;
  return std::optional(std::move(source));
}

std::string appended_json(const store::Appended& appended) {
  std::string body = "{\"rows\":" + std::to_string(appended.rows) +
                     ",\"duplicates\":" + std::to_string(appended.duplicates) +
                     ",\"refused_lines\":" + std::to_string(appended.refused_lines) + ",\"refused\":[";
  bool first = true;
  for (const store::Refused& refused : appended.refused) {
    body += first ? "{\"line\":" : ",{\"line\":";
    first = false;
    json::append_uint(body, refused.line);
    body += ",\"reason\":";
    json::append_string(body, refused.reason);
    body += '}';
  }
  return body + "]}\n";
}

}  // namespace

Result<std::string> plain_body(const Context& context, const http::Request& request) {
  const std::string_view encoding = request.header("content-encoding");
  const std::size_t most = context.options.max_decompressed_bytes;
  if (encoding.empty() || encoding == "identity") return request.body;
  if (encoding == "zstd") return zstd_decompress(request.body, most);
  if (encoding == "gzip") return gzip_decompress(request.body, most);
  return Error{ErrorCode::kUnsupported,
               "Content-Encoding: zstd, gzip or identity, not '" + std::string(encoding.substr(0, 40)) + "'"};
}

http::Answer post_lines(Context& context, const http::Request& request) {
  const auto log = model::log_type_named(request.parameter("log"));
  if (!log) return http::problem(404, "there is no log '" + std::string(request.parameter("log").substr(0, 40)) + "'");
  const Result<std::optional<store::SourceRange>> range = range_of(request);
  if (!range.ok()) return error_answer(range.error());
  const Result<std::string> body = plain_body(context, request);
  if (!body.ok() && body.error().code == ErrorCode::kUnsupported) return http::problem(415, body.error().message);
  if (!body.ok()) {
    return http::problem(body.error().code == ErrorCode::kResourceExhausted ? 413 : 400, body.error().message);
  }
  const Result<store::Appended> appended = context.deps.store.append(*log, range.value(), body.value());
  if (appended.ok()) return json_answer(appended_json(appended.value()));
  if (range.value() && appended.error().code == ErrorCode::kInvalidArgument) {
    const store::SourceRange& source = *range.value();
    const std::uint64_t until = context.deps.store.stored_until(source.agent, source.stream, source.begin);
    if (until > source.begin) {
      http::Answer conflict = http::problem(409, "the begin of the range is stored already: go on at stored_until");
      conflict.body.insert(1, "\"stored_until\":" + std::to_string(until) + ",");
      return conflict;
    }
  }
  return error_answer(appended.error());
}

}  // namespace weir::api
