#include "frame.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace weir::bench {
namespace {

constexpr std::uint8_t kSyn = 2;
constexpr std::uint32_t kEthernetBytes = 14;

void put16(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
void put32(std::uint8_t* at, std::uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

/// The Internet checksum's sum (RFC 1071), unfolded, of words in network order; `size` counts the bytes that exist.
std::uint64_t sum_words(const std::uint8_t* data, std::size_t size) {
  std::uint64_t sum = 0;
  for (; size >= 4; data += 4, size -= 4) {
    std::uint32_t word;
    std::memcpy(&word, data, 4);
    sum += word;
  }
  std::uint32_t rest = 0;
  std::memcpy(&rest, data, size);
  return sum + rest;
}

/// Folds to 16 bits and complements. One's complement sums do not depend on byte order, so this stores it as it is.
void store_checksum(std::uint8_t* at, std::uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  auto checksum = static_cast<std::uint16_t>(~sum);
  if (checksum == 0) checksum = 0xFFFF;  // the same number, and to UDP a zero means "none"
  std::memcpy(at, &checksum, 2);
}

/// A locally administered MAC address that follows from the IP address.
void put_mac(std::uint8_t* at, const IpAddress& ip) {
  at[0] = 2;
  at[1] = 0;
  std::memcpy(at + 2, ip.bytes.data() + 12, 4);
}

/// Returns the header's length; the IPv4 checksum is set, the addresses' part of the transport checksum is returned
/// too.
std::uint32_t put_ip(std::uint8_t* ip, const FrameSpec& spec, std::uint32_t transport_bytes) {
  if (spec.source.is_v4()) {
    std::memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, 20 + transport_bytes);
    ip[6] = 0x40;  // do not fragment
    ip[8] = 64;
    ip[9] = spec.protocol;
    std::memcpy(ip + 12, spec.source.bytes.data() + 12, 4);
    std::memcpy(ip + 16, spec.dest.bytes.data() + 12, 4);
    store_checksum(ip + 10, sum_words(ip, 20));
    return 20;
  }
  std::memset(ip, 0, 40);
  ip[0] = 0x60;
  put16(ip + 4, transport_bytes);
  ip[6] = spec.protocol;
  ip[7] = 64;
  std::memcpy(ip + 8, spec.source.bytes.data(), 16);
  std::memcpy(ip + 24, spec.dest.bytes.data(), 16);
  return 40;
}

std::uint32_t put_transport(std::uint8_t* at, const FrameSpec& spec) {
  put16(at, spec.source_port);
  put16(at + 2, spec.dest_port);
  if (spec.protocol == 17) {
    put16(at + 4, 8 + spec.payload_bytes);
    put16(at + 6, 0);
    return 8;
  }
  const bool syn = (spec.tcp_flags & kSyn) != 0;
  const std::uint32_t header_bytes = syn ? 24 : 20;
  put32(at + 4, spec.tcp_seq);
  put32(at + 8, spec.tcp_ack);
  at[12] = static_cast<std::uint8_t>(header_bytes << 2);
  at[13] = spec.tcp_flags;
  put16(at + 14, 64240);
  put32(at + 16, 0);
  if (syn) put32(at + 20, 0x02040000U | kMaxPayload);
  return header_bytes;
}

std::string dns_message(const DnsSpec& spec, bool answer) {
  std::string out;
  const auto word = [&out](std::uint32_t value) {
    out.push_back(static_cast<char>(value >> 8));
    out.push_back(static_cast<char>(value));
  };
  const bool has_record = answer && spec.rcode == 0;
  word(spec.id);
  word(answer ? 0x8580U | spec.rcode : 0x0100U);
  word(1);
  word(has_record ? 1 : 0);
  word(0);
  word(0);
  for (std::size_t at = 0; at < spec.name.size();) {
    const std::size_t end = std::min(spec.name.find('.', at), spec.name.size());
    out.push_back(static_cast<char>(end - at));
    out.append(spec.name.substr(at, end - at));
    at = end + 1;
  }
  out.push_back('\0');
  word(spec.type);
  word(1);
  if (!has_record) return out;
  word(0xC00C);  // the question's name
  word(spec.type);
  word(1);
  word(0);
  word(30);
  const std::size_t skip = spec.type == 1 ? 12 : 0;
  word(static_cast<std::uint32_t>(16 - skip));
  out.append(reinterpret_cast<const char*>(spec.address.bytes.data()) + skip, 16 - skip);
  return out;
}

}  // namespace

Frame FrameBuilder::build(const FrameSpec& spec) {
  CHECK(spec.payload_bytes <= kMaxPayload && spec.payload.size() <= spec.payload_bytes);
  std::uint8_t* frame = buffer_.data();
  const bool v4 = spec.source.is_v4();
  put_mac(frame, spec.dest);
  put_mac(frame + 6, spec.source);
  put16(frame + 12, v4 ? 0x0800 : 0x86DD);
  std::uint8_t* ip = frame + kEthernetBytes;
  std::uint8_t* transport = ip + (v4 ? 20 : 40);
  const std::uint32_t header_bytes = put_transport(transport, spec);
  const std::uint32_t transport_bytes = header_bytes + spec.payload_bytes;
  const std::uint32_t ip_header_bytes = put_ip(ip, spec, transport_bytes);
  std::memcpy(transport + header_bytes, spec.payload.data(), spec.payload.size());
  std::memset(transport + header_bytes + spec.payload.size(), 0, spec.payload_bytes - spec.payload.size());

  std::uint8_t pseudo[4] = {0, spec.protocol, 0, 0};
  put16(pseudo + 2, transport_bytes);
  const std::uint8_t* addresses = ip + (v4 ? 12 : 8);
  store_checksum(transport + (spec.protocol == 17 ? 6 : 16),
                 sum_words(addresses, v4 ? 8 : 32) + sum_words(pseudo, 4) +
                     sum_words(transport, header_bytes + spec.payload.size()));
  const std::uint32_t ip_bytes = ip_header_bytes + transport_bytes;
  return {frame, kEthernetBytes + ip_bytes, kEthernetBytes + ip_header_bytes + header_bytes, ip_bytes};
}

std::string dns_query(const DnsSpec& spec) { return dns_message(spec, false); }
std::string dns_answer(const DnsSpec& spec) { return dns_message(spec, true); }

Result<PcapWriter> PcapWriter::create(const std::string& path, std::uint32_t snap_bytes) {
  TRY_ASSIGN(OutputFile file, OutputFile::open(path));
  const std::uint32_t header[6] = {0xA1B2C3D4, 0x00040002, 0, 0, snap_bytes, 1};
  static_assert(std::endian::native == std::endian::little, "the version word is written as one");
  file.buffer().append(reinterpret_cast<const char*>(header), sizeof header);
  return PcapWriter(std::move(file), snap_bytes);
}

Status PcapWriter::write(std::int64_t time_us, const Frame& frame, std::uint32_t kept_bytes) {
  const std::uint32_t captured = std::min({kept_bytes, frame.wire_bytes, snap_bytes_});
  const std::uint32_t record[4] = {static_cast<std::uint32_t>(time_us / 1'000'000),
                                   static_cast<std::uint32_t>(time_us % 1'000'000), captured, frame.wire_bytes};
  file_.buffer().append(reinterpret_cast<const char*>(record), sizeof record);
  file_.buffer().append(reinterpret_cast<const char*>(frame.data), captured);
  return file_.flush_if_large();
}

}  // namespace weir::bench
