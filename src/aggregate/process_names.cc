#include "aggregate/process_names.h"

namespace weir::aggregate {

ProcessNames::Id ProcessNames::intern(const model::ProcessName& name) {
  if (const auto found = ids_.find(name); found != ids_.end()) return found->second;
  Id id = kSeveral;
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
    names_[id - kFirst] = name;
  } else if (names_.size() < kMaxNames) {
    id = static_cast<Id>(end());
    names_.push_back(name);
  } else {
    return kSeveral;
  }
  ids_.emplace(name, id);
  return id;
}

std::string_view ProcessNames::text(Id id) const {
  if (id == kNone) return "-";
  if (id == kSeveral) return "*";
  return model::text_of(names_[id - kFirst]);
}

void ProcessNames::sweep(const std::vector<bool>& used) {
  absl::erase_if(ids_, [&](const auto& entry) {
    const Id id = entry.second;
    if (id < used.size() && used[id]) return false;
    free_.push_back(id);
    return true;
  });
}

}  // namespace weir::aggregate
