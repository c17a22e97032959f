#pragma once

#include <algorithm>
#include <iterator>

#include "model/labels.h"

namespace weir::aggregate {

/// Leaves in `common` the labels that `other` has too.
inline void keep_common_labels(model::LabelSet& common, const model::LabelSet& other) {
  std::erase_if(common.pairs, [&](const std::string& pair) {
    return !std::binary_search(other.pairs.begin(), other.pairs.end(), pair);
  });
}

}  // namespace weir::aggregate
