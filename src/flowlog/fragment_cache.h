#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace weir::flowlog {

/// Rendered text by the identity (one or two addresses) of what it shows. Bounded: when full it starts anew.
class FragmentCache {
 public:
  explicit FragmentCache(std::size_t max_bytes) : max_bytes_(max_bytes) { clear(); }

  /// The text of (a, b), null data if it is not known. Lives until the next add() or clear().
  std::string_view find(const void* a, const void* b = nullptr) const {
    const Slot& slot = slots_[slot_of(a, b)];
    if (!slot.used) return {};
    return {text_.data() + slot.offset, slot.size};
  }
  /// (a, b) must not be there.
  void add(const void* a, const void* b, std::string_view text) {
    if (text_.size() + text.size() > max_bytes_) clear();
    if (2 * (used_ + 1) > slots_.size()) grow();
    slots_[slot_of(a, b)] = {a, b, static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(text.size()),
                             true};
    text_.append(text);
    ++used_;
  }
  void clear() {
    slots_.assign(kInitialSlots, Slot{});
    text_.clear();
    used_ = 0;
  }

 private:
  static constexpr std::size_t kInitialSlots = 256;
  struct Slot {
    const void* a = nullptr;
    const void* b = nullptr;
    std::uint32_t offset = 0, size = 0;
    bool used = false;
  };
  std::size_t slot_of(const void* a, const void* b) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = mix64(reinterpret_cast<std::uintptr_t>(a), reinterpret_cast<std::uintptr_t>(b)) & mask;
    while (slots_[at].used && (slots_[at].a != a || slots_[at].b != b)) at = (at + 1) & mask;
    return at;
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.used) slots_[slot_of(slot.a, slot.b)] = slot;
    }
  }

  std::size_t max_bytes_;
  std::size_t used_ = 0;
  std::vector<Slot> slots_;
  std::string text_;
};

}  // namespace weir::flowlog
