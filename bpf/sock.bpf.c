/* What TCP itself knows of pods' connections, and whose they are: attached to the root cgroup, so that it sees the
 * sockets of all pods. Counted into two maps in turn, as flow.bpf.c does; a connection that does nothing costs nothing.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1

char LICENSE[] SEC("license") = "Apache-2.0";

const volatile struct weir_socket_settings socket_settings = {.sample_ns = 200000000};

struct socket_map {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, struct weir_socket_key);
  __type(value, struct weir_socket);
};
struct socket_map sockets_a SEC(".maps");
struct socket_map sockets_b SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct weir_control);
} socket_control SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct weir_socket_counters);
} socket_counters SEC(".maps");

/* With each socket: whose it is, and the totals that were told. Accepted sockets inherit the listener's. */
struct owner {
  __u32 process_id;
  char process_name[16];
  /* Of a connection, since it was established: */
  __u32 told_retransmissions;
  __u32 lost_out;
  __u32 timeouts;
  __u64 sampled_ns;
};
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
  __type(key, int);
  __type(value, struct owner);
} owners SEC(".maps");

static __always_inline void put_v4(__u8* to, __u32 address) {
  *(__u64*)to = 0;
  *(__u32*)(to + 8) = bpf_htonl(0xFFFF);
  *(__u32*)(to + 12) = address;
}

static __always_inline bool key_of(struct bpf_sock_ops* ops, struct weir_socket_key* key) {
  if (ops->family == AF_INET) {
    put_v4(key->local, ops->local_ip4);
    put_v4(key->remote, ops->remote_ip4);
  } else if (ops->family == AF_INET6) {
    ((__u32*)key->local)[0] = ops->local_ip6[0];
    ((__u32*)key->local)[1] = ops->local_ip6[1];
    ((__u32*)key->local)[2] = ops->local_ip6[2];
    ((__u32*)key->local)[3] = ops->local_ip6[3];
    ((__u32*)key->remote)[0] = ops->remote_ip6[0];
    ((__u32*)key->remote)[1] = ops->remote_ip6[1];
    ((__u32*)key->remote)[2] = ops->remote_ip6[2];
    ((__u32*)key->remote)[3] = ops->remote_ip6[3];
  } else {
    return false;
  }
  key->local_port = (__u16)ops->local_port;
  key->remote_port = (__u16)bpf_ntohl(ops->remote_port);
  return true;
}

/* Adds what happened since the last sample to the connection's entry. */
static __always_inline void sample(struct bpf_sock_ops* ops, struct owner* owner) {
  struct weir_socket_key key = {};
  key.netns_cookie = bpf_get_netns_cookie(ops);
  if (!key_of(ops, &key)) return;
  __u32 zero = 0;
  const struct weir_control* control = bpf_map_lookup_elem(&socket_control, &zero);
  struct weir_socket_counters* counters = bpf_map_lookup_elem(&socket_counters, &zero);
  if (control == NULL || counters == NULL) return;
  const bool first = control->half == 0;
  struct weir_socket* socket = first ? bpf_map_lookup_elem(&sockets_a, &key) : bpf_map_lookup_elem(&sockets_b, &key);
  if (socket == NULL) {
    struct weir_socket one = {};
    one.process_id = owner->process_id;
    __builtin_memcpy(one.process_name, owner->process_name, sizeof(one.process_name));
    if (first) {
      bpf_map_update_elem(&sockets_a, &key, &one, BPF_NOEXIST);
      socket = bpf_map_lookup_elem(&sockets_a, &key);
    } else {
      bpf_map_update_elem(&sockets_b, &key, &one, BPF_NOEXIST);
      socket = bpf_map_lookup_elem(&sockets_b, &key);
    }
    if (socket == NULL) {
      ++counters->lost_full;
      return;
    }
  }
  ++counters->samples;
  /* The socket's lock is held: nobody else writes its entry. */
  socket->smooth_rtt_us = ops->srtt_us >> 3;
  /* ~0 until the first sample. */
  if (ops->rtt_min != ~0u) socket->min_rtt_us = ops->rtt_min;
  socket->congestion_window = ops->snd_cwnd;
  if (socket->min_congestion_window == 0 || ops->snd_cwnd < socket->min_congestion_window)
    socket->min_congestion_window = ops->snd_cwnd;
  socket->mss = ops->mss_cache;
  const __u32 retransmissions = ops->total_retrans;
  socket->retransmissions += retransmissions - owner->told_retransmissions;
  owner->told_retransmissions = retransmissions;
  socket->timeouts += owner->timeouts;
  owner->timeouts = 0;
  /* Segments that are taken for lost now: what was marked since is new. (The sum that the kernel keeps is only for
   * programs under the GPL.) */
  const __u32 lost = ops->lost_out;
  if (lost > owner->lost_out) socket->lost += lost - owner->lost_out;
  owner->lost_out = lost;
}

SEC("sockops")
int weir_sock_ops(struct bpf_sock_ops* ops) {
  const __u32 op = ops->op;
  const bool opened = op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
  const bool closed = op == BPF_SOCK_OPS_STATE_CB && ops->args[1] == BPF_TCP_CLOSE;
  if (!opened && !closed && op != BPF_SOCK_OPS_RTT_CB && op != BPF_SOCK_OPS_RETRANS_CB && op != BPF_SOCK_OPS_RTO_CB)
    return 1;
  struct bpf_sock* sk = ops->sk;
  if (sk == NULL) return 1;
  if (opened) {
    if (socket_settings.skip_netns_cookie != 0 && bpf_get_netns_cookie(ops) == socket_settings.skip_netns_cookie)
      return 1;
    bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG |
                                       BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG |
                                       BPF_SOCK_OPS_STATE_CB_FLAG);
  }
  struct owner* owner = bpf_sk_storage_get(&owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
  if (owner == NULL) return 1;
  const __u64 now = bpf_ktime_get_coarse_ns();
  if (op == BPF_SOCK_OPS_RTO_CB) {
    ++owner->timeouts;
  } else if (op == BPF_SOCK_OPS_RTT_CB && now - owner->sampled_ns < socket_settings.sample_ns) {
    return 1;
  }
  owner->sampled_ns = now;
  sample(ops, owner);
  return 1;
}

static __always_inline void own(struct bpf_sock* sk) {
  if (sk == NULL) return;
  struct owner* owner = bpf_sk_storage_get(&owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
  if (owner == NULL) return;
  owner->process_id = bpf_get_current_pid_tgid() >> 32;
  bpf_get_current_comm(owner->process_name, sizeof(owner->process_name));
}

SEC("cgroup/connect4")
int weir_connect4(struct bpf_sock_addr* address) {
  if (address->type == SOCK_STREAM) own(address->sk);
  return 1;
}

SEC("cgroup/connect6")
int weir_connect6(struct bpf_sock_addr* address) {
  if (address->type == SOCK_STREAM) own(address->sk);
  return 1;
}

/* A server's socket: those that it accepts inherit. */
SEC("cgroup/post_bind4")
int weir_bind4(struct bpf_sock* sk) {
  if (sk->type == SOCK_STREAM) own(sk);
  return 1;
}

SEC("cgroup/post_bind6")
int weir_bind6(struct bpf_sock* sk) {
  if (sk->type == SOCK_STREAM) own(sk);
  return 1;
}
