#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "meter/stream.h"
#include "model/connection.h"
#include "model/http.h"
#include "packet/forwarded.h"
#include "packet/packet.h"

namespace weir::meter {

struct HttpInspectorOptions {
  packet::XffRule xff;
  /// Connections that are followed at once, about 150 B each before HTTP is found; more are not looked at (counted).
  std::size_t max_connections = 1u << 20;
  /// The packets are only those that begin with a head (as the eBPF source gives them): what lies between will not
  /// come. Then a message is finished with its head, and its body counts as its Content-Length says.
  bool heads_only = false;
  /// Requests of one connection that wait for a response; above it the oldest is reported without one.
  std::size_t max_pipelined = 128;
};

struct HttpInspectorStats {
  std::uint64_t requests = 0, responses = 0;
  /// Requests reported without a response, responses without a request.
  std::uint64_t unanswered_requests = 0, unpaired_responses = 0;
  /// Connections in which HTTP was found; that were refused at once as something else.
  std::uint64_t http_connections = 0, other_connections = 0;
  std::uint64_t dropped_connections = 0;
  /// Holes in streams that were given up.
  std::uint64_t gaps = 0;
};

/// Finds HTTP/1.x on any TCP port by the first payload bytes of either direction, and pairs requests with responses
/// through keep-alive and pipelining; bodies are skipped. A connection seen from mid-stream is looked at for
/// kMaxSearchedSegments segments. Upgraded connections and CONNECT tunnels end with their answer.
///
/// Threads: one. Time is that of the packets.
class HttpInspector {
 public:
  static constexpr std::uint32_t kMaxSearchedSegments = 64;

  explicit HttpInspector(HttpInspectorOptions options = {});
  ~HttpInspector();

  /// A TCP packet of connection `slot`, from its first one on; `forward`: sent by the tuple's source as metered.
  /// False: the connection is of no interest any more, and the caller need not offer its packets.
  bool on_segment(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward);
  void on_connection_end(model::ConnectionSlot slot);
  /// The input ended: reports all that is open.
  void finish();

  /// What is finished since clear_finished().
  std::span<const model::HttpTransaction> finished() const { return finished_; }
  void clear_finished() { finished_.clear(); }
  HttpInspectorStats stats() const;

 private:
  struct Http;
  struct Connection {
    /// Of direction 0, the one that was forward at first.
    model::Tuple tuple;
    /// Seen at a pod's interface; that pod is the tuple's source.
    bool at_interface = false, source_is_pod = false;
    TcpStream streams[2];
    std::uint32_t searched_segments = 0;
    bool dead = false;
    /// Of the bytes that are being read.
    std::int64_t time_ns = 0;
    std::unique_ptr<Http> http;
  };
  struct Sink;
  struct Events;

  Connection* at(model::ConnectionSlot slot) {
    return slot < places_.size() && places_[slot] != 0 ? &pool_[places_[slot] - 1] : nullptr;
  }
  Connection* open(model::ConnectionSlot slot);
  void close(model::ConnectionSlot slot);
  Connection* find(const packet::DecodedPacket& packet, model::ConnectionSlot slot);
  Connection* find_or_open(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward);
  void deliver(Connection& connection, model::ConnectionSlot slot, int direction, std::span<const std::uint8_t> bytes);
  void gap(Connection& connection, model::ConnectionSlot slot, int direction, std::uint64_t bytes);
  /// Reports what is open in it and frees its buffers.
  void end(Connection& connection, model::ConnectionSlot slot);
  void report_oldest(Http& http);

  HttpInspectorOptions options_;
  HttpInspectorStats stats_;
  StreamBudget budget_;
  /// Connections that are followed: most leave at their first payload, so that few places serve many and stay in the
  /// cache. By slot: the place + 1, or 0.
  std::vector<std::uint32_t> places_;
  std::deque<Connection> pool_;
  std::vector<std::uint32_t> free_places_;
  std::vector<model::HttpTransaction> finished_;
};

}  // namespace weir::meter
