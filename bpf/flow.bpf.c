/* Counts what passes at a pod's interface, by connection, and sends frames with DNS messages and HTTP heads to the
 * agent. Attached to the node's half of each pod's veth pair: its ingress is what the pod sends.
 *
 * Connections are counted in two plain hash maps of which the agent drains one while the other is counted into.
 * - A hash, not an LRU: when it is full, a new connection's packets are counted as lost, exactly; an LRU would throw
 *   away counted ones without a word, and is no faster.
 * - Not per CPU: one cache miss less for a packet, and a connection's packets mostly stay on one CPU anyway.
 * - Two halves: an entry that is deleted while a program on another CPU holds a pointer to it loses what that program
 *   adds, or, when it is used again at once, gives it to another connection. The agent turns the switch, waits until no
 *   program runs that saw the old position, and then has the half for itself: the counts are exact. */
#include "packet.h"
#include "parse_any.h"

char LICENSE[] SEC("license") = "Apache-2.0";

const volatile struct weir_settings settings = {.http_bytes = 1024, .dns = 1, .wake_bytes = 1 << 20};

struct flow_map {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, struct weir_flow_key);
  __type(value, struct weir_flow);
};
struct flow_map flows_a SEC(".maps");
struct flow_map flows_b SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct weir_control);
} control SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4 << 20);
} packets SEC(".maps");

static __always_inline bool first_half(void) {
  __u32 zero = 0;
  const volatile struct weir_control* c = bpf_map_lookup_elem(&control, &zero);
  return c == NULL || c->half == 0;
}

/* --- Frames for the agent. */

static __always_inline bool fill(struct __sk_buff* skb, struct weir_packet* to, __u32 bytes, int side, int kind) {
  to->time_ns = bpf_ktime_get_ns();
  to->ifindex = skb->ifindex;
  to->wire_bytes = skb->len;
  to->captured_bytes = bytes;
  to->side = side;
  to->kind = kind;
  to->zero = 0;
  return bpf_skb_load_bytes(skb, 0, to->bytes, bytes) == 0;
}

/* The room reserved must be a constant: the smallest of a few that fits. */
#define SEND(room)                                                                                  \
  if (bytes <= (room)) {                                                                            \
    struct weir_packet* to = bpf_ringbuf_reserve(&packets, sizeof(struct weir_packet) + (room), 0); \
    if (to == NULL) break;                                                                          \
    if (!fill(skb, to, bytes, side, kind)) {                                                        \
      bpf_ringbuf_discard(to, BPF_RB_NO_WAKEUP);                                                    \
      break;                                                                                        \
    }                                                                                               \
    bpf_ringbuf_submit(to, wake);                                                                   \
    COUNT(sent[kind & 1]);                                                                          \
    return 0;                                                                                       \
  }

__noinline int send(struct __sk_buff* skb, __u32 limit, int side, int kind) {
  __u32 bytes = skb->len;
  if (bytes > limit) bytes = limit;
  do {
    if (bytes < ETH_HLEN || bytes > WEIR_MAX_PACKET_BYTES) break;
    /* A wake-up costs more than many frames: the agent comes by itself, unless the ring fills. */
    const bool full = bpf_ringbuf_query(&packets, BPF_RB_AVAIL_DATA) >= settings.wake_bytes;
    const __u64 wake = full ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
    SEND(128)
    SEND(384)
    SEND(WEIR_MAX_HTTP_BYTES)
    SEND(WEIR_MAX_PACKET_BYTES)
  } while (0);
  COUNT(dropped[kind & 1]);
  return -1;
}

/* HTTP/1.x: a request line with a common method, or a status line. */
static __always_inline bool is_http(const __u8* at) {
  const __u32 first = *(const __u32*)at, next = *(const __u32*)(at + 4);
#define WORD(a, b, c, d) bpf_htonl((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))
  switch (first) {
    case WORD('G', 'E', 'T', ' '):
    case WORD('P', 'U', 'T', ' '):
      return true;
    case WORD('H', 'T', 'T', 'P'):
      return (next & WORD(255, 255, 255, 0)) == WORD('/', '1', '.', 0);
    case WORD('P', 'O', 'S', 'T'):
    case WORD('H', 'E', 'A', 'D'):
      return (next & WORD(255, 0, 0, 0)) == WORD(' ', 0, 0, 0);
    case WORD('D', 'E', 'L', 'E'):
      return (next & WORD(255, 255, 255, 0)) == WORD('T', 'E', ' ', 0);
    case WORD('P', 'A', 'T', 'C'):
      return (next & WORD(255, 255, 0, 0)) == WORD('H', ' ', 0, 0);
    case WORD('O', 'P', 'T', 'I'):
      return next == WORD('O', 'N', 'S', ' ');
    case WORD('C', 'O', 'N', 'N'):
      return next == WORD('E', 'C', 'T', ' ');
    case WORD('T', 'R', 'A', 'C'):
      return (next & WORD(255, 255, 0, 0)) == WORD('E', ' ', 0, 0);
    default:
      return false;
  }
#undef WORD
}

/* Heads begin where a segment begins. A connection whose first payloads are none is not looked at until it is drained:
 * what is not HTTP costs a few looks a second. */
#define MAX_PROBES 8

static __always_inline void look_for_http(struct __sk_buff* skb, struct weir_flow* flow, const struct packet* p,
                                          int side) {
  if (settings.http_bytes == 0 || p->payload_bytes < 8) return;
  const bool found_before = (flow->marks & WEIR_MARK_HTTP) != 0;
  if (!found_before && flow->probes >= MAX_PROBES) return;
  __u8 start[8];
  if (bpf_skb_load_bytes(skb, p->payload_offset, start, sizeof(start)) != 0) return;
  if (!is_http(start)) {
    if (!found_before) ++flow->probes;
    return;
  }
  if (!found_before) __sync_fetch_and_or(&flow->marks, WEIR_MARK_HTTP);
  send(skb, settings.http_bytes, side, WEIR_HTTP);
}

static __always_inline void look_for_dns(struct __sk_buff* skb, const struct packet* p, int side) {
  if (!settings.dns || (p->key.pod_port != 53 && p->key.peer_port != 53)) return;
  const bool udp = p->key.protocol == PROTO_UDP;
  /* Of TCP, SYNs too: they say where the stream begins. */
  if (!udp && (p->key.protocol != PROTO_TCP || (p->payload_bytes == 0 && (p->tcp_flags & TCP_SYN) == 0))) return;
  send(skb, WEIR_MAX_PACKET_BYTES, side, WEIR_DNS);
}

/* --- Connections. */

/* Of both sides. */
#define BOTH(flags) ((__u32)(flags) << WEIR_FLAGS_SHIFT(0) | (__u32)(flags) << WEIR_FLAGS_SHIFT(1))
#define HANDSHAKES BOTH(TCP_SYN | TCP_RST)
#define ACKS BOTH(TCP_ACK)

static __always_inline __u32 marks_of(const struct packet* p, int side) {
  if (!p->tcp_header) return 0;
  __u32 flags = p->tcp_flags & (TCP_SYN | TCP_RST);
  if (flags == 0) flags = p->tcp_flags & (TCP_FIN | TCP_ACK);
  __u32 marks = flags << WEIR_FLAGS_SHIFT(side);
  if ((p->tcp_flags & (TCP_SYN | TCP_RST)) == TCP_SYN)
    marks |= (p->tcp_flags & TCP_ACK) != 0 ? WEIR_MARK_SYN_ACK(side) : WEIR_MARK_SYN(side);
  return marks;
}

/* The maximum segment size option between `at` and `end` of a SYN, 0 if there is none. Not static: it is verified once,
 * by itself. */
__noinline int segment_size_option(struct __sk_buff* skb, __u32 at, __u32 end) {
  for (int i = 0; i < 12; ++i) {
    __u8 option[4];
    if (at + 2 > end || !load(skb, at, option, 2) || option[0] == 0) return 0;
    if (option[0] == 1) {
      ++at;
      continue;
    }
    if (option[1] < 2 || at + option[1] > end) return 0;
    if (option[0] == 2 && option[1] == 4) return load(skb, at, option, 4) ? bpf_ntohs(*(__u16*)(option + 2)) : 0;
    at += option[1];
  }
  return 0;
}

/* SYN, SYN-ACK, RST: a few packets of a connection. `fresh`: the entry was made for this packet. */
static __noinline int on_handshake(struct __sk_buff* skb, struct weir_flow* flow, const struct packet* p, bool fresh) {
  const __u8 kind = p->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK);
  if ((kind & TCP_RST) != 0) {
    __sync_fetch_and_add(&flow->resets, 1);
    return 0;
  }
  /* Never 0, which stands for none. */
  const __u32 now = (__u32)bpf_ktime_get_ns() | 1;
  __u32* time = (kind & TCP_ACK) != 0 ? &flow->syn_ack_ns : &flow->syn_ns;
  if (*time != 0) __sync_fetch_and_or(&flow->marks, WEIR_MARK_SYN_TWICE);
  *time = now;
  const bool over = (flow->marks & BOTH(TCP_FIN)) == BOTH(TCP_FIN) || (flow->marks & BOTH(TCP_RST)) != 0;
  /* From here on the flags are the second connection's. */
  if (!fresh && (kind & TCP_ACK) == 0 && over) flow->marks = (flow->marks & ~WEIR_MARKS_TCP) | WEIR_MARK_REOPENED;
  const __u16 mss = segment_size_option(skb, p->l4_offset + 20, p->payload_offset);
  if (mss != 0 && (flow->mss == 0 || mss < flow->mss)) flow->mss = mss;
  return 0;
}

/* The ACK that completes the handshake: SYN to SYN-ACK is one half of the round trip, SYN-ACK to ACK the other. */
static __noinline int on_first_ack(struct weir_flow* flow) {
  const __u32 now = (__u32)bpf_ktime_get_ns();
  flow->rtt_ns = (flow->marks & WEIR_MARK_SYN_TWICE) != 0 ? 0 : now - flow->syn_ns;
  flow->syn_ack_ns = 0;
  return 0;
}

static __always_inline struct weir_flow* find(bool first, const struct weir_flow_key* key) {
  return first ? bpf_map_lookup_elem(&flows_a, key) : bpf_map_lookup_elem(&flows_b, key);
}

/* Makes the key's entry, or finds one that another CPU has made. `one`: what it starts with. */
static __always_inline struct weir_flow* insert(bool first, const struct weir_flow_key* key,
                                                const struct weir_flow* one, __u64 packets, __u64 bytes) {
  const long error = first ? bpf_map_update_elem(&flows_a, key, one, BPF_NOEXIST)
                           : bpf_map_update_elem(&flows_b, key, one, BPF_NOEXIST);
  struct weir_flow* flow = find(first, key);
  struct weir_counters* c = count();
  if (c == NULL) return NULL;
  if (error == 0) ++c->flows;
  if (flow == NULL) {
    const int reason = error == -7 /* E2BIG */ ? WEIR_LOST_FULL : WEIR_LOST_BUSY;
    c->lost_packets[reason] += packets;
    c->lost_bytes[reason] += bytes;
  }
  return flow;
}

/* An ICMP error of `l4_bytes` at `l4` quotes the packet that could not be delivered; `side` is the error's own. The
 * packet came from the error's receiver. */
__noinline int on_unreachable(struct __sk_buff* skb, __u32 l4, __u32 l4_bytes, int v6, int side) {
  struct cursor at = {};
  struct packet quoted = {};
  const __u32 l3 = l4 + 8;
  __u8 version = 0;
  if (!load(skb, l3, &version, 1)) return 0;
  const bool quoted_v6 = (version >> 4) == 6;
  if (!quoted_v6 && (v6 || (version >> 4) != 4)) return 0;
  if ((quoted_v6 ? parse_v6(skb, l3, &quoted, &at) : parse_v4(skb, l3, &quoted, &at)) != PARSED) return 0;
  at.end = l3 + quoted.ip_bytes < l4 + l4_bytes ? l3 + quoted.ip_bytes : l4 + l4_bytes;
  if (at.fragment_offset != 0 || at.offset > at.end) return 0;
  skip_extensions(skb, &at, quoted_v6);
  quoted.key.protocol = at.protocol;
  quoted.key.ifindex = skb->ifindex;
  quoted.l4_bytes = at.end > at.offset ? at.end - at.offset : 0;
  if (!read_transport(skb, &at, &quoted)) return 0;
  if (side == WEIR_OUT) flip(&quoted.key);
  const bool first = first_half();
  struct weir_flow* flow = find(first, &quoted.key);
  if (flow == NULL) {
    /* The packet was drained before its answer came: the mark travels alone. */
    struct weir_flow mark = {};
    mark.first_ns = mark.newest_ns = bpf_ktime_get_ns();
    flow = insert(first, &quoted.key, &mark, 0, 0);
  }
  if (flow != NULL) __sync_fetch_and_or(&flow->marks, WEIR_MARK_UNREACHABLE);
  return 0;
}

static __always_inline int not_metered(enum parsed why) {
  switch (why) {
    case NOT_IP:
      COUNT(not_ip);
      break;
    case TRUNCATED:
      COUNT(truncated);
      break;
    default:
      COUNT(malformed);
  }
  return -1;
}

/* What a packet of segmentation offload will be on the wire. */
static __always_inline __u32 segments(const struct __sk_buff* skb, const struct packet* p) {
  if (skb->gso_size == 0) return 1;
  if (skb->gso_segs != 0) return skb->gso_segs;
  const __u32 size = skb->gso_size;
  return size == 0xFFFF || p->payload_bytes == 0 ? 1 : (p->payload_bytes + size - 1) / size;
}

/* -1 (TCX_NEXT, TC_ACT_UNSPEC): whoever comes after us decides. */
static __always_inline int meter(struct __sk_buff* skb, int side) {
  struct packet p;
  if (!parse_plain(skb, &p)) {
    __builtin_memset(&p, 0, sizeof(p));
    const int parsed = parse_any(skb, &p);
    if (parsed != PARSED) return not_metered(parsed);
  }
  if (side == WEIR_IN) flip(&p.key);
  const __u32 packets = segments(skb, &p);
  const __u64 bytes = p.ip_bytes + (__u64)(packets - 1) * p.header_bytes;
  const __u32 marks = marks_of(&p, side);

  const bool first = first_half();
  struct weir_flow* flow = find(first, &p.key);
  const bool fresh = flow == NULL;
  if (fresh) {
    struct weir_flow one = {};
    one.first_ns = one.newest_ns = bpf_ktime_get_ns();
    one.first_flags = p.tcp_flags;
    one.marks = (side == WEIR_OUT ? WEIR_MARK_FIRST_OUT : 0) | (p.icmp_reply ? WEIR_MARK_FIRST_REPLY : 0);
    flow = insert(first, &p.key, &one, packets, bytes);
    if (flow == NULL) return -1;
  } else {
    const __u64 now = bpf_ktime_get_coarse_ns();
    if (now > flow->newest_ns) flow->newest_ns = now;
  }
  __sync_fetch_and_add(&flow->packets[side], packets);
  __sync_fetch_and_add(&flow->bytes[side], bytes);
  if ((marks & HANDSHAKES) != 0) on_handshake(skb, flow, &p, fresh);
  if ((flow->marks & marks) != marks) __sync_fetch_and_or(&flow->marks, marks);
  if (flow->syn_ack_ns != 0 && flow->rtt_ns == 0 && (marks & ACKS) != 0 && (flow->marks & WEIR_MARK_SYN(side)) != 0)
    on_first_ack(flow);

  if (p.icmp_error) on_unreachable(skb, p.l4_offset, p.l4_bytes, p.key.protocol == PROTO_ICMP6, side);
  if (p.payload_bytes != 0 && p.key.protocol == PROTO_TCP) look_for_http(skb, flow, &p, side);
  look_for_dns(skb, &p, side);
  return -1;
}

SEC("tc")
int weir_from_pod(struct __sk_buff* skb) { return meter(skb, WEIR_OUT); }

SEC("tc")
int weir_to_pod(struct __sk_buff* skb) { return meter(skb, WEIR_IN); }
