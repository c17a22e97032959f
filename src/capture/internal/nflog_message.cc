#include "capture/internal/nflog_message.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include <cstring>
#include <utility>

#include "capture/internal/ctnetlink.h"
#include "capture/internal/netlink.h"

namespace weir::capture {
namespace {

constexpr std::uint16_t kLinkTypeRaw = 101;

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  return {text, strnlen(text, bytes.size())};
}

std::int64_t time_of(const std::uint8_t* bytes) {
  constexpr std::uint64_t kMaxSeconds = 8'000'000'000;
  const std::uint64_t seconds = read_be64(bytes), micros = read_be64(bytes + 8);
  if (seconds > kMaxSeconds || micros >= 1'000'000) return 0;
  return static_cast<std::int64_t>(seconds * 1'000'000'000 + micros * 1'000);
}

}  // namespace

bool parse_nflog_message(std::span<const std::uint8_t> payload, NflogMessage& out) {
  out = {};
  nfgenmsg header;
  if (payload.size() < sizeof header) return false;
  std::memcpy(&header, payload.data(), sizeof header);
  out.group = __builtin_bswap16(header.res_id);
  NetlinkAttributes walk(payload.subspan(sizeof header));
  NetlinkAttribute a;
  while (walk.next(a)) {
    switch (a.type) {
      case NFULA_PREFIX:
        out.prefix = text_of(a.bytes);
        break;
      case NFULA_PAYLOAD:
        out.packet = a.bytes;
        break;
      case NFULA_CT:
        out.conntrack = a.bytes;
        break;
      case NFULA_SEQ:
        if (a.has(4)) out.sequence = read_be32(a.bytes.data());
        break;
      case NFULA_TIMESTAMP:
        if (a.has(16)) out.time_ns = time_of(a.bytes.data());
        break;
      default:
        break;
    }
  }
  return !out.packet.empty();
}

bool find_connection(const NflogMessage& message, packet::Decoder& decoder, model::ConntrackEvent& scratch,
                     NflogConnection& out) {
  packet::PacketView view;
  view.data = message.packet.data();
  view.captured_bytes = static_cast<std::uint32_t>(message.packet.size());
  // The message does not tell how long the packet was; its IP header does.
  view.wire_bytes = 0xFFFF'FFFF;
  view.time_ns = message.time_ns;
  view.link_type = kLinkTypeRaw;
  packet::DecodedPacket packet;
  if (decoder.decode_any(view, packet) != packet::DecodeStatus::kOk) return false;
  out.bytes = packet.ip_bytes;
  // An ICMP error has the entry of the connection that it is about, but is a packet of its own.
  if (!message.conntrack.empty() && parse_conntrack_attributes(message.conntrack, scratch) &&
      scratch.original.protocol == packet.tuple.protocol && !packet.icmp_error) {
    out.tuple = flow_tuple(scratch);
    out.original_dest = scratch.original.dest;
    out.original_dest_port = scratch.original.dest_port;
    return true;
  }
  out.tuple = packet.tuple;
  // Its ports are the request's; only its ends tell that it is the answer.
  if (packet.icmp_reply) std::swap(out.tuple.source, out.tuple.dest);
  out.original_dest = out.tuple.dest;
  out.original_dest_port = out.tuple.dest_port;
  return true;
}

}  // namespace weir::capture
