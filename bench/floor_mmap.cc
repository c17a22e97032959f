// floor_mmap FILE.pcap
//
// The floor that the meter is measured against: map the file, walk its records, find each packet's 5-tuple, hash it and
// update one table entry. No batching, no prefetching, no state, no checks. Prints what it counted, as JSON.

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "floor_parse.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: floor_mmap FILE.pcap\n");
    return 2;
  }
  const auto file = weir::FileBytes::open(argv[1]);
  if (!file.ok()) {
    std::fprintf(stderr, "floor_mmap: %s\n", file.error().message.c_str());
    return 1;
  }
  const auto bytes = file.value().bytes();
  weir::bench::FlowTable table;
  weir::bench::FlowKey key;
  std::uint64_t packets = 0, ip_bytes_sum = 0;
  for (std::size_t at = 24; at + 16 <= bytes.size();) {
    std::uint32_t captured;
    std::memcpy(&captured, bytes.data() + at + 8, 4);
    const std::uint8_t* frame = bytes.data() + at + 16;
    at += 16 + captured;
    const std::uint32_t ip_bytes = weir::bench::parse_key(frame, key);
    if (ip_bytes == 0) continue;
    table.update(key, ip_bytes);
    ++packets;
    ip_bytes_sum += ip_bytes;
  }
  std::printf("{\"packets\": %lu, \"bytes\": %lu, \"biflows\": %lu}\n", packets, ip_bytes_sum, table.flows);
  return 0;
}
