// The general path of the decoder: a walk from layer to layer, each header read once, none trusted.

#include "packet/decoder.h"

#include <utility>

#include "packet/internal/ip_header.h"
#include "packet/internal/layer.h"

namespace weir::packet {
namespace {

constexpr std::uint8_t kIpv6InIp = 41, kGre = 47, kEtherIp = 97, kMplsInIp = 137, kEthernetInIp = 143;

/// What an IP header announces as its payload: another IP header, or a header that leads to one.
Layer ip_tunnel(const IpHeader& ip) {
  const Layer& l = ip.payload;
  switch (ip.protocol) {
    case model::kProtoIpip:
      return l.after(0, LayerKind::kIpv4);
    case kIpv6InIp:
      return l.after(0, LayerKind::kIpv6);
    case kGre:
      return l.after(0, LayerKind::kGre);
    case kEtherIp:
      return l.captured < 2 ? Layer{} : l.after(2, LayerKind::kEthernet);
    case kMplsInIp:
      return l.after(0, LayerKind::kMpls);
    case kEthernetInIp:
      return l.after(0, LayerKind::kEthernet);
    default:
      return {};
  }
}

void set_payload(const Layer& payload, DecodedPacket& out) {
  out.payload = payload.data;
  out.payload_captured = payload.captured;
  out.payload_bytes = payload.wire;
}

/// False if the header is cut off or cannot be one.
bool read_tcp(const Layer& l, DecodedPacket& out) {
  if (l.captured < 20) return false;
  const std::uint32_t header = (l.data[12] >> 4) * 4u;
  if (header < 20 || header > l.wire) return false;
  out.tcp_flags = l.data[13];
  out.tcp_seq = load_be32(l.data + 4);
  out.tcp_ack = load_be32(l.data + 8);
  out.tcp_window = load_be16(l.data + 14);
  if (header > l.captured) {
    out.payload_bytes = l.wire - header;
    return false;
  }
  out.tcp_valid = true;
  if ((out.tcp_flags & kTcpSyn) != 0) out.tcp_mss = maximum_segment_size(l.data + 20, header - 20);
  set_payload(l.after(header, LayerKind::kNone), out);
  return true;
}

bool read_udp(const Layer& l, DecodedPacket& out) {
  if (l.captured < 8) return false;
  const std::uint32_t length = load_be16(l.data + 4);
  // 0: a jumbogram (RFC 2675), or captured before segmentation offload.
  if (length != 0 && length < 8) return false;
  Layer payload = l.after(8, LayerKind::kNone);
  if (length != 0) payload.trim(length - 8);
  set_payload(payload, out);
  return true;
}

/// RFC 792, RFC 4443: a reply answers a request; an error quotes the packet that it is about.
void read_icmp(const Layer& l, bool v6, DecodedPacket& out) {
  if (l.captured < 8) return;
  const std::uint8_t type = l.data[0], code = l.data[1];
  out.icmp_reply = v6 ? type == 129 : type == 0 || type == 14 || type == 16 || type == 18;
  const bool error = v6 ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
  IpHeader quoted;
  if (!error || read_ip_header(l.after(8, v6 ? LayerKind::kIpv6 : LayerKind::kIpv4), quoted) != DecodeStatus::kOk)
    return;
  out.icmp_error = read_tuple(quoted, out.quoted);
  out.icmp_unreachable = out.icmp_error && (v6 ? type == 1 : type == 3 && code != 4);
}

}  // namespace

std::uint16_t maximum_segment_size(const std::uint8_t* options, std::uint32_t size) {
  constexpr std::uint8_t kEnd = 0, kNoOperation = 1, kMss = 2;
  for (std::uint32_t at = 0; at < size;) {
    if (options[at] == kEnd) break;
    if (options[at] == kNoOperation) {
      ++at;
      continue;
    }
    if (at + 2 > size || options[at + 1] < 2 || at + options[at + 1] > size) break;
    if (options[at] == kMss && options[at + 1] == 4) return load_be16(options + at + 2);
    at += options[at + 1];
  }
  return 0;
}

const char* to_string(DecodeStatus status) {
  switch (status) {
    case DecodeStatus::kOk:
      return "ok";
    case DecodeStatus::kNotIp:
      return "not_ip";
    case DecodeStatus::kUnknownLinkType:
      return "unknown_link_type";
    case DecodeStatus::kTruncated:
      return "truncated";
    case DecodeStatus::kMalformed:
      return "malformed";
    case DecodeStatus::kTunnelFragment:
      return "tunnel_fragment";
  }
  return "";
}

Decoder::Decoder(Options options) : options_(std::move(options)) {
  if (options_.vxlan_ports.size() > kMaxVxlanPorts) options_.vxlan_ports.resize(kMaxVxlanPorts);
  if (options_.outer) return;
  tunnel_ports_ = {4789, 4790, 6081, 2152, 3544, 6635};
  std::copy(options_.vxlan_ports.begin(), options_.vxlan_ports.end(), tunnel_ports_.end() - kMaxVxlanPorts);
}

/// Fragments of one datagram belong to one connection.
void Decoder::assign_fragment(const IpHeader& ip, std::int64_t time_ns, DecodedPacket& out, Notes& notes) {
  out.fragment = true;
  out.later_fragment = ip.later_fragment();
  out.more_fragments = ip.more_fragments;
  out.fragment_offset = ip.fragment_offset;
  out.fragment_id = ip.fragment_id;
  const FragmentKey key = ip.fragment_key();
  if (!out.later_fragment) {
    fragments_.remember(key, {out.tuple.source_port, out.tuple.dest_port, out.tuple.protocol, false}, time_ns);
    return;
  }
  const FragmentPorts* first = fragments_.find(key, time_ns);
  notes.orphan = first == nullptr;
  if (first == nullptr) return;
  notes.in_tunnel = first->tunnel;
  out.tuple.source_port = first->source_port;
  out.tuple.dest_port = first->dest_port;
  out.tuple.protocol = first->protocol;
}

/// Fills `out` from one IP header and what follows it; the layer inside if it is a tunnel.
Layer Decoder::meter(const IpHeader& ip, const PacketView& view, DecodedPacket& out, Notes& notes) {
  out = {};
  notes = {};
  out.time_ns = view.time_ns;
  out.zone = view.zone;
  out.from_pod = view.from_pod;
  out.ip_bytes = ip.ip_bytes;
  notes.unreadable = !read_tuple(ip, out.tuple);
  if (ip.fragment) assign_fragment(ip, view.time_ns, out, notes);
  if (out.later_fragment) {
    set_payload(ip.payload, out);
    return {};
  }
  switch (ip.protocol) {
    case model::kProtoTcp:
      notes.unreadable |= !read_tcp(ip.payload, out);
      return {};
    case model::kProtoUdp:
      notes.unreadable |= !read_udp(ip.payload, out);
      if (out.payload == nullptr) return {};
      return udp_tunnel({LayerKind::kNone, 0, out.payload, out.payload_captured, out.payload_bytes},
                        out.tuple.source_port, out.tuple.dest_port, options_.vxlan_ports);
    case model::kProtoIcmp:
    case model::kProtoIcmp6:
      read_icmp(ip.payload, ip.protocol == model::kProtoIcmp6, out);
      return {};
    default:
      return ip_tunnel(ip);
  }
}

DecodeStatus Decoder::decode_any(const PacketView& view, DecodedPacket& out) {
  Layer layer = first_layer(view);
  DecodeStatus status = knows_link_type(view.link_type) ? DecodeStatus::kNotIp : DecodeStatus::kUnknownLinkType;
  Notes notes;
  IpHeader ip;
  int ip_headers = 0;
  for (int i = 0; i < kMaxLayers && layer.kind != LayerKind::kNone; ++i) {
    if (!is_ip(layer.kind)) {
      if (layer.kind == LayerKind::kTruncated && ip_headers == 0) status = DecodeStatus::kTruncated;
      layer = next_layer(layer);
      continue;
    }
    IpHeader inner;
    const DecodeStatus read = read_ip_header(layer, inner);
    // What a tunnel carries and is no IP leaves the header before it to be metered.
    if (read != DecodeStatus::kOk && ip_headers > 0) break;
    status = read;
    if (read != DecodeStatus::kOk) break;
    if (ip_headers > 0 && ip.fragment) {
      fragments_.remember(ip.fragment_key(), {0, 0, ip.protocol, true}, view.time_ns);
    }
    ip = inner;
    ++ip_headers;
    layer = meter(ip, view, out, notes);
    if (options_.outer) break;
  }
  if (notes.in_tunnel) status = DecodeStatus::kTunnelFragment;
  ++stats_.frames[static_cast<std::size_t>(status)];
  if (status != DecodeStatus::kOk) return status;
  stats_.tunnelled += ip_headers > 1;
  stats_.later_fragments += out.later_fragment;
  stats_.orphan_fragments += notes.orphan;
  stats_.transport_unreadable += notes.unreadable;
  return status;
}

}  // namespace weir::packet
