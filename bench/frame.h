#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/ip.h"
#include "base/result.h"

namespace weir::bench {

/// What one Ethernet frame shall carry: TCP or UDP over IPv4 or IPv6.
struct FrameSpec {
  IpAddress source, dest;
  std::uint16_t source_port = 0, dest_port = 0;
  /// 6 or 17.
  std::uint8_t protocol = 6;
  std::uint8_t tcp_flags = 0;
  std::uint32_t tcp_seq = 0, tcp_ack = 0;
  /// The first bytes of the payload; what is missing of payload_bytes is zeros.
  std::span<const std::uint8_t> payload;
  /// At most kMaxPayload.
  std::uint32_t payload_bytes = 0;
};

inline constexpr std::uint32_t kMaxPayload = 1440;

/// A built frame. Borrows from its FrameBuilder until the next build.
struct Frame {
  const std::uint8_t* data = nullptr;
  std::uint32_t wire_bytes = 0;
  /// Ethernet, IP and transport headers.
  std::uint32_t header_bytes = 0;
  /// Header and payload, what flow records count.
  std::uint32_t ip_bytes = 0;
};

/// Builds frames with valid checksums; SYNs carry an MSS option. Source: RFC 791, 8200, 9293, 768.
class FrameBuilder {
 public:
  Frame build(const FrameSpec& spec);

 private:
  std::array<std::uint8_t, 2048> buffer_{};
};

/// A DNS question of class IN, and how it is answered. Source: RFC 1035 4.1.
struct DnsSpec {
  std::string_view name;
  std::uint16_t id = 0;
  /// 1 (A) or 28 (AAAA).
  std::uint16_t type = 1;
  std::uint8_t rcode = 0;
  /// One answer record if rcode is 0.
  IpAddress address;
};
std::string dns_query(const DnsSpec& spec);
std::string dns_answer(const DnsSpec& spec);

/// Writes a pcap file (microseconds, Ethernet).
class PcapWriter {
 public:
  static Result<PcapWriter> create(const std::string& path, std::uint32_t snap_bytes);
  /// Keeps the first `kept_bytes` of the frame, at most the snap length.
  Status write(std::int64_t time_us, const Frame& frame, std::uint32_t kept_bytes);
  Status close() { return file_.close(); }

 private:
  PcapWriter(OutputFile file, std::uint32_t snap_bytes) : file_(std::move(file)), snap_bytes_(snap_bytes) {}
  OutputFile file_;
  std::uint32_t snap_bytes_;
};

}  // namespace weir::bench
