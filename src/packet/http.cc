#include "packet/http.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace weir::packet {
namespace {

constexpr std::size_t kMaxMethodBytes = 24;
/// Bytes of line breaks before a request line.
constexpr std::size_t kMaxLineBreaks = 64;

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/// The line at the start of `text` without its end; `text` moves behind it.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// "HTTP/1." and a digit.
bool is_version(std::string_view text) {
  return text.size() == 8 && text.starts_with("HTTP/1.") && text[7] >= '0' && text[7] <= '9';
}

bool parse_status_line(std::string_view line, HttpHead& out) {
  if (line.size() < 12 || !is_version(line.substr(0, 8)) || !is_blank(line[8])) return false;
  const std::string_view rest = trim(line.substr(8));
  if (rest.size() < 3 || (rest.size() > 3 && !is_blank(rest[3]))) return false;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + 3, out.status);
  if (error != std::errc() || end != rest.data() + 3 || out.status < 100) return false;
  out.request = false;
  out.version = line.substr(0, 8);
  return true;
}

bool parse_request_line(std::string_view line, HttpHead& out) {
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  if (line.size() < 8 || !is_version(line.substr(line.size() - 8))) return false;
  const std::size_t space = line.find(' ');
  if (space == 0 || space > kMaxMethodBytes || space >= line.size() - 9) return false;
  out.request = true;
  out.method = line.substr(0, space);
  out.target = trim(line.substr(space, line.size() - 8 - space));
  out.version = line.substr(line.size() - 8);
  return !out.target.empty() && is_letter(out.method.front());
}

std::string_view first_line(std::string_view text) { return take_line(text); }

bool parse_first_line(std::string_view line, HttpHead& out) {
  return line.starts_with("HTTP/") ? parse_status_line(line, out) : parse_request_line(line, out);
}

bool ends_in_chunked(std::string_view value) {
  const std::size_t comma = value.rfind(',');
  return equal_ignoring_case(trim(comma == std::string_view::npos ? value : value.substr(comma + 1)), "chunked");
}

void take_field(std::string_view name, std::string_view value, HttpHead& out) {
  const auto is = [&](std::string_view wanted) { return equal_ignoring_case(name, wanted); };
  const auto first = [&](std::string_view& field) {
    if (field.empty()) field = value;
  };
  switch (lower_ascii(name.front())) {
    case 'h':
      if (is("host")) first(out.host);
      break;
    case 'u':
      if (is("user-agent")) first(out.user_agent);
      if (is("upgrade")) out.upgrade = true;
      break;
    case 'c':
      if (is("content-length") && !out.content_length) {
        std::uint64_t length = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
        if (error == std::errc()) out.content_length = length;
      }
      break;
    case 't':
      if (is("transfer-encoding")) out.chunked = ends_in_chunked(value);
      break;
    case 'x':
      if (is("x-forwarded-for")) out.x_forwarded_for.push_back(value);
      if (is("x-real-ip")) first(out.x_real_ip);
      break;
    case 'f':
      if (is("forwarded")) out.forwarded.push_back(value);
      break;
    default:
      break;
  }
}

/// The line breaks that may stand before a request line (RFC 9112 2.2).
std::size_t leading_line_breaks(std::string_view text) {
  const std::size_t first = text.find_first_not_of("\r\n");
  return first == std::string_view::npos ? text.size() : first;
}

std::string_view as_text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A whole first line stands at the start: text of a body may look like the start of one.
bool begins_with_head(std::span<const std::uint8_t> bytes) {
  if (detect_http(bytes) != HttpStart::kYes) return false;
  const std::string_view text = as_text(bytes);
  const std::size_t begin = leading_line_breaks(text);
  HttpHead head;
  return text.find('\n', begin) != std::string_view::npos && parse_first_line(first_line(text.substr(begin)), head);
}

}  // namespace

HttpStart detect_http(std::span<const std::uint8_t> bytes) {
  std::string_view text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 64)));
  text.remove_prefix(leading_line_breaks(text));
  if (text.empty()) return bytes.size() <= 4 ? HttpStart::kMaybe : HttpStart::kNo;
  static constexpr std::string_view kStatus = "HTTP/1.";
  if (text.starts_with("HTTP/")) {
    if (text.size() < kStatus.size()) return HttpStart::kMaybe;
    return text.starts_with(kStatus) ? HttpStart::kYes : HttpStart::kNo;
  }
  if (!is_letter(text.front())) return HttpStart::kNo;
  for (std::size_t i = 1; i <= kMaxMethodBytes; ++i) {
    if (i == text.size()) return HttpStart::kMaybe;
    if (text[i] == ' ') {
      if (i + 1 == text.size()) return HttpStart::kMaybe;
      return static_cast<unsigned char>(text[i + 1]) > 0x20 ? HttpStart::kYes : HttpStart::kNo;
    }
    if (!is_letter(text[i]) && text[i] != '-' && text[i] != '_') return HttpStart::kNo;
  }
  return HttpStart::kNo;
}

bool parse_http_head(std::string_view text, HttpHead& out) {
  out = HttpHead();
  text.remove_prefix(leading_line_breaks(text));
  if (!parse_first_line(take_line(text), out)) return false;
  while (!text.empty()) {
    const char* start = text.data();
    std::string_view line = take_line(text);
    if (line.empty()) break;
    while (!text.empty() && is_blank(text.front())) {
      const std::string_view folded = take_line(text);
      line = std::string_view(start, static_cast<std::size_t>(folded.data() + folded.size() - start));
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = trim(line.substr(0, colon));
    if (!name.empty()) take_field(name, trim(line.substr(colon + 1)), out);
  }
  return true;
}

std::size_t http_head_bytes(std::string_view text, std::size_t scanned) {
  const std::size_t begin = leading_line_breaks(text);
  // A blank line may have begun up to two bytes before what is new.
  std::size_t at = std::max(begin, scanned < 2 ? std::size_t{0} : scanned - 2);
  while ((at = text.find('\n', at)) != std::string_view::npos) {
    ++at;
    if (at < text.size() && text[at] == '\n') return at + 1;
    if (at + 1 < text.size() && text[at] == '\r' && text[at + 1] == '\n') return at + 2;
  }
  return 0;
}

void HttpReader::feed(std::span<const std::uint8_t> bytes, HttpEvents& events) {
  if (state_ == State::kLost && !bytes.empty()) {
    if (!begins_with_head(bytes)) {
      if (++lost_segments_ >= kMaxLostSegments) state_ = State::kDone;
      return;
    }
    state_ = State::kIdle;
    seeking_ = true;
  }
  while (!bytes.empty()) {
    switch (state_) {
      case State::kIdle:
      case State::kHead:
        feed_head(bytes, events);
        break;
      case State::kBody:
      case State::kChunkData:
      case State::kUntilClose:
        feed_body(bytes, events);
        break;
      case State::kChunkLine:
        feed_chunk_line(bytes, events);
        break;
      case State::kLost:
      case State::kDone:
        return;
    }
  }
}

void HttpReader::feed_head(std::span<const std::uint8_t>& bytes, HttpEvents& events) {
  std::string_view text = as_text(bytes);
  const std::size_t before = buffer_.size();
  if (before > 0) {
    buffer_.append(text.substr(0, std::min(text.size(), kMaxHeadBytes - before)));
    text = buffer_;
  } else if (detect_http(bytes) == HttpStart::kNo) {
    bytes = {};
    return give_up();
  }
  state_ = State::kHead;
  const std::size_t head_bytes = http_head_bytes(text, before);
  if (head_bytes != 0) {
    // What the buffer held before is not part of `bytes`.
    bytes = bytes.subspan(head_bytes - before);
    const std::string held = std::move(buffer_);
    buffer_.clear();
    return take_head(before > 0 ? std::string_view(held).substr(0, head_bytes) : text.substr(0, head_bytes), events);
  }
  bytes = {};
  const std::size_t begin = leading_line_breaks(text);
  const std::size_t line_end = text.find('\n', begin);
  HttpHead head;
  // The first line is judged once, when it ends: most of what is not HTTP never sends a blank line.
  const bool line_is_new = line_end != std::string_view::npos && line_end >= before;
  if (text.size() >= kMaxHeadBytes || begin > kMaxLineBreaks ||
      (line_is_new && !parse_first_line(first_line(text.substr(begin)), head))) {
    return give_up();
  }
  if (before == 0) buffer_ = text;
}

void HttpReader::take_head(std::string_view text, HttpEvents& events) {
  HttpHead head;
  if (!parse_http_head(text, head)) return give_up();
  seen_ = true;
  seeking_ = false;
  lost_segments_ = 0;
  const HttpEvents::Body body = events.on_head(head, text.size());
  body_bytes_ = 0;
  start_body(head, body, events);
}

void HttpReader::start_body(const HttpHead& head, HttpEvents::Body body, HttpEvents& events) {
  if (!head.request) {
    const bool tunnel = body == HttpEvents::Body::kTunnel && head.status >= 200 && head.status < 300;
    if (head.status == 101 || tunnel) {
      finish_message(true, events);
      state_ = State::kDone;
      tunnelled_ = true;
      return;
    }
    if (body == HttpEvents::Body::kNone || head.status < 200 || head.status == 204 || head.status == 304) {
      return finish_message(true, events);
    }
  }
  if (head.chunked) {
    state_ = State::kChunkLine;
    in_trailer_ = false;
  } else if (head.content_length || head.request) {
    body_left_ = head.content_length.value_or(0);
    state_ = State::kBody;
    if (body_left_ == 0) finish_message(true, events);
  } else {
    state_ = State::kUntilClose;
  }
}

void HttpReader::feed_body(std::span<const std::uint8_t>& bytes, HttpEvents& events) {
  if (state_ == State::kUntilClose) {
    body_bytes_ += bytes.size();
    bytes = {};
    return;
  }
  const std::uint64_t taken = std::min<std::uint64_t>(bytes.size(), body_left_);
  body_bytes_ += taken;
  body_left_ -= taken;
  bytes = bytes.subspan(static_cast<std::size_t>(taken));
  if (body_left_ > 0) return;
  if (state_ == State::kChunkData) {
    state_ = State::kChunkLine;
  } else {
    finish_message(true, events);
  }
}

void HttpReader::feed_chunk_line(std::span<const std::uint8_t>& bytes, HttpEvents& events) {
  static constexpr std::size_t kMaxLine = 8 * 1024;
  const std::string_view text = as_text(bytes);
  const std::size_t end = text.find('\n');
  const std::size_t taken = end == std::string_view::npos ? text.size() : end + 1;
  body_bytes_ += taken;
  bytes = bytes.subspan(taken);
  if (buffer_.size() + taken > kMaxLine) {
    finish_message(false, events);
    return lose();
  }
  if (end == std::string_view::npos || !buffer_.empty()) buffer_.append(text.substr(0, taken));
  if (end == std::string_view::npos) return;
  const std::string held = std::move(buffer_);
  buffer_.clear();
  take_chunk_line(trim(held.empty() ? text.substr(0, taken) : std::string_view(held)), events);
}

void HttpReader::take_chunk_line(std::string_view line, HttpEvents& events) {
  if (in_trailer_) {
    if (line.empty()) finish_message(true, events);
    return;
  }
  if (line.empty()) return;  // the line break behind a chunk's data
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  if (error != std::errc()) {
    finish_message(false, events);
    return lose();
  }
  in_trailer_ = size == 0;
  if (in_trailer_) return;
  body_left_ = size;
  state_ = State::kChunkData;
}

void HttpReader::gap(std::uint64_t bytes, HttpEvents& events) {
  switch (state_) {
    case State::kBody:
    case State::kChunkData:
      return gap_in_body(bytes, events);
    case State::kUntilClose:
      body_bytes_ += bytes;
      return;
    case State::kHead:
      take_cut_head(events);
      return lose();
    case State::kChunkLine:
      finish_message(false, events);
      return lose();
    case State::kIdle:
    case State::kLost:
      return lose();
    case State::kDone:
      return;
  }
}

void HttpReader::gap_in_body(std::uint64_t bytes, HttpEvents& events) {
  const bool chunk = state_ == State::kChunkData;
  if (bytes > body_left_) {
    // A body of known length ends inside the gap; of a chunked one the end is not known.
    body_bytes_ += body_left_;
    finish_message(!chunk, events);
    return lose();
  }
  body_bytes_ += bytes;
  body_left_ -= bytes;
  if (body_left_ > 0) return;
  if (chunk) {
    state_ = State::kChunkLine;
  } else {
    finish_message(true, events);
  }
}

void HttpReader::end(HttpEvents& events) {
  if (state_ == State::kHead) take_cut_head(events);
  if (state_ == State::kUntilClose) finish_message(true, events);
  if (state_ == State::kBody || state_ == State::kChunkData || state_ == State::kChunkLine)
    finish_message(false, events);
  state_ = State::kDone;
}

void HttpReader::take_cut_head(HttpEvents& events) {
  const std::string held = std::move(buffer_);
  buffer_.clear();
  HttpHead head;
  if (held.find('\n', leading_line_breaks(held)) == std::string::npos || !parse_http_head(held, head)) return;
  seen_ = true;
  events.on_head(head, held.size());
  body_bytes_ = 0;
  finish_message(false, events);
}

void HttpReader::finish_message(bool whole, HttpEvents& events) {
  state_ = State::kIdle;
  buffer_.clear();
  events.on_message_end(body_bytes_, whole);
}

void HttpReader::lose() {
  std::string().swap(buffer_);
  lost_segments_ = 0;
  state_ = State::kLost;
}

void HttpReader::give_up() {
  std::string().swap(buffer_);
  const bool search_on = (seen_ || seeking_) && lost_segments_ < kMaxLostSegments;
  if (search_on) ++lost_segments_;
  state_ = search_on ? State::kLost : State::kDone;
}

}  // namespace weir::packet
