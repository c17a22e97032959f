#include <algorithm>
#include <charconv>
#include <memory>

#include "api/internal/endpoints.h"
#include "api/internal/request_parameters.h"
#include "base/clock.h"
#include "base/json.h"

// Server-sent events (WHATWG HTML 9.2). The id of an event is that of its row; a client that comes back with
// Last-Event-ID goes on behind it, across restarts of the server.

namespace weir::api {
namespace {

constexpr std::int64_t kHeartbeatNs = 15'000'000'000;
constexpr std::uint32_t kBatchRows = 500;

class EventStream : public http::BodyStream {
 public:
  EventStream(Context& context, std::unique_ptr<store::Subscription> subscription, query::Answer before)
      : context_(context), subscription_(std::move(subscription)), before_(std::move(before)) {
    last_sent_ns_ = clock_ns(CLOCK_MONOTONIC);
  }
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;
  ~EventStream() override { --context_.streams; }

  Next next(std::string& piece) override {
    if (!begun_) {
      begun_ = true;
      piece += "retry: 2000\n\n";
      append_before(piece);
      return Next::kMore;
    }
    Result<store::LiveBatch> batch = subscription_->next(std::chrono::milliseconds(0), kBatchRows);
    if (!batch.ok()) return Next::kEnd;
    append_batch(piece, batch.value());
    const std::int64_t now = clock_ns(CLOCK_MONOTONIC);
    if (piece.empty() && now - last_sent_ns_ >= kHeartbeatNs) {
      // An event without data only moves the id.
      piece = last_id_ > 0 ? "id: " + std::to_string(last_id_) + "\n\n" : ":\n\n";
    }
    if (!piece.empty()) last_sent_ns_ = now;
    return batch.value().answer.rows.size() == kBatchRows ? Next::kMore : Next::kIdle;
  }

 private:
  static void append_row(std::string& piece, const query::Answer& answer, std::size_t at, std::uint64_t id) {
    piece.append("id: ").append(std::to_string(id)).append("\ndata: ");
    query::append_json_object(piece, answer, at);
    piece += "\n\n";
  }

  /// What was there already, oldest first.
  void append_before(std::string& piece) {
    for (std::size_t i = before_.rows.size(); i-- > 0;) {
      append_row(piece, before_, i, before_.ids[i]);
      given_until_ = std::max(given_until_, before_.ids[i]);
    }
    before_ = {};
  }

  void append_batch(std::string& piece, const store::LiveBatch& batch) {
    last_id_ = std::max(last_id_, batch.last_id);
    if (batch.lost > 0) {
      piece.append("event: lost\ndata: {\"lost\":").append(std::to_string(batch.lost)).append("}\n\n");
    }
    for (std::size_t i = 0; i < batch.answer.rows.size(); ++i) {
      if (batch.answer.ids[i] > given_until_) append_row(piece, batch.answer, i, batch.answer.ids[i]);
    }
  }

  Context& context_;
  std::unique_ptr<store::Subscription> subscription_;
  query::Answer before_;
  bool begun_ = false;
  std::uint64_t last_id_ = 0, given_until_ = 0;
  std::int64_t last_sent_ns_ = 0;
};

Result<std::optional<std::uint64_t>> last_event_id(const http::Request& http) {
  std::string_view text = http.header("last-event-id");
  if (const std::string* given = http::find_field(http.query, "last_event_id")) text = *given;
  if (text.empty()) return std::optional<std::uint64_t>();
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    return invalid_argument("last event id: '" + std::string(text.substr(0, 40)) + "' is no id of this stream");
  }
  return std::optional<std::uint64_t>(id);
}

Result<std::unique_ptr<http::BodyStream>> open_stream(Context& context, const http::Request& http) {
  TRY_ASSIGN(query::Request request, parse_request(http, model::LogType::kFlows, context.now()));
  TRY_ASSIGN(const std::optional<std::uint64_t> after, last_event_id(http));
  // Before the question about what was there: between the two nothing is missed.
  TRY_ASSIGN(auto subscription, context.deps.store.subscribe(request, after));
  query::Answer before;
  const bool wants_before = http::find_field(http.query, "from") != nullptr && !after;
  if (wants_before) {
    TRY_ASSIGN(before, context.deps.store.query(request));
  }
  return std::unique_ptr<http::BodyStream>(
      std::make_unique<EventStream>(context, std::move(subscription), std::move(before)));
}

}  // namespace

http::Answer get_stream(Context& context, const http::Request& http) {
  if (++context.streams > context.options.max_streams) {
    --context.streams;
    http::Answer busy = http::problem(429, "as many streams as this server serves are open");
    busy.headers.emplace_back("Retry-After", "5");
    return busy;
  }
  Result<std::unique_ptr<http::BodyStream>> stream = open_stream(context, http);
  if (!stream.ok()) {
    --context.streams;
    return error_answer(stream.error());
  }
  http::Answer answer;
  answer.content_type = "text/event-stream";
  answer.stream = std::move(stream).value();
  return answer;
}

}  // namespace weir::api
