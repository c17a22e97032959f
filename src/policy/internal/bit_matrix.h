#pragma once

#include <cstdint>
#include <vector>

namespace weir::policy {

/// Which of many sets hold an element: one row of bits an element, so that testing the sets of neighbouring rules for
/// one element stays within a cache line or two. Column 0 holds everything.
class BitMatrix {
 public:
  BitMatrix() = default;
  /// Room for `sets` columns and a quarter more.
  BitMatrix(std::size_t elements, std::size_t sets)
      : row_words_((sets + sets / 4 + 64) / 64), words_(elements * row_words_) {
    for (std::size_t element = 0; element < elements; ++element) set(element, 0);
  }

  bool has_room(std::size_t sets) const { return sets <= row_words_ * 64; }
  std::size_t rows() const { return row_words_ == 0 ? 0 : words_.size() / row_words_; }
  std::size_t row_words() const { return row_words_; }
  std::size_t bytes() const { return words_.capacity() * sizeof(std::uint64_t); }
  void add_rows(std::size_t elements) {
    for (std::size_t element = rows(); element < elements; ++element) {
      words_.resize(words_.size() + row_words_);
      set(element, 0);
    }
  }
  void clear_row(std::size_t element) {
    for (std::size_t word = 0; word < row_words_; ++word) words_[element * row_words_ + word] = 0;
    set(element, 0);
  }

  void set(std::size_t element, std::size_t set) {
    words_[element * row_words_ + set / 64] |= std::uint64_t{1} << (set % 64);
  }
  const std::uint64_t* row(std::size_t element) const { return words_.data() + element * row_words_; }
  static bool test(const std::uint64_t* row, std::uint32_t set) { return (row[set / 64] >> (set % 64) & 1) != 0; }

 private:
  std::size_t row_words_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace weir::policy
