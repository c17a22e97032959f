#include "aggregate/label_intersection.h"

#include <algorithm>
#include <iterator>

#include "base/hash.h"

namespace weir::aggregate {

std::size_t LabelIntersections::slot(const model::LabelSet* a, const model::LabelSet* b) {
  return mix64(reinterpret_cast<std::uintptr_t>(a), reinterpret_cast<std::uintptr_t>(b)) % kMemos;
}

const model::LabelSet* LabelIntersections::compute(const model::LabelSet& a, const model::LabelSet& b) {
  model::LabelSet common;
  std::set_intersection(a.pairs.begin(), a.pairs.end(), b.pairs.begin(), b.pairs.end(),
                        std::back_inserter(common.pairs));
  std::erase_if(common.pairs, [](const std::string& pair) { return pair.starts_with("projectcalico.org/"); });
  std::string joined;
  for (const std::string& pair : common.pairs) joined.append(pair).push_back('\n');
  std::unique_ptr<model::LabelSet>& set = sets_[std::move(joined)];
  if (set == nullptr) set = std::make_unique<model::LabelSet>(std::move(common));
  return set.get();
}

void LabelIntersections::sweep(const std::function<bool(const model::LabelSet*)>& in_use) {
  std::erase_if(sets_, [&](const auto& item) { return !in_use(item.second.get()); });
  forget_pairs();
}

}  // namespace weir::aggregate
