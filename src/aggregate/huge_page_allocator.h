#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace weir::aggregate {

/// Allocates large arrays on 2 MiB boundaries and asks for huge pages, so that random access over tens of megabytes
/// does not miss the TLB each time. Small arrays come from the heap.
template <typename T>
struct HugePageAllocator {
  using value_type = T;
  static constexpr std::size_t kPage = 2 * 1024 * 1024;

  HugePageAllocator() = default;
  template <typename U>
  explicit HugePageAllocator(const HugePageAllocator<U>&) {}

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    void* memory = ::operator new(bytes, alignment(bytes));
    // Without huge pages it is only slower.
    if (bytes >= kPage) (void)madvise(memory, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) { ::operator delete(memory, alignment(count * sizeof(T))); }
  friend bool operator==(const HugePageAllocator&, const HugePageAllocator&) { return true; }

 private:
  static std::align_val_t alignment(std::size_t bytes) {
    return std::align_val_t(bytes >= kPage ? kPage : (alignof(T) > 64 ? alignof(T) : 64));
  }
};

}  // namespace weir::aggregate
