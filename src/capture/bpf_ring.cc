#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "capture/internal/bpf_ring.h"

namespace weir::capture {
namespace {

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

/// The kernel writes these words, or reads them, on another CPU.
template <typename T>
T load_acquire(const T* at) {
  return std::atomic_ref<T>(*const_cast<T*>(at)).load(std::memory_order_acquire);
}

}  // namespace

BpfRing::~BpfRing() {
  if (consumer_ != nullptr) munmap(consumer_, page_bytes());
  if (producer_ != nullptr) munmap(const_cast<std::uint64_t*>(producer_), page_bytes() + 2 * bytes_);
}

Status BpfRing::open(int map_fd, std::size_t bytes) {
  const auto failed = [] {
    return Error{ErrorCode::kUnavailable, std::string("map the BPF ring buffer: ") + std::strerror(errno)};
  };
  const std::size_t page = page_bytes();
  void* consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return failed();
  consumer_ = static_cast<std::uint64_t*>(consumer);
  // The data lies there twice in a row, so that no record is cut by the end.
  void* producer = mmap(nullptr, page + 2 * bytes, PROT_READ, MAP_SHARED, map_fd, static_cast<off_t>(page));
  if (producer == MAP_FAILED) return failed();
  producer_ = static_cast<const std::uint64_t*>(producer);
  data_ = static_cast<const std::uint8_t*>(producer) + page;
  bytes_ = bytes;
  position_ = *consumer_;
  return {};
}

std::span<const std::uint8_t> BpfRing::next() {
  while (position_ < load_acquire(producer_)) {
    const std::uint8_t* record = data_ + (position_ & (bytes_ - 1));
    const auto length = load_acquire(reinterpret_cast<const std::uint32_t*>(record));
    if ((length & BPF_RINGBUF_BUSY_BIT) != 0) return {};
    const std::uint32_t size = length & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    position_ += (std::uint64_t{size} + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
    if ((length & BPF_RINGBUF_DISCARD_BIT) == 0) return {record + BPF_RINGBUF_HDR_SZ, size};
  }
  return {};
}

void BpfRing::release() { std::atomic_ref<std::uint64_t>(*consumer_).store(position_, std::memory_order_release); }

}  // namespace weir::capture
