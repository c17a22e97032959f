#pragma once

#include <bit>
#include <cstdint>
#include <utility>

#include "meter/internal/paged_array.h"
#include "model/connection.h"

namespace weir::meter {

inline constexpr model::ConnectionSlot kNoSlot = 0xFFFFFFFF;

/// Finds the slot of a connection by the hash of its key: open addressing with linear probing, 8 bytes a cell, at most
/// three quarters full. Cells are ordered by the top bits of the hash, so that growing is one sequential pass (about
/// 2 ns a cell) and removal shifts back what follows instead of leaving marks. Threads: one.
class ConnectionIndex {
 public:
  /// Starts with 4096 cells, 32 KB.
  static Result<ConnectionIndex> create() {
    ConnectionIndex index;
    TRY_ASSIGN(index.cells_, make_cells(kFirstBits));
    index.bits_ = kFirstBits;
    return index;
  }

  void prefetch(std::uint32_t hash) const { __builtin_prefetch(data() + home(hash)); }

  /// The slot with this hash for which `is_it(slot)` holds, or kNoSlot.
  template <typename Match>
  model::ConnectionSlot find(std::uint32_t hash, Match&& is_it) const {
    const Cell* cells = data();
    for (std::size_t i = home(hash); cells[i].used != 0; i = (i + 1) & mask()) {
      if (cells[i].hash == hash && is_it(cells[i].used - 1)) return cells[i].used - 1;
    }
    return kNoSlot;
  }

  void insert(std::uint32_t hash, model::ConnectionSlot slot) {
    if ((size_ + 1) * 4 > (mask() + 1) * 3) grow();
    place(hash, slot + 1);
    ++size_;
  }

  /// The pair must be in the index.
  void erase(std::uint32_t hash, model::ConnectionSlot slot) {
    Cell* cells = data();
    std::size_t hole = home(hash);
    while (cells[hole].used != slot + 1) {
      CHECK(cells[hole].used != 0);
      hole = (hole + 1) & mask();
    }
    for (std::size_t i = (hole + 1) & mask(); cells[i].used != 0; i = (i + 1) & mask()) {
      // A cell may move back to the hole unless its home lies after it.
      const std::size_t distance = (i - home(cells[i].hash)) & mask();
      if (distance < ((i - hole) & mask())) continue;
      cells[hole] = cells[i];
      hole = i;
    }
    cells[hole] = {};
    --size_;
  }

  std::size_t size() const { return size_; }
  std::size_t used_bytes() const { return (mask() + 1) * sizeof(Cell); }

 private:
  struct Cell {
    std::uint32_t hash;
    /// Slot + 1; 0: empty.
    std::uint32_t used;
  };
  static constexpr int kFirstBits = 12;

  static Result<PagedMemory> make_cells(int bits) {
    const std::size_t bytes = sizeof(Cell) << bits;
    TRY_ASSIGN(PagedMemory memory, PagedMemory::reserve(bytes));
    memory.grow(bytes);
    return memory;
  }

  Cell* data() const { return reinterpret_cast<Cell*>(cells_.data()); }
  std::size_t mask() const { return (std::size_t{1} << bits_) - 1; }
  std::size_t home(std::uint32_t hash) const { return hash >> (32 - bits_); }

  void place(std::uint32_t hash, std::uint32_t used) {
    Cell* cells = data();
    std::size_t i = home(hash);
    while (cells[i].used != 0) i = (i + 1) & mask();
    cells[i] = {hash, used};
  }

  void grow() {
    auto memory = make_cells(bits_ + 1);
    CHECK(memory.ok());  // out of addresses: the process is lost
    const std::size_t old_cells = mask() + 1;
    PagedMemory old = std::exchange(cells_, std::move(memory).value());
    ++bits_;
    const auto* cells = reinterpret_cast<const Cell*>(old.data());
    for (std::size_t i = 0; i < old_cells; ++i) {
      if (cells[i].used != 0) place(cells[i].hash, cells[i].used);
    }
  }

  PagedMemory cells_;
  int bits_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weir::meter
