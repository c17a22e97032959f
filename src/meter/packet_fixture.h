#pragma once

#include <cstdint>
#include <string_view>

#include "packet/packet.h"

namespace weir::meter {

/// Packets for tests: payloads are borrowed from literals or strings that live on.
inline packet::DecodedPacket packet_of(std::uint8_t protocol, const char* source, std::uint16_t source_port,
                                       const char* dest, std::uint16_t dest_port, std::string_view payload,
                                       std::int64_t time_ns) {
  packet::DecodedPacket p;
  p.tuple = {IpAddress::parse(source).value(), IpAddress::parse(dest).value(), source_port, dest_port, protocol};
  p.time_ns = time_ns;
  p.payload = reinterpret_cast<const std::uint8_t*>(payload.data());
  p.payload_bytes = p.payload_captured = static_cast<std::uint32_t>(payload.size());
  p.tcp_valid = protocol == model::kProtoTcp;
  return p;
}

/// Both ends of a TCP connection, each with its next sequence number.
struct TcpScript {
  const char* client = "10.0.0.1";
  const char* server = "10.0.0.2";
  std::uint16_t client_port = 40000, server_port = 80;
  std::uint32_t client_seq = 1000, server_seq = 0xFFFFFFF0;

  packet::DecodedPacket send(bool from_client, std::string_view payload, std::int64_t time_ns, std::uint8_t flags = 0) {
    packet::DecodedPacket p =
        from_client ? packet_of(model::kProtoTcp, client, client_port, server, server_port, payload, time_ns)
                    : packet_of(model::kProtoTcp, server, server_port, client, client_port, payload, time_ns);
    std::uint32_t& seq = from_client ? client_seq : server_seq;
    p.tcp_seq = seq;
    p.tcp_ack = from_client ? server_seq : client_seq;
    p.tcp_flags = static_cast<std::uint8_t>(flags | packet::kTcpAck);
    seq += static_cast<std::uint32_t>(payload.size()) + ((flags & packet::kTcpSyn) != 0 ? 1 : 0);
    return p;
  }
};

}  // namespace weir::meter
