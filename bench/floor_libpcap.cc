// floor_libpcap read|flows FILE.pcap
//
// The least CPU that any tool on top of libpcap needs: `read` only visits the packets, `flows` also finds each packet's
// 5-tuple and updates one hash table. Prints what it counted, as JSON.

#include <pcap/pcap.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "floor_parse.h"

int main(int argc, char** argv) {
  const bool flows = argc == 3 && std::strcmp(argv[1], "flows") == 0;
  if (!flows && !(argc == 3 && std::strcmp(argv[1], "read") == 0)) {
    std::fprintf(stderr, "usage: floor_libpcap read|flows FILE.pcap\n");
    return 2;
  }
  char error[PCAP_ERRBUF_SIZE];
  pcap_t* capture = pcap_open_offline(argv[2], error);
  if (capture == nullptr) {
    std::fprintf(stderr, "floor_libpcap: %s\n", error);
    return 1;
  }
  std::uint64_t packets = 0, bytes = 0, flow_count = 0;
  pcap_pkthdr* header = nullptr;
  const u_char* frame = nullptr;
  if (flows) {
    weir::bench::FlowTable table;
    weir::bench::FlowKey key;
    while (pcap_next_ex(capture, &header, &frame) == 1) {
      const std::uint32_t ip_bytes = weir::bench::parse_key(frame, key);
      if (ip_bytes == 0) continue;
      table.update(key, ip_bytes);
      ++packets;
      bytes += ip_bytes;
    }
    flow_count = table.flows;
  } else {
    while (pcap_next_ex(capture, &header, &frame) == 1) {
      ++packets;
      bytes += header->len;
    }
  }
  pcap_close(capture);
  std::printf("{\"packets\": %lu, \"bytes\": %lu, \"biflows\": %lu}\n", packets, bytes, flow_count);
  return 0;
}
