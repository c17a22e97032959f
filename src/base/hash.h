#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir {

/// Mixes two words into one well-spread word: the high and low halves of their 128-bit product.
inline std::uint64_t mix64(std::uint64_t a, std::uint64_t b) {
  const __uint128_t product = static_cast<__uint128_t>(a ^ 0x9E3779B97F4A7C15ULL) * (b ^ 0xD6E8FEB86659FD93ULL);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Hash of `size` bytes. Not for untrusted keys of an unbounded table without a seed.
inline std::uint64_t hash_bytes(const void* data, std::size_t size, std::uint64_t seed = 0) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::uint64_t hash = seed ^ (size * 0xFF51AFD7ED558CCDULL);
  while (size >= 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
    hash = mix64(hash, word);
    bytes += 8;
    size -= 8;
  }
  if (size > 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, size);
    hash = mix64(hash, word);
  }
  return hash;
}

}  // namespace weir
