#pragma once

#include <cstdint>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

namespace weir::policy {

/// Which of many sets hold an element: one row of bits an element, so that testing the sets of neighbouring rules for
/// one element stays within a cache line or two.
class BitMatrix {
 public:
  BitMatrix() = default;
  BitMatrix(std::size_t elements, std::size_t sets) : row_words_((sets + 63) / 64), words_(elements * row_words_) {}

  void set(std::size_t element, std::size_t set) {
    words_[element * row_words_ + set / 64] |= std::uint64_t{1} << (set % 64);
  }
  const std::uint64_t* row(std::size_t element) const { return words_.data() + element * row_words_; }
  static bool test(const std::uint64_t* row, std::uint32_t set) { return (row[set / 64] >> (set % 64) & 1) != 0; }

 private:
  std::size_t row_words_ = 0;
  std::vector<std::uint64_t> words_;
};

/// Numbers distinct sets of small integers in the order of their first use. Set 0 holds everything.
class SetInterner {
 public:
  static constexpr std::uint32_t kAll = 0;

  /// `members` ascending and distinct.
  std::uint32_t intern(std::vector<std::uint32_t> members) {
    return numbers_.try_emplace(std::move(members), static_cast<std::uint32_t>(numbers_.size() + 1)).first->second;
  }

  BitMatrix matrix(std::size_t elements) const {
    BitMatrix matrix(elements, numbers_.size() + 1);
    for (std::size_t element = 0; element < elements; ++element) matrix.set(element, kAll);
    for (const auto& [members, number] : numbers_) {
      for (const std::uint32_t member : members) matrix.set(member, number);
    }
    return matrix;
  }

 private:
  std::map<std::vector<std::uint32_t>, std::uint32_t> numbers_;
};

}  // namespace weir::policy
