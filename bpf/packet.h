/* From a frame to what is metered, by the rules of src/packet (its outermost IP header).
 *
 * Two paths: parse_plain() for Ethernet, one IP header without options, extensions or fragments, TCP or UDP, in the
 * linear part of the buffer; parse_any() for all else, reading through bpf_skb_load_bytes() so that it does not matter
 * where the bytes lie. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_DCCP 33
#define PROTO_FRAGMENT 44
#define PROTO_AH 51
#define PROTO_ICMP6 58
#define PROTO_SCTP 132
#define PROTO_UDPLITE 136

#define MAX_TAGS 4
#define MAX_EXTENSIONS 8

struct packet {
  /* As sent; flipped for packets to the pod. */
  struct weir_flow_key key;
  __u32 ip_bytes;
  /* IP header with its extensions, and transport header: what each segment of a large packet has. */
  __u32 header_bytes;
  /* Of the transport header, from the frame's start. */
  __u32 l4_offset;
  /* Transport header and payload, as far as both the IP header and the frame go. */
  __u32 l4_bytes;
  __u32 payload_offset;
  __u32 payload_bytes;
  __u8 tcp_flags;
  __u8 tcp_header; /* flags can be trusted */
  __u8 icmp_reply;
  __u8 icmp_error; /* it says that the packet it quotes, behind 8 bytes, could not be delivered */
};

enum parsed { PARSED, NOT_IP, TRUNCATED, MALFORMED };

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct weir_counters);
} counters SEC(".maps");

static __always_inline struct weir_counters* count(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&counters, &zero);
}
#define COUNT(field)                           \
  do {                                         \
    struct weir_counters* counters_ = count(); \
    if (counters_ != NULL) ++counters_->field; \
  } while (0)

/* First fragments' ports. The oldest give way: then later fragments count under ports 0, and orphan_fragments. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4096);
  __type(key, struct weir_fragment_key);
  __type(value, struct weir_fragment);
} fragments SEC(".maps");

static __always_inline void put_v4(__u8* to, __u32 address) {
  *(__u64*)to = 0;
  *(__u32*)(to + 8) = bpf_htonl(0xFFFF);
  *(__u32*)(to + 12) = address;
}

static __always_inline void put_v6(__u8* to, const __u8* from) {
  for (int i = 0; i < 4; ++i) ((__u32*)to)[i] = ((const __u32*)from)[i];
}

/* The other end's view of the same packet. */
static __always_inline void flip(struct weir_flow_key* key) {
  for (int i = 0; i < 2; ++i) {
    const __u64 word = ((__u64*)key->pod)[i];
    ((__u64*)key->pod)[i] = ((__u64*)key->peer)[i];
    ((__u64*)key->peer)[i] = word;
  }
  if (key->protocol == PROTO_ICMP || key->protocol == PROTO_ICMP6) return;
  const __u16 port = key->pod_port;
  key->pod_port = key->peer_port;
  key->peer_port = port;
}

/* --- The plain path. */

static __always_inline bool plain_transport(const struct __sk_buff* skb, const __u8* l4, const void* end,
                                            __u32 l3_bytes, struct packet* p) {
  p->l4_offset = ETH_HLEN + l3_bytes;
  p->l4_bytes = p->ip_bytes - l3_bytes;
  if (p->key.protocol == PROTO_TCP) {
    if ((const void*)(l4 + 20) > end) return false;
    const __u32 header = (l4[12] >> 4) * 4;
    if (p->ip_bytes < l3_bytes + 20 || header < 20 || header > p->l4_bytes) return false;
    p->tcp_flags = l4[13];
    p->tcp_header = 1;
    p->header_bytes = l3_bytes + header;
    p->payload_offset = p->l4_offset + header;
    p->payload_bytes = p->l4_bytes - header;
  } else if (p->key.protocol == PROTO_UDP) {
    if ((const void*)(l4 + 8) > end || p->ip_bytes < l3_bytes + 8) return false;
    p->tcp_flags = 0;
    p->tcp_header = 0;
    p->header_bytes = l3_bytes + 8;
    p->payload_offset = p->l4_offset + 8;
    p->payload_bytes = p->l4_bytes - 8;
  } else {
    return false;
  }
  p->key.pod_port = bpf_ntohs(*(const __u16*)l4);
  p->key.peer_port = bpf_ntohs(*(const __u16*)(l4 + 2));
  p->key.ifindex = skb->ifindex;
  __builtin_memset(p->key.zero, 0, sizeof(p->key.zero));
  p->icmp_reply = p->icmp_error = 0;
  return true;
}

static __always_inline bool parse_plain(const struct __sk_buff* skb, struct packet* p) {
  const __u8* frame = (const __u8*)(long)skb->data;
  const void* end = (const void*)(long)skb->data_end;
  if ((const void*)(frame + ETH_HLEN + 20) > end) return false;
  const __u8* ip = frame + ETH_HLEN;
  const __u16 type = *(const __u16*)(frame + 12);
  if (type == bpf_htons(ETH_P_IP)) {
    p->ip_bytes = bpf_ntohs(*(const __u16*)(ip + 2));
    if (ip[0] != 0x45 || (*(const __u16*)(ip + 6) & bpf_htons(0x3FFF)) != 0) return false;
    if (p->ip_bytes < 20 || p->ip_bytes > skb->len - ETH_HLEN) return false;
    p->key.protocol = ip[9];
    put_v4(p->key.pod, *(const __u32*)(ip + 12));
    put_v4(p->key.peer, *(const __u32*)(ip + 16));
    return plain_transport(skb, ip + 20, end, 20, p);
  }
  if (type == bpf_htons(ETH_P_IPV6)) {
    if ((const void*)(ip + 40) > end || (ip[0] >> 4) != 6) return false;
    const __u32 payload = bpf_ntohs(*(const __u16*)(ip + 4));
    if (payload == 0) return false;
    p->ip_bytes = 40 + payload;
    if (p->ip_bytes > skb->len - ETH_HLEN) return false;
    p->key.protocol = ip[6];
    put_v6(p->key.pod, ip + 8);
    put_v6(p->key.peer, ip + 24);
    return plain_transport(skb, ip + 40, end, 40, p);
  }
  return false;
}

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
static __noinline void read_icmp(struct __sk_buff* skb, const struct cursor* at, struct packet* p) {
  __u8 head[6] = {};
  if (at->offset + 2 > at->end || !load(skb, at->offset, head, 2)) return;
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
}

static __noinline void read_transport(struct __sk_buff* skb, const struct cursor* at, struct packet* p) {
  p->l4_offset = at->offset;
  if (at->lost) return;
  switch (at->protocol) {
    case PROTO_ICMP:
    case PROTO_ICMP6:
      return read_icmp(skb, at, p);
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
    case PROTO_DCCP:
    case PROTO_UDPLITE:
      break;
    default:
      return;
  }
  __u8 head[20] = {};
  if (at->offset + 4 > at->end || !load(skb, at->offset, head, 4)) return;
  p->key.pod_port = bpf_ntohs(*(__u16*)head);
  p->key.peer_port = bpf_ntohs(*(__u16*)(head + 2));
  __u32 header = 0;
  if (at->protocol == PROTO_TCP) {
    if (at->offset + 20 > at->end || !load(skb, at->offset, head, 20)) return;
    header = (head[12] >> 4) * 4;
    if (header < 20 || header > p->l4_bytes) return;
    p->tcp_flags = head[13];
    p->tcp_header = 1;
  } else {
    header = at->protocol == PROTO_SCTP ? 12 : 8;
    if (header > p->l4_bytes) return;
  }
  p->header_bytes += header;
  p->payload_offset = at->offset + header;
  p->payload_bytes = p->l4_bytes - header;
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
