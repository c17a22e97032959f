// Any bytes as a script of packets for the reassembly and both inspectors: every 8 bytes are one packet whose payload
// is what follows. Checks that memory is given back and that no byte comes out twice.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "meter/dns_inspector.h"
#include "meter/http_inspector.h"
#include "meter/stream.h"

namespace {

using namespace weir;

struct Count {
  std::uint64_t bytes = 0;
  void deliver(std::span<const std::uint8_t> piece, std::int64_t) {
    if (piece.empty()) std::abort();
    bytes += piece.size();
  }
  void gap(std::uint64_t missing) { bytes += missing; }
};

packet::DecodedPacket packet_at(const std::uint8_t* script, std::size_t left) {
  packet::DecodedPacket p;
  const std::uint8_t kind = script[0];
  const bool reply = (kind & 1) != 0, udp = (kind & 2) != 0;
  p.tuple = {IpAddress::v4(1), IpAddress::v4(2), 40000, (kind & 4) != 0 ? std::uint16_t{53} : std::uint16_t{80},
             udp ? model::kProtoUdp : model::kProtoTcp};
  if (reply) {
    std::swap(p.tuple.source, p.tuple.dest);
    std::swap(p.tuple.source_port, p.tuple.dest_port);
  }
  p.time_ns = static_cast<std::int64_t>(script[1]) << 28;
  p.tcp_valid = !udp;
  p.tcp_flags = static_cast<std::uint8_t>((kind & 8) != 0 ? packet::kTcpSyn : packet::kTcpAck);
  p.tcp_seq = 0xFFFFFF00u + script[2] + (script[3] << 8);
  p.tcp_ack = 0xFFFFFF00u + script[4] + (script[3] << 8);
  if (udp && (kind & 16) != 0) {
    p.fragment = true;
    p.fragment_offset = static_cast<std::uint16_t>(script[4] * 8);
    p.later_fragment = p.fragment_offset != 0;
    p.more_fragments = (kind & 32) != 0;
    p.fragment_id = script[5] & 3u;
  }
  p.payload = script + 8;
  p.payload_captured = static_cast<std::uint32_t>(std::min<std::size_t>(script[6], left - 8));
  p.payload_bytes = p.payload_captured + ((kind & 64) != 0 ? script[7] : 0u);
  return p;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  meter::TcpStream stream;
  meter::StreamBudget budget;
  budget.max_bytes = 2000;
  Count count;
  meter::HttpInspector http;
  meter::DnsInspector dns;
  for (std::size_t at = 0; at + 8 <= size;) {
    const packet::DecodedPacket p = packet_at(data + at, size - at);
    const bool forward = p.tuple.source_port == 40000;
    if (forward && p.tcp_valid) stream.accept(p, budget, count);
    if (!forward && p.tcp_valid) stream.acknowledge(p.tcp_ack, budget, count);
    if (p.tcp_valid) http.on_segment(p, data[at + 5] & 1u, forward);
    if (meter::DnsInspector::wants(p)) dns.on_packet(p, data[at + 5] & 1u, forward);
    at += 8 + p.payload_captured;
  }
  stream.finish(budget, count);
  // Sequence numbers of a script span less than 64 KiB and two payloads.
  if (budget.used_bytes != 0 || count.bytes > 0x10000 + 2 * 1024) std::abort();
  http.finish();
  dns.finish();
  return 0;
}
