#include "base/text_table.h"

#include <algorithm>
#include <cstdio>

namespace weir {
namespace {

bool is_number(const std::string& cell) {
  return !cell.empty() && cell[0] >= '0' && cell[0] <= '9' &&
         cell.find_first_not_of("0123456789.KMGTx%") == std::string::npos;
}

/// Code points, not bytes: names may hold any UTF-8.
std::size_t width(const std::string& cell) {
  return static_cast<std::size_t>(
      std::count_if(cell.begin(), cell.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string TextTable::to_string() const {
  const std::size_t columns = rows_[0].size();
  std::vector<std::size_t> widths(columns, 0);
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < std::min(columns, row.size()); ++c) widths[c] = std::max(widths[c], width(row[c]));
  }
  std::string text;
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < std::min(columns, row.size()); ++c) {
      const std::string padding(widths[c] - width(row[c]), ' ');
      const bool right = is_number(row[c]);
      text += right ? padding + row[c] : row[c];
      if (c + 1 < columns) text += (right ? "" : padding) + "  ";
    }
    text += '\n';
  }
  return text;
}

std::string short_count(std::uint64_t value) {
  if (value < 10'000) return std::to_string(value);
  static constexpr char kSuffixes[] = "KMGTPE";
  auto scaled = static_cast<double>(value);
  int step = -1;
  while (scaled >= 1000 && step < 5) {
    scaled /= 1000;
    ++step;
  }
  char text[32];
  std::snprintf(text, sizeof text,
                scaled < 10    ? "%.2f%c"
                : scaled < 100 ? "%.1f%c"
                               : "%.0f%c",
                scaled, kSuffixes[step]);
  return text;
}

}  // namespace weir
