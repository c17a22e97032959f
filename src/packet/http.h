#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::packet {

/// A request or response head of HTTP/1.x (RFC 9112). All views borrow from the bytes it was parsed from.
struct HttpHead {
  bool request = false;
  std::string_view method, target;
  std::uint16_t status = 0;
  /// "HTTP/1.1".
  std::string_view version;
  /// First of their name; empty if absent. A folded value keeps its line breaks.
  std::string_view host, user_agent, x_real_ip;
  /// Every line, in order.
  std::vector<std::string_view> x_forwarded_for, forwarded;
  /// The first one that is a number.
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool upgrade = false;
};

/// Whether bytes at the start of a message may be an HTTP/1.x head. Looks at a few bytes; for the cheap refusal of all
/// else. kMaybe: more bytes are needed.
enum class HttpStart : std::uint8_t { kNo, kMaybe, kYes };
HttpStart detect_http(std::span<const std::uint8_t> bytes);

/// Parses the head at the start of `text`, which reaches at least to its blank line. Tolerant as servers are: bare LF,
/// folded lines, blanks round the colon, blanks in the target; lines without a colon are skipped. False if the first
/// line is neither a request nor a status line of HTTP/1.x.
bool parse_http_head(std::string_view text, HttpHead& out);

/// Bytes of the head at the start of `text` with its blank line, 0 if the blank line is not there. `scanned` is how
/// much of `text` an earlier call has seen already.
std::size_t http_head_bytes(std::string_view text, std::size_t scanned = 0);

/// What HttpReader finds. Views live for the call.
class HttpEvents {
 public:
  virtual ~HttpEvents() = default;
  /// How the body of a response is to be read depends on its request.
  enum class Body : std::uint8_t {
    kAsHeaders,  ///< by its headers
    kNone,       ///< the answer to HEAD
    kTunnel,     ///< the answer to CONNECT, if it is a success
  };
  /// A head came; `bytes` is its size. The result only matters for a response.
  virtual Body on_head(const HttpHead& head, std::size_t bytes) = 0;
  /// The message ended; `body_bytes` with chunk framing. `whole` false: it was cut by a gap or the connection's end.
  virtual void on_message_end(std::uint64_t body_bytes, bool whole) = 0;
};

/// Follows the messages of one direction of a connection: heads are parsed, bodies skipped. Incremental; buffers only a
/// head (at most 64 KiB) or a chunk line that straddles two calls. Requests and responses are told apart by their first
/// line, so it need not know which side it reads.
class HttpReader {
 public:
  static constexpr std::size_t kMaxHeadBytes = 64 * 1024;
  /// Segments that are looked at in vain for the next head before giving up.
  static constexpr std::uint8_t kMaxLostSegments = 64;

  enum class State : std::uint8_t {
    kIdle,       ///< between messages
    kHead,       ///< inside a head
    kBody,       ///< inside a body of known length
    kChunkLine,  ///< before or inside a chunk-size line or a trailer
    kChunkData,
    kUntilClose,  ///< inside a body that ends with the connection
    kLost,        ///< after a gap, or in mid-stream: looks for a head at the start of each segment
    kDone,        ///< no HTTP, a tunnel, or an upgraded connection: nothing more to read
  };

  /// `in_midstream`: the first bytes need not be the start of a message.
  explicit HttpReader(bool in_midstream = false) : state_(in_midstream ? State::kLost : State::kIdle) {}

  /// The next bytes of the direction. `bytes` begins at a segment's start.
  void feed(std::span<const std::uint8_t> bytes, HttpEvents& events);
  /// `bytes` of the stream are missing.
  void gap(std::uint64_t bytes, HttpEvents& events);
  /// The direction ended.
  void end(HttpEvents& events);

  State state() const { return state_; }
  bool done() const { return state_ == State::kDone; }
  /// Done because the connection was upgraded or became a tunnel.
  bool tunnelled() const { return tunnelled_; }

 private:
  /// Each takes what it can from the front of `bytes`.
  void feed_head(std::span<const std::uint8_t>& bytes, HttpEvents& events);
  void take_head(std::string_view text, HttpEvents& events);
  void take_cut_head(HttpEvents& events);
  void start_body(const HttpHead& head, HttpEvents::Body body, HttpEvents& events);
  void feed_body(std::span<const std::uint8_t>& bytes, HttpEvents& events);
  void feed_chunk_line(std::span<const std::uint8_t>& bytes, HttpEvents& events);
  void take_chunk_line(std::string_view line, HttpEvents& events);
  void gap_in_body(std::uint64_t bytes, HttpEvents& events);
  void finish_message(bool whole, HttpEvents& events);
  /// After damage: look for the next head.
  void lose();
  /// What should be a head is none: look on if there was HTTP before, else the connection is none.
  void give_up();

  State state_;
  bool in_trailer_ = false;
  /// A head was read; the head being read was found by looking for one.
  bool seen_ = false, seeking_ = false;
  bool tunnelled_ = false;
  /// Segments looked at in vain in state kLost.
  std::uint8_t lost_segments_ = 0;
  std::uint64_t body_left_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::string buffer_;
};

}  // namespace weir::packet
