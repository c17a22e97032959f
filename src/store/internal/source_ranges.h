#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::store {

/// Byte ranges, merged where they touch.
class RangeSet {
 public:
  void add(std::uint64_t begin, std::uint64_t end);
  bool contains(std::uint64_t at) const { return next_outside(at) != at; }
  /// The first byte at or after `from` that is in none.
  std::uint64_t next_outside(std::uint64_t from) const;
  /// Whether [begin, end) shares a byte with any; whether it lies in one.
  bool touches(std::uint64_t begin, std::uint64_t end) const;
  bool covers(std::uint64_t begin, std::uint64_t end) const { return next_outside(begin) >= end; }
  const std::map<std::uint64_t, std::uint64_t>& ranges() const { return ranges_; }

 private:
  /// End by begin.
  std::map<std::uint64_t, std::uint64_t> ranges_;
};

/// What of each stream is stored. Not synchronised.
struct StreamRanges {
  RangeSet stored;
  /// Unix seconds of the last append: streams that nobody sends any more are forgotten.
  std::int64_t touched = 0;
};
using StreamKey = std::pair<std::string, std::string>;  // agent, stream
using SourceRanges = std::map<StreamKey, StreamRanges>;

}  // namespace weir::store
