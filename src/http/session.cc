#include "http/internal/session.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <limits>
#include <optional>
#include <utility>

#include "base/text.h"
#include "http/internal/router.h"

// The server's thread runs everything here but routes and streams, which run on a worker; while one does, nothing else
// of the session is under way. A session owns itself through the operation that it waits for.

namespace weir::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;
using Tcp = asio::ip::tcp;
using TcpStream = beast::tcp_stream;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;

constexpr std::uint32_t kMaxHeaderBytes = 16 * 1024;
constexpr std::size_t kReadBufferBytes = 64 * 1024;
/// Of a body that nobody wants.
constexpr std::size_t kMaxDrainedBytes = 4 * 1024 * 1024;

/// What a client that is still there can be told.
bool is_protocol_error(const error_code& error) {
  return error.category() == bhttp::make_error_code(bhttp::error::bad_method).category() &&
         error != bhttp::error::end_of_stream && error != bhttp::error::partial_message;
}

Method method_of(bhttp::verb verb) {
  switch (verb) {
    case bhttp::verb::get:
      return Method::kGet;
    case bhttp::verb::head:
      return Method::kHead;
    case bhttp::verb::post:
      return Method::kPost;
    case bhttp::verb::put:
      return Method::kPut;
    case bhttp::verb::delete_:
      return Method::kDelete;
    default:
      return Method::kOther;
  }
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

template <typename Stream>
class Session : public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(SessionContext& context, Stream stream) : context_(context), stream_(std::move(stream)), rest_(context.io) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    release();
    context_.ended();
  }

  void begin() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      lowest().expires_after(context_.options.timeout);
      stream_.async_handshake(asio::ssl::stream_base::server, [self = self()](error_code error) {
        if (!error) self->read_head(self->context_.options.timeout);
      });
    } else {
      read_head(context_.options.timeout);
    }
  }

 private:
  auto self() { return this->shared_from_this(); }
  TcpStream& lowest() { return beast::get_lowest_layer(stream_); }

  void read_head(std::chrono::milliseconds limit) {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // until the route tells
    lowest().expires_after(limit);
    bhttp::async_read_header(stream_, buffer_, *parser_,
                             [self = self()](error_code error, std::size_t) { self->on_head(error); });
  }

  void on_head(error_code error) {
    if (error && !is_protocol_error(error)) return;  // it left, timed out or broke off: nobody to answer to
    keep_alive_ = false;
    head_only_ = false;
    version_ = 11;
    if (error) {
      const bool large = error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow;
      return reply(problem(large ? 431 : 400, "bad request: " + error.message()));
    }
    ++context_.requests;
    take_head();
    if (!target_ok_) return reply(problem(400, "the request's target is no path"));
    const Match match = find_route(context_.routes, request_);
    route_ = match.route;
    if (route_ == nullptr) {
      if (parser_->is_done()) keep_alive_ = wants_keep_alive_;
      if (context_.options.no_route) return reply(context_.options.no_route(request_, match.path_known));
      return reply(problem(match.path_known ? 405 : 404,
                           match.path_known ? "the path has other methods" : "no such path: " + request_.path));
    }
    if (context_.options.authorize) {
      if (auto refused = context_.options.authorize(request_, *route_)) {
        if (parser_->is_done()) keep_alive_ = wants_keep_alive_;
        return reply(std::move(*refused));
      }
    }
    admit();
  }

  void take_head() {
    const auto& head = parser_->get();
    version_ = head.version();
    wants_keep_alive_ = head.keep_alive();
    request_ = Request();
    request_.method = method_of(head.method());
    head_only_ = request_.method == Method::kHead;
    for (const auto& field : head) {
      std::string name(view(field.name_string()));
      std::transform(name.begin(), name.end(), name.begin(), lower_ascii);
      request_.headers.emplace_back(std::move(name), view(field.value()));
    }
    target_ok_ = parse_target(view(head.target()), request_.path, request_.query);
  }

  /// Makes room for the body, or says that there is none.
  void admit() {
    if (parser_->is_done()) return dispatch();
    const auto length = parser_->content_length();
    const std::size_t limit = route_->max_body_bytes;
    if (length && *length > limit) {
      return reply(problem(413, "the body has " + std::to_string(*length) + " bytes; at most " + std::to_string(limit) +
                                    " are taken at once"));
    }
    const std::size_t room = length ? static_cast<std::size_t>(*length) : limit;
    const std::size_t most = context_.options.max_bodies_bytes;
    if (most > 0 && context_.bodies_bytes + room > most) {
      ++context_.refused_by_pressure;
      Answer busy = problem(429, "too many bodies at once");
      busy.headers.emplace_back("Retry-After", "1");
      return reply(std::move(busy));
    }
    reserved_ = room;
    context_.bodies_bytes += room;
    parser_->body_limit(limit);
    lowest().expires_after(context_.options.body_timeout);
    if (!equal_ignoring_case(request_.header("expect"), "100-continue")) return read_body();
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = self()](error_code error, std::size_t) {
                        if (!error) self->read_body();
                      });
  }

  void read_body() {
    bhttp::async_read(stream_, buffer_, *parser_, [self = self()](error_code error, std::size_t) {
      if (error && !is_protocol_error(error)) return;
      if (error) {
        const bool large = error == bhttp::error::body_limit;
        return self->reply(problem(large ? 413 : 400, "bad request: " + error.message()));
      }
      self->request_.body = std::move(self->parser_->get().body());
      self->dispatch();
    });
  }

  void dispatch() {
    keep_alive_ = wants_keep_alive_;
    lowest().expires_never();
    on_worker([this] { answer_ = route_->answer(request_); },
              [self = self()] { self->reply(std::move(self->answer_)); });
  }

  /// `job` on a worker if there are any, then `after` here. Only `after` may own the session: what a worker lets go of
  /// last would end on its thread.
  template <typename Job, typename After>
  void on_worker(Job job, After after) {
    if (context_.options.workers == 0) {
      job();
      after();
      return;
    }
    context_.workers.post([&io = context_.io, job = std::move(job), after = std::move(after)]() mutable {
      job();
      asio::post(io, std::move(after));
    });
  }

  void release() {
    context_.bodies_bytes -= reserved_;
    reserved_ = 0;
    request_.body = std::string();
  }

  void reply(Answer answer) {
    release();
    answer_ = std::move(answer);
    if (answer_.stream != nullptr && !head_only_) return begin_stream();
    response_ = {};
    fill_head(response_);
    response_.content_length(answer_.body.size());
    if (!head_only_) response_.body() = std::move(answer_.body);
    lowest().expires_after(context_.options.timeout);
    bhttp::async_write(stream_, response_, [self = self()](error_code error, std::size_t) { self->on_written(error); });
  }

  template <typename Response>
  void fill_head(Response& response) {
    response.version(version_);
    response.result(answer_.status);
    response.reason(beast::string_view(reason_of(answer_.status).data(), reason_of(answer_.status).size()));
    response.set(bhttp::field::server, "weir");
    response.set(bhttp::field::content_type, answer_.content_type);
    response.set(bhttp::field::cache_control, "no-store");
    for (const auto& [name, value] : answer_.headers) response.set(name, value);
    response.keep_alive(keep_alive_);
  }

  void begin_stream() {
    chunked_ = version_ >= 11;
    keep_alive_ = keep_alive_ && chunked_;
    stream_head_ = {};
    fill_head(stream_head_);
    stream_head_.chunked(chunked_);
    serializer_.emplace(stream_head_);
    lowest().expires_after(context_.options.timeout);
    bhttp::async_write_header(stream_, *serializer_, [self = self()](error_code error, std::size_t) {
      if (!error) self->pump();
    });
  }

  void pump() {
    lowest().expires_never();
    on_worker(
        [this] {
          piece_.clear();
          next_ = answer_.stream->next(piece_);
        },
        [self = self()] { self->on_piece(); });
  }

  void on_piece() {
    if (piece_.empty()) return on_piece_sent();
    lowest().expires_after(context_.options.timeout);
    auto sent = [self = self()](error_code error, std::size_t) {
      if (!error) self->on_piece_sent();
    };
    if (chunked_) {
      asio::async_write(stream_, bhttp::make_chunk(asio::buffer(piece_)), std::move(sent));
    } else {
      asio::async_write(stream_, asio::buffer(piece_), std::move(sent));
    }
  }

  void on_piece_sent() {
    if (next_ == BodyStream::Next::kMore) return pump();
    if (next_ == BodyStream::Next::kIdle) {
      rest_.expires_after(context_.options.stream_rest);
      rest_.async_wait([self = self()](error_code error) {
        if (!error) self->pump();
      });
      return;
    }
    answer_.stream.reset();
    if (!chunked_) return on_written({});
    lowest().expires_after(context_.options.timeout);
    asio::async_write(stream_, bhttp::make_chunk_last(),
                      [self = self()](error_code error, std::size_t) { self->on_written(error); });
  }

  void on_written(error_code error) {
    if (error) return;
    if (keep_alive_) return read_head(std::max(context_.options.idle_timeout, context_.options.timeout));
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      lowest().expires_after(context_.options.timeout);
      stream_.async_shutdown([self = self()](error_code) {});
    } else {
      error_code ignored;
      lowest().socket().shutdown(Tcp::socket::shutdown_send, ignored);
      drain();
    }
  }

  /// To close with unread bytes would reset the connection, and take the answer from the client. The time limit of the
  /// answer goes on.
  void drain() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(16 * 1024), [self = self()](error_code error, std::size_t bytes) {
      self->drained_ += bytes;
      if (!error && self->drained_ < kMaxDrainedBytes) self->drain();
    });
  }

  SessionContext& context_;
  Stream stream_;
  asio::steady_timer rest_;
  beast::flat_buffer buffer_{kReadBufferBytes};
  std::optional<bhttp::request_parser<bhttp::string_body>> parser_;
  Request request_;
  const Route* route_ = nullptr;
  bool target_ok_ = false, wants_keep_alive_ = false, keep_alive_ = false, head_only_ = false, chunked_ = false;
  unsigned version_ = 11;
  /// Of the bytes of all bodies.
  std::size_t reserved_ = 0;
  std::size_t drained_ = 0;

  Answer answer_;
  bhttp::response<bhttp::string_body> response_;
  bhttp::response<bhttp::empty_body> stream_head_;
  std::optional<bhttp::response_serializer<bhttp::empty_body>> serializer_;
  std::string piece_;
  BodyStream::Next next_ = BodyStream::Next::kEnd;
};

}  // namespace

void serve(SessionContext& context, Tcp::socket socket, asio::ssl::context* tls) {
  error_code ignored;
  // Answers and events are whole when they are written: nothing is to wait for more.
  socket.set_option(Tcp::no_delay(true), ignored);
  if (tls == nullptr) {
    std::make_shared<Session<TcpStream>>(context, TcpStream(std::move(socket)))->begin();
  } else {
    std::make_shared<Session<TlsStream>>(context, TlsStream(TcpStream(std::move(socket)), *tls))->begin();
  }
}

}  // namespace weir::http
