/* The general path of packet.h: VLAN tags, options, extension headers, fragments, ICMP, and bytes that lie in several
 * pieces. */
#pragma once

#include "packet.h"

/* --- The general path. `end` is where the packet's bytes end: by the IP header, or earlier where the frame ends. */

struct cursor {
  __u32 offset;
  __u32 end;
  __u32 fragment_id;
  __u16 fragment_offset;
  __u8 fragment; /* it is one */
  __u8 fragment_protocol;
  __u8 protocol;
  __u8 lost; /* a header was cut off: what follows cannot be read */
};

static __always_inline bool load(struct __sk_buff* skb, __u32 offset, void* to, __u32 size) {
  return bpf_skb_load_bytes(skb, offset, to, size) == 0;
}

/* Steps over IPv6 extension headers, and over AH in either version. */
static __noinline void skip_extensions(struct __sk_buff* skb, struct cursor* at, bool v6) {
  for (int i = 0; i < MAX_EXTENSIONS; ++i) {
    const __u8 protocol = at->protocol;
    const bool options = v6 && (protocol == 0 || protocol == 43 || protocol == 60);
    const bool fragment = v6 && protocol == PROTO_FRAGMENT;
    if (protocol != PROTO_AH && !options && !fragment) return;
    __u8 head[8];
    if (at->offset + 8 > at->end || !load(skb, at->offset, head, sizeof(head))) break;
    at->protocol = head[0];
    if (fragment) {
      const __u16 place = bpf_ntohs(*(__u16*)(head + 2));
      at->fragment_offset = place & 0xFFF8;
      at->fragment = place != 0 && (place & 0xFFF9) != 0;
      at->fragment_id = *(__u32*)(head + 4);
      at->fragment_protocol = head[0];
      at->offset += 8;
      if (at->fragment_offset != 0) return;
      continue;
    }
    const __u32 bytes = protocol == PROTO_AH ? (head[1] + 2) * 4 : (head[1] + 1) * 8;
    if (at->offset + bytes > at->end) break;
    at->offset += bytes;
  }
  at->lost = 1;
}

/* RFC 792, RFC 4443. Both directions of a question have the ports of the question. */
static __noinline int read_icmp(struct __sk_buff* skb, const struct cursor* at, struct packet* p) {
  __u8 head[6] = {};
  if (at->offset + 2 > at->end || !load(skb, at->offset, head, 2)) return 0;
  const bool has_id = at->offset + 6 <= at->end && load(skb, at->offset, head, 6);
  const bool v6 = at->protocol == PROTO_ICMP6;
  __u8 type = head[0];
  bool asks = false;
  if (v6) {
    p->icmp_reply = type == 129;
    asks = type == 128 || type == 129;
    if (type == 129) type = 128;
    p->icmp_error = type == 1;
  } else {
    p->icmp_reply = type == 0 || type == 14 || type == 16 || type == 18;
    asks = p->icmp_reply || type == 8 || type == 13 || type == 15 || type == 17;
    if (p->icmp_reply) type = type == 0 ? 8 : type - 1;
    p->icmp_error = type == 3 && head[1] != 4;
  }
  if (at->offset + 8 > at->end) p->icmp_reply = p->icmp_error = 0;
  p->key.peer_port = (__u16)(type << 8 | head[1]);
  p->key.pod_port = asks && has_id ? bpf_ntohs(*(__u16*)(head + 4)) : 0;
  return 1;
}

/* 0: the transport has ports, and they could not be read; they are 0 then. */
static __noinline int read_transport(struct __sk_buff* skb, const struct cursor* at, struct packet* p) {
  p->l4_offset = at->offset;
  switch (at->protocol) {
    case PROTO_ICMP:
    case PROTO_ICMP6:
      return at->lost ? 0 : read_icmp(skb, at, p);
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
    case PROTO_DCCP:
    case PROTO_UDPLITE:
      break;
    default:
      return 1;
  }
  __u8 head[20] = {};
  if (at->lost || at->offset + 4 > at->end || !load(skb, at->offset, head, 4)) return 0;
  p->key.pod_port = bpf_ntohs(*(__u16*)head);
  p->key.peer_port = bpf_ntohs(*(__u16*)(head + 2));
  __u32 header = 0;
  if (at->protocol == PROTO_TCP) {
    if (at->offset + 20 > at->end || !load(skb, at->offset, head, 20)) return 1;
    header = (head[12] >> 4) * 4;
    if (header < 20 || header > p->l4_bytes) return 1;
    p->tcp_flags = head[13];
    p->tcp_header = 1;
  } else {
    header = at->protocol == PROTO_SCTP ? 12 : 8;
    if (header > p->l4_bytes) return 1;
  }
  p->header_bytes += header;
  p->payload_offset = at->offset + header;
  p->payload_bytes = p->l4_bytes - header;
  return 1;
}

/* Later fragments belong to the connection of their first. */
static __noinline void assign_fragment(const struct cursor* at, struct packet* p) {
  struct weir_fragment_key key = {};
  put_v6(key.source, p->key.pod);
  put_v6(key.dest, p->key.peer);
  key.id = at->fragment_id;
  key.ifindex = p->key.ifindex;
  key.protocol = at->fragment_protocol;
  if (at->fragment_offset == 0) {
    struct weir_fragment first = {};
    first.time_ns = bpf_ktime_get_ns();
    first.source_port = p->key.pod_port;
    first.dest_port = p->key.peer_port;
    first.protocol = p->key.protocol;
    bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
    return;
  }
  const struct weir_fragment* first = bpf_map_lookup_elem(&fragments, &key);
  /* The reassembly limit of RFC 8200 4.5: an id may come again after it. */
  if (first == NULL || bpf_ktime_get_ns() - first->time_ns > 60000000000ULL) {
    COUNT(orphan_fragments);
    return;
  }
  p->key.pod_port = first->source_port;
  p->key.peer_port = first->dest_port;
  p->key.protocol = first->protocol;
}

static __always_inline enum parsed parse_v4(struct __sk_buff* skb, __u32 l3, struct packet* p, struct cursor* at) {
  __u8 ip[20];
  if (l3 + sizeof(ip) > skb->len || !load(skb, l3, ip, sizeof(ip))) return TRUNCATED;
  const __u32 header = (ip[0] & 15) * 4, total = bpf_ntohs(*(__u16*)(ip + 2));
  if (header < 20 || (total != 0 && total < header)) return MALFORMED;
  /* 0: longer than the field can say (BIG TCP). */
  p->ip_bytes = total != 0 ? total : skb->len - l3;
  put_v4(p->key.pod, *(__u32*)(ip + 12));
  put_v4(p->key.peer, *(__u32*)(ip + 16));
  at->protocol = at->fragment_protocol = ip[9];
  const __u16 place = bpf_ntohs(*(__u16*)(ip + 6));
  at->fragment = (place & 0x3FFF) != 0;
  at->fragment_offset = (place & 0x1FFF) * 8;
  at->fragment_id = *(__u16*)(ip + 4);
  at->offset = l3 + header;
  return PARSED;
}

static __always_inline enum parsed parse_v6(struct __sk_buff* skb, __u32 l3, struct packet* p, struct cursor* at) {
  __u8 ip[40];
  if (l3 + 1 > skb->len || !load(skb, l3, ip, 1)) return TRUNCATED;
  if ((ip[0] >> 4) != 6) return MALFORMED;
  if (l3 + sizeof(ip) > skb->len || !load(skb, l3, ip, sizeof(ip))) return TRUNCATED;
  const __u32 payload = bpf_ntohs(*(__u16*)(ip + 4));
  p->ip_bytes = payload != 0 ? 40 + payload : skb->len - l3;
  put_v6(p->key.pod, ip + 8);
  put_v6(p->key.peer, ip + 24);
  at->protocol = at->fragment_protocol = ip[6];
  at->offset = l3 + 40;
  return PARSED;
}

/* `p` is all zero. Not static: it is verified once, by itself. */
__noinline int parse_any(struct __sk_buff* skb, struct packet* p) {
  if (p == NULL) return TRUNCATED;
  p->key.ifindex = skb->ifindex;
  __u32 l3 = ETH_HLEN;
  __u16 type = 0;
  if (!load(skb, 12, &type, 2)) return TRUNCATED;
  for (int i = 0; i < MAX_TAGS; ++i) {
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD) && type != bpf_htons(0x9100)) break;
    if (!load(skb, l3 + 2, &type, 2)) return TRUNCATED;
    l3 += 4;
  }
  if (type != bpf_htons(ETH_P_IP) && type != bpf_htons(ETH_P_IPV6)) return NOT_IP;
  __u8 version = 0;
  if (!load(skb, l3, &version, 1)) return TRUNCATED;
  version >>= 4;
  /* What is announced as IPv4 may be IP of either version, what is announced as IPv6 must be that. */
  const bool v6 = version == 6;
  if (!v6 && (version != 4 || type == bpf_htons(ETH_P_IPV6))) return MALFORMED;
  struct cursor at = {};
  const enum parsed parsed = v6 ? parse_v6(skb, l3, p, &at) : parse_v4(skb, l3, p, &at);
  if (parsed != PARSED) return parsed;
  at.end = l3 + p->ip_bytes < skb->len ? l3 + p->ip_bytes : skb->len;
  if (at.offset > at.end) at.lost = 1;
  if (at.fragment_offset == 0 && !at.lost) skip_extensions(skb, &at, v6);
  p->key.protocol = at.protocol;
  p->header_bytes = at.offset - l3;
  p->l4_bytes = at.end > at.offset ? at.end - at.offset : 0;
  if (at.fragment_offset == 0) {
    read_transport(skb, &at, p);
  } else {
    p->l4_offset = p->payload_offset = at.offset;
    p->payload_bytes = p->l4_bytes;
  }
  if (at.fragment) assign_fragment(&at, p);
  return PARSED;
}
