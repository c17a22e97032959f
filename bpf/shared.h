/* What the kernel programs and the agent both know: keys, values and records as they lie in maps and rings. */
#pragma once

#include <linux/types.h>

/* Changes with every change of a structure below, or of a map's definition: pins of another layout are not taken over.
 */
#define WEIR_BPF_LAYOUT 1

enum weir_side {
  WEIR_OUT = 0, /* the pod sent it */
  WEIR_IN = 1,  /* it goes to the pod */
};

/* One connection as a pod's interface sees it: the pod's end first, whoever opened. */
struct weir_flow_key {
  /* Network order, IPv4 as ::ffff:a.b.c.d. */
  __u8 pod[16];
  __u8 peer[16];
  /* Host order. ICMP: identifier, and type << 8 | code of the request, in these places for both directions. */
  __u16 pod_port;
  __u16 peer_port;
  /* The node's half of the pod's veth pair. */
  __u32 ifindex;
  __u8 protocol;
  __u8 zero[3];
};

/* weir_flow.marks: TCP flags seen by side (FIN and ACK only of segments without SYN and RST), then single bits. */
#define WEIR_FLAGS_SHIFT(side) ((side)*8)
#define WEIR_MARK_SYN(side) (1u << (16 + (side)))     /* a SYN without ACK */
#define WEIR_MARK_SYN_ACK(side) (1u << (18 + (side))) /* a SYN with ACK */
#define WEIR_MARKS_TCP 0x000FFFFFu
#define WEIR_MARK_FIRST_OUT (1u << 20)   /* the pod sent the first packet */
#define WEIR_MARK_FIRST_REPLY (1u << 21) /* the first packet is an ICMP reply */
#define WEIR_MARK_UNREACHABLE (1u << 22) /* an ICMP unreachable quotes it */
#define WEIR_MARK_REOPENED (1u << 23)    /* a SYN came after FINs of both sides or a RST */
#define WEIR_MARK_SYN_TWICE (1u << 24)   /* a SYN or SYN-ACK came again: it tells no round trip */
#define WEIR_MARK_HTTP (1u << 25)        /* HTTP heads were seen */

/* What was counted since the agent drained last. */
struct weir_flow {
  /* CLOCK_MONOTONIC; newest to the resolution of the coarse clock (one tick), never before first. */
  __u64 first_ns;
  __u64 newest_ns;
  /* By side. As on the wire: a packet that segmentation offload has yet to cut counts as its segments, each with IP
   * and transport header. */
  __u64 packets[2];
  __u64 bytes[2];
  __u32 marks;
  /* Low words of the times of SYN and SYN-ACK, 0: not seen. */
  __u32 syn_ns;
  __u32 syn_ack_ns;
  /* From the SYN over the SYN-ACK to the ACK: both halves of the round trip. 0: not known. */
  __u32 rtt_ns;
  __u32 resets;
  /* The smaller one of the options seen; 0: none. */
  __u16 mss;
  /* TCP flags of the first packet, as on the wire. */
  __u8 first_flags;
  /* Payloads looked at for HTTP in vain. */
  __u8 probes;
};

/* Which half of the flow maps is counted into; the agent drains the other. */
struct weir_control {
  __u32 half;
};

/* Set before the programs are loaded. */
struct weir_settings {
  /* Bytes of a frame with an HTTP head that go to the ring, 0: none. At most WEIR_MAX_HTTP_BYTES. */
  __u32 http_bytes;
  __u32 dns;
  /* The ring wakes its reader when so many bytes wait in it. */
  __u32 wake_bytes;
};

enum weir_packet_kind { WEIR_DNS = 0, WEIR_HTTP = 1 };

/* A frame for the agent to look into; its bytes follow. */
struct weir_packet {
  __u64 time_ns; /* CLOCK_MONOTONIC */
  __u32 ifindex;
  __u32 wire_bytes;
  __u32 captured_bytes;
  __u8 side;
  __u8 kind;
  __u16 zero;
  __u8 bytes[];
};
#define WEIR_MAX_PACKET_BYTES 4160
#define WEIR_MAX_HTTP_BYTES 1152

/* The fragments of a datagram; all but the first come without ports. */
struct weir_fragment_key {
  __u8 source[16];
  __u8 dest[16];
  __u32 id;
  __u32 ifindex;
  __u32 protocol;
};
struct weir_fragment {
  __u64 time_ns;
  __u16 source_port;
  __u16 dest_port;
  __u8 protocol;
  __u8 zero[3];
};

enum weir_lost {
  WEIR_LOST_FULL, /* the flow map is full */
  WEIR_LOST_BUSY, /* the kernel refused the update for another reason: no memory, a lock held */
  WEIR_LOSTS,
};

/* By CPU, since the map was made. */
struct weir_counters {
  __u64 flows; /* inserted into the flow maps */
  /* Not counted in a flow, by weir_lost. */
  __u64 lost_packets[WEIR_LOSTS];
  __u64 lost_bytes[WEIR_LOSTS];
  /* Frames that are not metered. */
  __u64 not_ip;
  __u64 truncated;
  __u64 malformed;
  __u64 orphan_fragments; /* metered with ports 0 */
  /* To the ring, and lost because it was full, by weir_packet_kind. */
  __u64 sent[2];
  __u64 dropped[2];
};

/* --- Sockets: what TCP itself knows of a connection, and whose it is. */

struct weir_socket_key {
  /* Of the network namespace: two of them may have equal addresses. */
  __u64 netns_cookie;
  /* As in weir_flow_key: the socket's own end first. */
  __u8 local[16];
  __u8 remote[16];
  __u16 local_port;
  __u16 remote_port;
  __u32 zero;
};

/* Since the agent drained last; RTTs and windows are the newest. */
struct weir_socket {
  __u32 smooth_rtt_us;
  __u32 min_rtt_us;
  /* Segments. */
  __u32 congestion_window;
  __u32 min_congestion_window;
  __u32 retransmissions;
  __u32 lost;
  /* Retransmission timeouts. */
  __u32 timeouts;
  __u32 mss;
  /* Who connected, or made the listening socket; 0: it was there before the agent. */
  __u32 process_id;
  char process_name[16];
};

struct weir_socket_settings {
  /* Sockets of this network namespace are nobody's pod: the node's own. 0: none is left out. */
  __u64 skip_netns_cookie;
  /* An established connection is looked at so often at most. */
  __u64 sample_ns;
};

/* By CPU. */
struct weir_socket_counters {
  __u64 samples;
  __u64 lost_full; /* samples that found no room in the map */
};
