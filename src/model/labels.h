#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace weir::model {

/// Labels of one endpoint, immutable once made. Shared by pointer: equal pointers are equal sets.
struct LabelSet {
  /// "key=value", sorted, distinct keys.
  std::vector<std::string> pairs;

  /// The value of `key`, or nullptr-data view if absent (an empty value has non-null data).
  std::string_view find(std::string_view key) const {
    // "a-b=1" sorts before "a=1": look through all that begin with the key.
    for (auto it = std::lower_bound(pairs.begin(), pairs.end(), key); it != pairs.end() && it->starts_with(key); ++it) {
      if (it->size() > key.size() && (*it)[key.size()] == '=') return std::string_view(*it).substr(key.size() + 1);
    }
    return {};
  }
  bool has(std::string_view key) const { return find(key).data() != nullptr; }
  friend bool operator==(const LabelSet&, const LabelSet&) = default;
};

}  // namespace weir::model
