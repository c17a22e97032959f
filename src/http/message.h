#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Requests and answers as the routes of a server see them.
namespace weir::http {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kDelete, kOther };

using Fields = std::vector<std::pair<std::string, std::string>>;
/// The first of that name; null if there is none.
const std::string* find_field(const Fields& fields, std::string_view name);

struct Request {
  Method method = Method::kGet;
  /// Without the query, decoded: "/api/v1/flows".
  std::string path;
  /// In the order of the query, decoded.
  Fields query;
  /// Names in lower case.
  Fields headers;
  /// Of the route's pattern: {"log", "flows"} of "/ingest/{log}".
  Fields parameters;
  /// As it was sent; see decode_body().
  std::string body;

  std::string_view header(std::string_view name) const;
  std::string_view parameter(std::string_view name) const;
};

/// The body of an answer, piece by piece. Threads: one at a time, not always the same.
class BodyStream {
 public:
  enum class Next : std::uint8_t {
    kMore,  ///< the piece, and there may be more
    kIdle,  ///< nothing now (the piece may be empty): ask again in Answer::idle
    kEnd,   ///< the piece was the last
  };
  virtual ~BodyStream() = default;
  /// Appends to `piece`. Called again once that piece is sent: a slow client holds one piece.
  virtual Next next(std::string& piece) = 0;
};

struct Answer {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  Fields headers;
  /// In place of `body`: sent as it comes.
  std::unique_ptr<BodyStream> stream;
};

/// `type` is application/problem+json; RFC 9457. `title` is the status' reason.
Answer problem(unsigned status, std::string_view detail);
/// "Not Found".
std::string_view reason_of(unsigned status);

/// Splits "/a%20b?x=1&y=" into path and query, decoded. False: it is no such text.
bool parse_target(std::string_view target, std::string& path, Fields& query);
/// One text, %XX decoded and, if `plus`, '+' as a blank. False: a broken escape, or a zero byte.
bool decode_percent(std::string_view text, bool plus, std::string& out);

}  // namespace weir::http
