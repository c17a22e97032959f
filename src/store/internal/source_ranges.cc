#include "store/internal/source_ranges.h"

#include <algorithm>

namespace weir::store {

void RangeSet::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  auto at = ranges_.upper_bound(begin);
  if (at != ranges_.begin() && std::prev(at)->second >= begin) --at;
  while (at != ranges_.end() && at->first <= end) {
    begin = std::min(begin, at->first);
    end = std::max(end, at->second);
    at = ranges_.erase(at);
  }
  ranges_.emplace_hint(at, begin, end);
}

std::uint64_t RangeSet::next_outside(std::uint64_t from) const {
  const auto after = ranges_.upper_bound(from);
  if (after == ranges_.begin()) return from;
  return std::max(from, std::prev(after)->second);
}

bool RangeSet::touches(std::uint64_t begin, std::uint64_t end) const {
  if (begin >= end) return false;
  if (contains(begin)) return true;
  const auto after = ranges_.upper_bound(begin);
  return after != ranges_.end() && after->first < end;
}

}  // namespace weir::store
