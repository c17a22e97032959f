#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "meter/internal/paged_array.h"

namespace weir::meter {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes) { return (bytes + kHugePage - 1) / kHugePage * kHugePage; }

}  // namespace

PagedMemory& PagedMemory::operator=(PagedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(reserved_bytes_, other.reserved_bytes_);
  std::swap(usable_bytes_, other.usable_bytes_);
  return *this;
}

PagedMemory::~PagedMemory() {
  if (data_ != nullptr) munmap(data_, reserved_bytes_);
}

Result<PagedMemory> PagedMemory::reserve(std::size_t bytes) {
  const std::size_t size = round_up(std::max<std::size_t>(bytes, 1));
  // One page more than needed, so that an aligned range lies within; the ends are given back.
  void* mapped = mmap(nullptr, size + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return Error{ErrorCode::kResourceExhausted,
                 "reserve " + std::to_string(size) + " bytes of addresses: " + std::strerror(errno)};
  auto* begin = static_cast<std::byte*>(mapped);
  const std::size_t skip = round_up(reinterpret_cast<std::uintptr_t>(begin)) - reinterpret_cast<std::uintptr_t>(begin);
  if (skip > 0) munmap(begin, skip);
  if (skip < kHugePage) munmap(begin + skip + size, kHugePage - skip);
  PagedMemory memory;
  memory.data_ = begin + skip;
  memory.reserved_bytes_ = size;
  return memory;
}

void PagedMemory::grow(std::size_t bytes) {
  const std::size_t wanted = round_up(bytes);
  CHECK(wanted <= reserved_bytes_);
  if (wanted <= usable_bytes_) return;
  CHECK(mprotect(data_, wanted, PROT_READ | PROT_WRITE) == 0);
  // Advice only: small pages are slower, not wrong. What fits into one large page may need much less of it.
  if (wanted > kHugePage) madvise(data_ + usable_bytes_, wanted - usable_bytes_, MADV_HUGEPAGE);
  usable_bytes_ = wanted;
}

}  // namespace weir::meter
