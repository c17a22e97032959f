#include "capture/internal/ctnetlink.h"

#include <linux/netfilter/nfnetlink_conntrack.h>

#include "capture/internal/netlink.h"

namespace weir::capture {
namespace {

using Bytes = std::span<const std::uint8_t>;

/// CTA_TIMESTAMP_EVENT, since Linux 6.14: when the event happened.
constexpr std::uint16_t kEventTime = 27;

/// True: both addresses are there.
bool parse_addresses(Bytes bytes, model::Tuple& tuple) {
  NetlinkAttributes walk(bytes);
  NetlinkAttribute a;
  int found = 0;
  while (walk.next(a)) {
    if (a.type == CTA_IP_V4_SRC && a.has(4)) {
      tuple.source = IpAddress::v4(a.bytes.data());
      found |= 1;
    } else if (a.type == CTA_IP_V4_DST && a.has(4)) {
      tuple.dest = IpAddress::v4(a.bytes.data());
      found |= 2;
    } else if (a.type == CTA_IP_V6_SRC && a.has(16)) {
      tuple.source = IpAddress::v6(a.bytes.data());
      found |= 1;
    } else if (a.type == CTA_IP_V6_DST && a.has(16)) {
      tuple.dest = IpAddress::v6(a.bytes.data());
      found |= 2;
    }
  }
  return found == 3;
}

/// True: the protocol is there. Ports of ICMP as model::Tuple says.
bool parse_protocol(Bytes bytes, model::Tuple& tuple) {
  NetlinkAttributes walk(bytes);
  NetlinkAttribute a;
  bool found = false;
  unsigned type = 0, code = 0;
  while (walk.next(a)) {
    if (!a.has(1)) continue;
    const std::uint8_t* p = a.bytes.data();
    switch (a.type) {
      case CTA_PROTO_NUM:
        tuple.protocol = p[0];
        found = true;
        break;
      case CTA_PROTO_SRC_PORT:
      case CTA_PROTO_ICMP_ID:
      case CTA_PROTO_ICMPV6_ID:
        if (a.has(2)) tuple.source_port = read_be16(p);
        break;
      case CTA_PROTO_DST_PORT:
        if (a.has(2)) tuple.dest_port = read_be16(p);
        break;
      case CTA_PROTO_ICMP_TYPE:
      case CTA_PROTO_ICMPV6_TYPE:
        type = p[0];
        break;
      case CTA_PROTO_ICMP_CODE:
      case CTA_PROTO_ICMPV6_CODE:
        code = p[0];
        break;
      default:
        break;
    }
  }
  if (tuple.protocol == model::kProtoIcmp || tuple.protocol == model::kProtoIcmp6) {
    tuple.dest_port = static_cast<std::uint16_t>(type << 8 | code);
  }
  return found;
}

/// `zone` stays as it is unless the tuple has one of its own, as it does where zones differ by direction.
bool parse_tuple(Bytes bytes, model::Tuple& tuple, std::uint16_t& zone) {
  NetlinkAttributes walk(bytes);
  NetlinkAttribute a;
  bool addresses = false, protocol = false;
  while (walk.next(a)) {
    if (a.type == CTA_TUPLE_IP) addresses = parse_addresses(a.bytes, tuple);
    if (a.type == CTA_TUPLE_PROTO) protocol = parse_protocol(a.bytes, tuple);
    if (a.type == CTA_TUPLE_ZONE && a.has(2)) zone = read_be16(a.bytes.data());
  }
  return addresses && protocol;
}

bool parse_counters(Bytes bytes, std::uint64_t& packets, std::uint64_t& octets) {
  NetlinkAttributes walk(bytes);
  NetlinkAttribute a;
  bool found = false;
  while (walk.next(a)) {
    if (a.type == CTA_COUNTERS_PACKETS && a.has(8)) {
      packets = read_be64(a.bytes.data());
      found = true;
    }
    if (a.type == CTA_COUNTERS_BYTES && a.has(8)) octets = read_be64(a.bytes.data());
  }
  return found;
}

void parse_times(Bytes bytes, model::ConntrackEvent& out) {
  NetlinkAttributes walk(bytes);
  NetlinkAttribute a;
  while (walk.next(a)) {
    if (!a.has(8)) continue;
    const auto time = static_cast<std::int64_t>(read_be64(a.bytes.data()));
    if (a.type == CTA_TIMESTAMP_START) out.start_ns = time;
    if (a.type == CTA_TIMESTAMP_STOP) out.stop_ns = time;
  }
}

std::uint8_t parse_tcp_state(Bytes bytes) {
  NetlinkAttributes walk(bytes);
  NetlinkAttribute a, inner;
  while (walk.next(a)) {
    if (a.type != CTA_PROTOINFO_TCP) continue;
    NetlinkAttributes tcp(a.bytes);
    while (tcp.next(inner)) {
      if (inner.type == CTA_PROTOINFO_TCP_STATE && inner.has(1)) return inner.bytes[0];
    }
  }
  return 0;
}

}  // namespace

bool parse_conntrack_attributes(Bytes attributes, model::ConntrackEvent& out) {
  const model::ConntrackEvent::Kind kind = out.kind;
  const std::int64_t time_ns = out.time_ns;
  out = {};
  out.kind = kind;
  out.time_ns = time_ns;
  bool original = false, reply = false;
  std::int64_t event_ns = 0;
  std::uint16_t reply_zone = 0;
  NetlinkAttributes walk(attributes);
  NetlinkAttribute a;
  while (walk.next(a)) {
    switch (a.type) {
      case CTA_TUPLE_ORIG:
        original = parse_tuple(a.bytes, out.original, out.zone);
        break;
      case CTA_TUPLE_REPLY:
        reply = parse_tuple(a.bytes, out.reply, reply_zone);
        break;
      case CTA_STATUS:
        if (a.has(4)) out.status = read_be32(a.bytes.data());
        break;
      case CTA_PROTOINFO:
        out.tcp_state = parse_tcp_state(a.bytes);
        break;
      case CTA_COUNTERS_ORIG:
        out.has_counters |= parse_counters(a.bytes, out.packets_original, out.bytes_original);
        break;
      case CTA_COUNTERS_REPLY:
        out.has_counters |= parse_counters(a.bytes, out.packets_reply, out.bytes_reply);
        break;
      case CTA_ID:
        if (a.has(4)) out.id = read_be32(a.bytes.data());
        break;
      case CTA_ZONE:
        if (a.has(2)) out.zone = read_be16(a.bytes.data());
        break;
      case CTA_TIMESTAMP:
        parse_times(a.bytes, out);
        break;
      case kEventTime:
        if (a.has(8)) event_ns = static_cast<std::int64_t>(read_be64(a.bytes.data()));
        break;
      default:
        break;
    }
  }
  // NEW events have no start time of their own.
  if (kind == model::ConntrackEvent::Kind::kNew && out.start_ns == 0) out.start_ns = event_ns;
  const bool icmp = out.original.protocol == model::kProtoIcmp || out.original.protocol == model::kProtoIcmp6;
  if (icmp) {
    // The answer has a type of its own; a tuple keeps the request's.
    out.reply.source_port = out.original.source_port;
    out.reply.dest_port = out.original.dest_port;
  }
  return original && reply;
}

}  // namespace weir::capture
