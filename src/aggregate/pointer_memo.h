#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/hash.h"

namespace weir::aggregate {

/// Remembers one word computed from an immutable object, by the object's address. Direct-mapped, so it never grows; a
/// collision only costs computing again. clear() it whenever an address may have come to mean another object.
template <typename T, std::size_t kSlots = 1024>
class PointerMemo {
 public:
  template <typename Compute>
  std::uint64_t get(const T* object, Compute&& compute) {
    Slot& slot = slots_[mix64(reinterpret_cast<std::uintptr_t>(object), 0) % kSlots];
    if (slot.object != object) slot = {object, compute(*object)};
    return slot.word;
  }
  void clear() { slots_.fill({}); }

 private:
  struct Slot {
    const T* object = nullptr;
    std::uint64_t word = 0;
  };
  std::array<Slot, kSlots> slots_{};
};

}  // namespace weir::aggregate
