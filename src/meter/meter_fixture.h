#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "meter/meter.h"
#include "model/protocol.h"

namespace weir::meter {

inline constexpr std::int64_t kSecond = 1'000'000'000, kMillisecond = 1'000'000;
/// Times of tests count from here.
inline constexpr std::int64_t kEpoch = 1'700'000'000 * kSecond;

inline const IpAddress kClient = IpAddress::v4(0x0A000001), kServer = IpAddress::v4(0x0A000002);

inline packet::DecodedPacket make_packet(std::int64_t time_ns, const model::Tuple& tuple,
                                         std::uint32_t ip_bytes = 100) {
  packet::DecodedPacket p;
  p.time_ns = kEpoch + time_ns;
  p.tuple = tuple;
  p.ip_bytes = ip_bytes;
  return p;
}

inline model::Tuple reversed(model::Tuple t) {
  std::swap(t.source, t.dest);
  if (!is_icmp(t.protocol)) std::swap(t.source_port, t.dest_port);
  return t;
}

inline packet::DecodedPacket make_tcp(std::int64_t time_ns, const model::Tuple& tuple, std::uint8_t flags,
                                      std::uint32_t seq = 0, std::uint32_t ack = 0, std::uint32_t payload = 0) {
  packet::DecodedPacket p = make_packet(time_ns, tuple, 40 + payload);
  p.tcp_valid = true;
  p.tcp_flags = flags;
  p.tcp_seq = seq;
  p.tcp_ack = ack;
  p.payload_bytes = p.payload_captured = payload;
  return p;
}

/// What all updates of one connection say together.
struct Connection {
  model::ConnectionUpdate newest;
  model::TrafficDelta total;
  std::uint32_t retransmissions = 0, resets = 0, updates = 0, firsts = 0, closes = 0;
  bool ended = false;
};

/// A meter whose updates are put together again into connections, in order of their first update.
template <typename M, typename Input>
class Metered {
 public:
  explicit Metered(MeterOptions options = {}) : meter_(M::create(options).value()) {}

  void process(const std::vector<Input>& batch, auto... notes) {
    meter_->process(batch, notes...);
    take_updates();
  }
  void advance(std::int64_t time_ns) {
    meter_->advance(kEpoch + time_ns);
    take_updates();
  }
  void take_updates() {
    for (const auto& update : meter_->updates()) add(update);
    meter_->clear_updates();
  }
  std::size_t flush() {
    std::size_t count = 0;
    for (auto span = meter_->flush(); !span.empty(); span = meter_->flush()) {
      for (const auto& update : span) add(update);
      count += span.size();
    }
    return count;
  }

  M& meter() { return *meter_; }
  const std::vector<Connection>& connections() const { return connections_; }
  /// The connection that has the slot now.
  std::size_t in_slot(model::ConnectionSlot slot) const { return slots_[slot]; }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};

  void add(const model::ConnectionUpdate& update) {
    if (slots_.size() <= update.slot) slots_.resize(update.slot + 1, kNone);
    std::size_t& at = slots_[update.slot];
    EXPECT_EQ(update.first, at == kNone) << "the first update of a connection, and only that, is first";
    if (at == kNone) {
      at = connections_.size();
      connections_.emplace_back();
    }
    Connection& c = connections_[at];
    c.newest = update;
    c.total.packets_forward += update.delta.packets_forward;
    c.total.packets_reverse += update.delta.packets_reverse;
    c.total.bytes_forward += update.delta.bytes_forward;
    c.total.bytes_reverse += update.delta.bytes_reverse;
    c.retransmissions += update.tcp.retransmissions;
    c.resets += update.tcp.resets;
    ++c.updates;
    c.firsts += update.first ? 1 : 0;
    c.closes += update.closed ? 1 : 0;
    c.ended = update.last;
    if (update.last) at = kNone;
  }

  std::unique_ptr<M> meter_;
  std::vector<Connection> connections_;
  std::vector<std::size_t> slots_;
};
using MeteredConnections = Metered<Meter, packet::DecodedPacket>;

}  // namespace weir::meter
