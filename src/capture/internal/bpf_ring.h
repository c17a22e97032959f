#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace weir::capture {

/// Reads a BPF ring buffer in place: what next() returns lies in the ring and stays there until the next call, so that
/// a batch of records can be handed on without copying (libbpf's reader gives one back before it shows the next).
///
/// Threads: one reader.     Source: Documentation/bpf/ringbuf.rst of Linux.
class BpfRing {
 public:
  BpfRing() = default;
  ~BpfRing();
  BpfRing(const BpfRing&) = delete;
  BpfRing& operator=(const BpfRing&) = delete;

  /// Maps the ring of `map_fd`, which stays the caller's; `bytes` is its max_entries.
  Status open(int map_fd, std::size_t bytes);

  /// The next record; empty: there is none, or the next one is still being written.
  std::span<const std::uint8_t> next();
  /// Gives back the room of all records that next() has returned.
  void release();

 private:
  std::uint64_t* consumer_ = nullptr;
  const std::uint64_t* producer_ = nullptr;
  const std::uint8_t* data_ = nullptr;
  std::size_t bytes_ = 0;
  /// How far next() has read.
  std::uint64_t position_ = 0;
};

}  // namespace weir::capture
