#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "base/result.h"

namespace weir::meter {

/// A reserved range of addresses whose front part is usable; pages cost memory from their first use on. Linux.
class PagedMemory {
 public:
  PagedMemory() = default;
  PagedMemory(PagedMemory&& other) noexcept { *this = std::move(other); }
  PagedMemory& operator=(PagedMemory&& other) noexcept;
  PagedMemory(const PagedMemory&) = delete;
  PagedMemory& operator=(const PagedMemory&) = delete;
  ~PagedMemory();

  /// Reserves addresses, aligned to a 2 MB page; no memory is used.
  static Result<PagedMemory> reserve(std::size_t bytes);
  /// Makes at least the first `bytes` usable, zeroed, on 2 MB pages where the kernel has them. Ends the process if the
  /// kernel refuses: that is running out of memory.
  void grow(std::size_t bytes);

  std::byte* data() const { return data_; }
  std::size_t usable_bytes() const { return usable_bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  std::size_t usable_bytes_ = 0;
};

/// An array that grows in place up to a fixed capacity: its items never move, and all start as zero bytes.
template <typename T>
class PagedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  static Result<PagedArray> create(std::size_t capacity) {
    TRY_ASSIGN(PagedMemory memory, PagedMemory::reserve(capacity * sizeof(T)));
    PagedArray array;
    array.memory_ = std::move(memory);
    array.capacity_ = capacity;
    return array;
  }

  /// Appends a zero item and returns its index; only below the capacity.
  std::uint32_t push() {
    CHECK(size_ < capacity_);
    if ((size_ + 1) * sizeof(T) > memory_.usable_bytes()) memory_.grow((size_ + 1) * sizeof(T));
    ::new (static_cast<void*>(items() + size_)) T{};
    return static_cast<std::uint32_t>(size_++);
  }
  T& operator[](std::size_t i) { return items()[i]; }
  const T& operator[](std::size_t i) const { return items()[i]; }
  std::size_t size() const { return size_; }
  std::size_t used_bytes() const { return size_ * sizeof(T); }

 private:
  T* items() const { return reinterpret_cast<T*>(memory_.data()); }

  PagedMemory memory_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weir::meter
