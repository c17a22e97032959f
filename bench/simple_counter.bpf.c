/* The simplest counter by connection, to compare flow.bpf.c with: addresses and ports of plain UDP and TCP over IPv4
 * and IPv6, one hash map, packets, bytes, times. No fragments, no options, no flags, no payloads. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Apache-2.0";

struct key {
  __u32 source[4], dest[4];
  __u32 ports;
  __u32 protocol;
};
struct value {
  __u64 packets, bytes, first_ns, newest_ns;
  __u64 flags;
};
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 131072);
  __type(key, struct key);
  __type(value, struct value);
} flows SEC(".maps");

static __always_inline bool parse(const struct __sk_buff* skb, struct key* key, __u32* bytes) {
  const __u8* frame = (const __u8*)(long)skb->data;
  const void* end = (const void*)(long)skb->data_end;
  const __u8* ip = frame + ETH_HLEN;
  if ((const void*)(ip + 28) > end) return false;
  if (*(const __u16*)(frame + 12) == bpf_htons(ETH_P_IP)) {
    key->source[3] = *(const __u32*)(ip + 12);
    key->dest[3] = *(const __u32*)(ip + 16);
    key->protocol = ip[9];
    key->ports = *(const __u32*)(ip + 20);
    *bytes = bpf_ntohs(*(const __u16*)(ip + 2));
    return true;
  }
  if (*(const __u16*)(frame + 12) != bpf_htons(ETH_P_IPV6) || (const void*)(ip + 44) > end) return false;
  for (int i = 0; i < 4; ++i) {
    key->source[i] = *(const __u32*)(ip + 8 + 4 * i);
    key->dest[i] = *(const __u32*)(ip + 24 + 4 * i);
  }
  key->protocol = ip[6];
  key->ports = *(const __u32*)(ip + 40);
  *bytes = 40 + bpf_ntohs(*(const __u16*)(ip + 4));
  return true;
}

SEC("tc")
int simple_counter(struct __sk_buff* skb) {
  struct key key = {};
  __u32 bytes = 0;
  if (!parse(skb, &key, &bytes)) return -1;
  const __u64 now = bpf_ktime_get_ns();
  struct value* value = bpf_map_lookup_elem(&flows, &key);
  if (value == NULL) {
    const struct value one = {.packets = 1, .bytes = bytes, .first_ns = now, .newest_ns = now};
    bpf_map_update_elem(&flows, &key, &one, BPF_ANY);
    return -1;
  }
  __sync_fetch_and_add(&value->packets, 1);
  __sync_fetch_and_add(&value->bytes, bytes);
  value->newest_ns = now;
  return -1;
}
