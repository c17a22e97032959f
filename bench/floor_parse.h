#pragma once

#include <nmmintrin.h>

#include <cstdint>
#include <cstring>
#include <utility>

/// The least that a flow meter must do with a frame: find its 5-tuple and hash it. Trusts the generator's captures, so
/// it is a floor to measure against, not code to use.
namespace weir::bench {

/// Both directions of a connection have the same key: the smaller end comes first.
struct FlowKey {
  std::uint64_t words[5] = {};
  friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

inline std::uint64_t load64(const std::uint8_t* at) {
  std::uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

/// Returns the IP length, 0 for what is no TCP or UDP over IP.
inline std::uint32_t parse_key(const std::uint8_t* frame, FlowKey& key) {
  const std::uint8_t* ip = frame + 14;
  const std::uint8_t* transport;
  std::uint32_t ip_bytes;
  std::uint8_t protocol;
  std::uint64_t a[2] = {0, 0}, b[2] = {0, 0};
  if (frame[12] == 0x08 && frame[13] == 0x00) {
    protocol = ip[9];
    ip_bytes = static_cast<std::uint32_t>(ip[2] << 8 | ip[3]);
    transport = ip + 4 * (ip[0] & 15);
    std::memcpy(&a[0], ip + 12, 4);
    std::memcpy(&b[0], ip + 16, 4);
  } else if (frame[12] == 0x86 && frame[13] == 0xDD) {
    protocol = ip[6];
    ip_bytes = 40U + static_cast<std::uint32_t>(ip[4] << 8 | ip[5]);
    transport = ip + 40;
    a[0] = load64(ip + 8);
    a[1] = load64(ip + 16);
    b[0] = load64(ip + 24);
    b[1] = load64(ip + 32);
  } else {
    return 0;
  }
  if (protocol != 6 && protocol != 17) return 0;
  std::uint16_t ports[2];
  std::memcpy(ports, transport, 4);
  if (std::pair(a[0] ^ a[1], ports[0]) > std::pair(b[0] ^ b[1], ports[1])) {
    std::swap(a[0], b[0]);
    std::swap(a[1], b[1]);
    std::swap(ports[0], ports[1]);
  }
  key = {{a[0], a[1], b[0], b[1],
          static_cast<std::uint64_t>(ports[0]) | static_cast<std::uint64_t>(ports[1]) << 16 |
              static_cast<std::uint64_t>(protocol) << 32}};
  return ip_bytes;
}

inline std::uint32_t hash_key(const FlowKey& key) {
  std::uint64_t hash = 0;
  for (const std::uint64_t word : key.words) hash = _mm_crc32_u64(hash, word);
  return static_cast<std::uint32_t>(hash);
}

/// A million 64-byte entries, linear probing: 64 MB.
struct FlowTable {
  struct Entry {
    FlowKey key;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t unused = 0;
  };
  static_assert(sizeof(Entry) == 64);
  static constexpr std::uint32_t kMask = (1U << 20) - 1;

  FlowTable() : entries(new Entry[kMask + 1U]) {}
  ~FlowTable() { delete[] entries; }
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  /// Full at a million flows, and then it would not return: the captures have 200,000.
  void update(const FlowKey& key, std::uint32_t ip_bytes) {
    for (std::uint32_t at = hash_key(key) & kMask;; at = (at + 1) & kMask) {
      Entry& entry = entries[at];
      if (entry.packets == 0) {
        entry.key = key;
        ++flows;
      } else if (!(entry.key == key)) {
        continue;
      }
      ++entry.packets;
      entry.bytes += ip_bytes;
      return;
    }
  }

  Entry* entries;
  std::uint64_t flows = 0;
};

}  // namespace weir::bench
