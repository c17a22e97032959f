#include "meter/http_inspector.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "packet/http.h"

namespace weir::meter {
namespace {

using packet::HttpReader;
using packet::HttpStart;

// What is kept of a head; nothing real is longer.
constexpr std::size_t kMaxUrl = 16 * 1024, kMaxHost = 512, kMaxUserAgent = 1024;

model::Tuple turned(const model::Tuple& t) { return {t.dest, t.source, t.dest_port, t.source_port, t.protocol}; }

}  // namespace

/// The HTTP state of a connection in which something looked like HTTP.
struct HttpInspector::Http {
  struct Open {
    model::HttpTransaction transaction;
    bool request_ended = false;
  };
  /// A head was read.
  bool found = false;
  /// By direction; made with the first byte of it.
  std::optional<HttpReader> readers[2];
  /// What the message that a direction is in is.
  enum class Message : std::uint8_t { kRequest, kResponse, kInterim };
  Message message[2] = {Message::kRequest, Message::kRequest};
  /// The direction lost its place: responses may be missing.
  bool lost[2] = {false, false};
  /// Requests in order; the front one is being answered.
  std::deque<Open> open;
};

/// Turns what a reader finds in one direction into transactions.
struct HttpInspector::Events final : packet::HttpEvents {
  Events(HttpInspector& owner, Connection& in, model::ConnectionSlot slot_number, int direction_index)
      : inspector(owner), connection(in), http(*in.http), slot(slot_number), direction(direction_index) {}

  Body on_head(const packet::HttpHead& head, std::size_t bytes) override {
    if (!std::exchange(http.found, true)) ++inspector.stats_.http_connections;
    const Body body = head.request ? on_request(head, bytes) : on_response(head, bytes);
    http.lost[direction] = false;
    return body;
  }

  void on_message_end(std::uint64_t body_bytes, bool) override {
    if (http.open.empty()) return;
    switch (http.message[direction]) {
      case Http::Message::kRequest:
        // A response that came early has taken the request away already.
        if (http.open.back().request_ended) return;
        http.open.back().transaction.request_bytes += body_bytes;
        http.open.back().request_ended = true;
        return;
      case Http::Message::kInterim:
        return;
      case Http::Message::kResponse:
        http.open.front().transaction.response_bytes += body_bytes;
        inspector.report_oldest(http);
        return;
    }
  }

  model::HttpTransaction blank(bool from_client) const {
    model::HttpTransaction transaction;
    const bool as_connected = (direction == 0) == from_client;
    transaction.tuple = as_connected ? connection.tuple : turned(connection.tuple);
    if (connection.at_interface) {
      const bool client_side = connection.source_is_pod == as_connected;
      transaction.observed_at = client_side ? model::ObservedAt::kSource : model::ObservedAt::kDest;
    }
    transaction.slot = slot;
    return transaction;
  }

  Body on_request(const packet::HttpHead& head, std::size_t bytes) {
    ++inspector.stats_.requests;
    http.message[direction] = Http::Message::kRequest;
    if (http.open.size() >= inspector.options_.max_pipelined) inspector.report_oldest(http);
    model::HttpTransaction transaction = blank(true);
    transaction.request_ns = connection.time_ns;
    transaction.method = head.method;
    transaction.url = head.target.substr(0, kMaxUrl);
    transaction.host = head.host.substr(0, kMaxHost);
    transaction.user_agent = head.user_agent.substr(0, kMaxUserAgent);
    transaction.version = head.version;
    transaction.request_bytes = bytes;
    transaction.original_source = packet::original_client(head, inspector.options_.xff);
    if (inspector.options_.heads_only) transaction.request_bytes += head.content_length.value_or(0);
    http.open.push_back({std::move(transaction), inspector.options_.heads_only});
    return Body::kAsHeaders;
  }

  Body on_response(const packet::HttpHead& head, std::size_t bytes) {
    const bool interim = head.status < 200 && head.status != 101;
    http.message[direction] = interim ? Http::Message::kInterim : Http::Message::kResponse;
    // Behind a gap the response is most likely that of the newest request: clients rarely pipeline.
    while (http.lost[direction] && http.open.size() > 1 && http.open[1].transaction.request_ns <= connection.time_ns) {
      inspector.report_oldest(http);
    }
    if (http.open.empty()) {
      if (interim) return Body::kAsHeaders;
      ++inspector.stats_.unpaired_responses;
      http.open.push_back({blank(false), true});
      http.open.back().transaction.version = head.version;
    }
    model::HttpTransaction& transaction = http.open.front().transaction;
    transaction.response_bytes += bytes;
    if (interim) return Body::kAsHeaders;
    ++inspector.stats_.responses;
    transaction.status = head.status;
    transaction.response_ns = connection.time_ns;
    if (transaction.method == "CONNECT") return Body::kTunnel;
    if (inspector.options_.heads_only && head.status != 101) return finish_with_head(head);
    return transaction.method == "HEAD" ? Body::kNone : Body::kAsHeaders;
  }

  /// Of a response whose body will not come. What its head's packet has of it is passed over like all that is no head.
  Body finish_with_head(const packet::HttpHead& head) {
    model::HttpTransaction& transaction = http.open.front().transaction;
    const bool has_body = transaction.method != "HEAD" && head.status != 204 && head.status != 304;
    if (has_body) transaction.response_bytes += head.content_length.value_or(0);
    http.message[direction] = Http::Message::kInterim;
    inspector.report_oldest(http);
    return Body::kNone;
  }

  HttpInspector& inspector;
  Connection& connection;
  Http& http;
  model::ConnectionSlot slot;
  int direction;
};

struct HttpInspector::Sink {
  HttpInspector& inspector;
  Connection& connection;
  model::ConnectionSlot slot;
  int direction;

  void deliver(std::span<const std::uint8_t> bytes, std::int64_t time_ns) {
    connection.time_ns = time_ns;
    inspector.deliver(connection, slot, direction, bytes);
  }
  void gap(std::uint64_t bytes) { inspector.gap(connection, slot, direction, bytes); }
};

HttpInspector::HttpInspector(HttpInspectorOptions options) : options_(std::move(options)) {}
HttpInspector::~HttpInspector() = default;

HttpInspector::Connection* HttpInspector::find(const packet::DecodedPacket& packet, model::ConnectionSlot slot) {
  Connection* found = at(slot);
  if (found == nullptr) return nullptr;
  return found->tuple == packet.tuple || found->tuple == turned(packet.tuple) ? found : nullptr;
}

/// Null: too many are open.
HttpInspector::Connection* HttpInspector::open(model::ConnectionSlot slot) {
  if (pool_.size() - free_places_.size() >= options_.max_connections) return nullptr;
  if (slot >= places_.size()) places_.resize(std::max<std::size_t>(slot + 1, places_.size() * 2));
  if (free_places_.empty()) {
    pool_.emplace_back();
    free_places_.push_back(static_cast<std::uint32_t>(pool_.size() - 1));
  }
  const std::uint32_t place = free_places_.back();
  free_places_.pop_back();
  places_[slot] = place + 1;
  return &pool_[place];
}

void HttpInspector::close(model::ConnectionSlot slot) {
  const std::uint32_t place = std::exchange(places_[slot], 0) - 1;
  pool_[place] = {};
  free_places_.push_back(place);
}

HttpInspector::Connection* HttpInspector::find_or_open(const packet::DecodedPacket& packet, model::ConnectionSlot slot,
                                                       bool forward) {
  if (Connection* known = find(packet, slot)) return known;
  // The slot may have been given to another connection before we heard of the first one's end.
  on_connection_end(slot);
  Connection* opened = open(slot);
  if (opened == nullptr) return nullptr;
  opened->tuple = forward ? packet.tuple : turned(packet.tuple);
  opened->at_interface = packet.zone != 0;
  opened->source_is_pod = packet.from_pod == forward;
  return opened;
}

bool HttpInspector::on_segment(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward) {
  if (packet.icmp_error || packet.fragment || !packet.tcp_valid) return true;
  // Most packets without payload tell nothing; an ACK may say that a hole will not be filled.
  const bool has_news = packet.payload_bytes > 0 || (packet.tcp_flags & packet::kTcpSyn) != 0;
  if (!has_news && budget_.used_bytes == 0) return true;
  Connection* connection = has_news ? find_or_open(packet, slot, forward) : find(packet, slot);
  if (connection == nullptr && !has_news) return true;
  if (connection == nullptr) {
    ++stats_.dropped_connections;
    return false;
  }
  // The meter may come to see the other side as the opener; a connection to itself has one tuple for both directions.
  const bool first_way = packet.tuple == turned(packet.tuple) ? forward : packet.tuple == connection->tuple;
  const int direction = first_way ? 0 : 1;
  if ((packet.tcp_flags & packet::kTcpAck) != 0) {
    const int other = 1 - direction;
    connection->streams[other].acknowledge(packet.tcp_ack, budget_, Sink{*this, *connection, slot, other});
  }
  connection->streams[direction].accept(packet, budget_, Sink{*this, *connection, slot, direction});
  if (options_.heads_only) connection->streams[direction].finish(budget_, Sink{*this, *connection, slot, direction});
  if (!connection->dead) return true;
  end(*connection, slot);
  close(slot);
  return false;
}

void HttpInspector::deliver(Connection& connection, model::ConnectionSlot slot, int direction,
                            std::span<const std::uint8_t> bytes) {
  if (connection.dead) return;
  const bool from_start = connection.streams[direction].from_start();
  if (connection.http == nullptr) {
    const HttpStart start = packet::detect_http(bytes);
    if (start == HttpStart::kNo || (start == HttpStart::kMaybe && !from_start)) {
      connection.dead =
          (from_start && connection.searched_segments == 0) || ++connection.searched_segments >= kMaxSearchedSegments;
      if (connection.dead) ++stats_.other_connections;
      return;
    }
    connection.http = std::make_unique<Http>();
  }
  std::optional<HttpReader>& reader = connection.http->readers[direction];
  if (!reader) reader.emplace(!from_start || connection.searched_segments > 0);
  Events events(*this, connection, slot, direction);
  reader->feed(bytes, events);
  connection.http->lost[direction] |= reader->state() == HttpReader::State::kLost;
  if (!reader->done()) return;
  // An upgrade or tunnel ends both directions; else the other one may still be HTTP.
  const std::optional<HttpReader>& other = connection.http->readers[1 - direction];
  connection.dead = !other || other->done() || reader->tunnelled();
  if (connection.dead && !connection.http->found) ++stats_.other_connections;
}

void HttpInspector::gap(Connection& connection, model::ConnectionSlot slot, int direction, std::uint64_t bytes) {
  if (connection.dead) return;
  if (connection.http == nullptr) {
    ++connection.searched_segments;
    return;
  }
  std::optional<HttpReader>& reader = connection.http->readers[direction];
  if (!reader) reader.emplace(true);
  Events events(*this, connection, slot, direction);
  reader->gap(bytes, events);
  connection.http->lost[direction] |= reader->state() == HttpReader::State::kLost;
}

void HttpInspector::end(Connection& connection, model::ConnectionSlot slot) {
  for (int direction = 0; direction < 2; ++direction) {
    if (connection.dead) {
      connection.streams[direction].drop(budget_);
    } else {
      connection.streams[direction].finish(budget_, Sink{*this, connection, slot, direction});
      connection.streams[direction].drop(budget_);
    }
  }
  if (connection.http == nullptr) return;
  // Requests first: a response must find its request.
  for (int direction = 0; direction < 2; ++direction) {
    std::optional<HttpReader>& reader = connection.http->readers[direction];
    if (!reader) continue;
    Events events(*this, connection, slot, direction);
    reader->end(events);
  }
  while (!connection.http->open.empty()) report_oldest(*connection.http);
  connection.http.reset();
}

void HttpInspector::report_oldest(Http& http) {
  model::HttpTransaction& transaction = http.open.front().transaction;
  if (transaction.response_ns == 0) ++stats_.unanswered_requests;
  finished_.push_back(std::move(transaction));
  http.open.pop_front();
}

void HttpInspector::on_connection_end(model::ConnectionSlot slot) {
  Connection* found = at(slot);
  if (found == nullptr) return;
  end(*found, slot);
  close(slot);
}

void HttpInspector::finish() {
  for (model::ConnectionSlot slot = 0; slot < places_.size(); ++slot) on_connection_end(slot);
}

HttpInspectorStats HttpInspector::stats() const {
  HttpInspectorStats stats = stats_;
  stats.gaps = budget_.gaps;
  return stats;
}

}  // namespace weir::meter
