#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

/// A table for a person: a header, then rows, columns padded to their widest cell, two blanks between (as kubectl
/// does).
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::size_t rows() const { return rows_.size() - 1; }
  /// Numbers are aligned to the right. Cells beyond the header's width are dropped.
  std::string to_string() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "812", "12.4K", "3.1M": decimal, three significant digits.
std::string short_count(std::uint64_t value);

}  // namespace weir
