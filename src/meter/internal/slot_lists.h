#pragma once

#include <cstdint>

#include "meter/internal/connection_index.h"
#include "meter/internal/paged_array.h"

namespace weir::meter {

/// A first-in first-out list of slots in a SlotPool. A zero list is empty.
struct SlotList {
  /// Blocks, as index + 1; 0: none.
  std::uint32_t head = 0, tail = 0;
  /// Place of the front within the head block.
  std::uint32_t front = 0;
};

/// Blocks of 256 bytes, shared by many SlotLists: 4 bytes a slot, and memory that one list gives back serves the
/// others.
class SlotPool {
 public:
  static Result<SlotPool> create(std::size_t max_slots, std::size_t max_lists) {
    SlotPool pool;
    TRY_ASSIGN(pool.blocks_, PagedArray<Block>::create(max_slots / kSlotsPerBlock + max_lists + 1));
    return pool;
  }

  void push(SlotList& list, model::ConnectionSlot slot) {
    if (list.tail == 0 || blocks_[list.tail - 1].count == kSlotsPerBlock) add_block(list);
    Block& block = blocks_[list.tail - 1];
    block.slots[block.count++] = slot;
  }

  /// The front slot, or kNoSlot if the list is empty.
  model::ConnectionSlot pop(SlotList& list) {
    if (list.head == 0) return kNoSlot;
    const std::uint32_t head = list.head;
    Block& block = blocks_[head - 1];
    const model::ConnectionSlot slot = block.slots[list.front++];
    if (list.front < block.count) return slot;
    list.front = 0;
    list.head = block.next;
    if (list.head == 0) list.tail = 0;
    block.next = free_;
    free_ = head;
    return slot;
  }

  /// The slot `ahead` places behind the front if it lies in the same block, for prefetching; else kNoSlot.
  model::ConnectionSlot peek(const SlotList& list, std::uint32_t ahead) const {
    if (list.head == 0) return kNoSlot;
    const Block& block = blocks_[list.head - 1];
    return list.front + ahead < block.count ? block.slots[list.front + ahead] : kNoSlot;
  }

  std::size_t used_bytes() const { return blocks_.used_bytes(); }

 private:
  static constexpr std::uint32_t kSlotsPerBlock = 62;
  struct Block {
    std::uint32_t next;
    std::uint32_t count;
    std::uint32_t slots[kSlotsPerBlock];
  };

  void add_block(SlotList& list) {
    std::uint32_t block = free_;
    if (block != 0) {
      free_ = blocks_[block - 1].next;
      blocks_[block - 1].next = blocks_[block - 1].count = 0;
    } else {
      block = blocks_.push() + 1;
    }
    (list.tail == 0 ? list.head : blocks_[list.tail - 1].next) = block;
    list.tail = block;
  }

  PagedArray<Block> blocks_;
  std::uint32_t free_ = 0;
};

}  // namespace weir::meter
