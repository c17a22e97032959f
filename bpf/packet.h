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
