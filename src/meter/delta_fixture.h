#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "meter/delta_meter.h"
#include "meter/meter_fixture.h"
#include "packet/packet.h"

namespace weir::meter {

using DeltaConnections = Metered<DeltaMeter, model::FlowDelta>;

/// What the kernel programs count of packets at pods' interfaces, in its plainest form. The packets have a zone and
/// tell whether the pod sent them.
class SpanCounter {
 public:
  void count(const packet::DecodedPacket& p) {
    model::FlowDelta& d = entry(p.from_pod ? p.tuple : reversed(p.tuple), p.zone, p.time_ns);
    const bool first = d.packets_out + d.packets_in == 0;
    if (first) {
      d.first_is_out = p.from_pod;
      d.first_is_reply = p.icmp_reply;
      d.first_flags = p.tcp_flags;
    }
    d.newest_ns = std::max(d.newest_ns, p.time_ns);
    ++(p.from_pod ? d.packets_out : d.packets_in);
    (p.from_pod ? d.bytes_out : d.bytes_in) += p.ip_bytes;
    if (p.tcp_valid) count_flags(d, p, first);
    if (p.icmp_unreachable) {
      // The quoted packet came from the error's receiver.
      entry(p.from_pod ? reversed(p.quoted) : p.quoted, p.zone, p.time_ns).unreachable = true;
    }
  }
  /// The span ends: in order of first packets.
  std::vector<model::FlowDelta> take() {
    index_.clear();
    return std::exchange(deltas_, {});
  }

 private:
  model::FlowDelta& entry(const model::Tuple& pods_view, std::uint16_t zone, std::int64_t time_ns) {
    const auto key = std::tuple(zone, pods_view.protocol, pods_view.source, pods_view.dest, pods_view.source_port,
                                pods_view.dest_port);
    const auto [at, made] = index_.emplace(key, deltas_.size());
    if (made) {
      model::FlowDelta& d = deltas_.emplace_back();
      d.tuple = pods_view;
      d.zone = zone;
      d.first_ns = d.newest_ns = time_ns;
    }
    return deltas_[at->second];
  }

  static void count_flags(model::FlowDelta& d, const packet::DecodedPacket& p, bool first) {
    using namespace packet;
    const std::uint8_t handshake = p.tcp_flags & (kTcpSyn | kTcpRst);
    const bool syn = handshake == kTcpSyn, ack = (p.tcp_flags & kTcpAck) != 0;
    const bool over =
        (d.tcp_flags_out & d.tcp_flags_in & kTcpFin) != 0 || ((d.tcp_flags_out | d.tcp_flags_in) & kTcpRst) != 0;
    if (syn && !ack && !first && over) {
      d.reopened = true;
      d.tcp_flags_out = d.tcp_flags_in = 0;
      d.syn_out = d.syn_in = d.syn_ack_out = d.syn_ack_in = false;
    }
    std::uint8_t& flags = p.from_pod ? d.tcp_flags_out : d.tcp_flags_in;
    flags = static_cast<std::uint8_t>(flags | (handshake != 0 ? handshake : p.tcp_flags & (kTcpFin | kTcpAck)));
    if (syn && !ack) (p.from_pod ? d.syn_out : d.syn_in) = true;
    if (syn && ack) (p.from_pod ? d.syn_ack_out : d.syn_ack_in) = true;
    if ((p.tcp_flags & kTcpRst) != 0) ++d.tcp.resets;
  }

  std::map<std::tuple<std::uint16_t, std::uint8_t, IpAddress, IpAddress, std::uint16_t, std::uint16_t>, std::size_t>
      index_;
  std::vector<model::FlowDelta> deltas_;
};

}  // namespace weir::meter
