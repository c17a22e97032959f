#include "model/network_policy.h"

#include <algorithm>

namespace weir::model {
namespace {

bool holds(const LabelSelector::Requirement& requirement, const LabelSet& labels) {
  const std::string_view value = labels.find(requirement.key);
  const bool present = value.data() != nullptr;
  const auto listed = [&] {
    return std::find(requirement.values.begin(), requirement.values.end(), value) != requirement.values.end();
  };
  switch (requirement.op) {
    case LabelSelector::Operator::kIn:
      return present && listed();
    case LabelSelector::Operator::kNotIn:
      return !present || !listed();
    case LabelSelector::Operator::kExists:
      return present;
    case LabelSelector::Operator::kDoesNotExist:
      return !present;
  }
  return false;
}

}  // namespace

bool LabelSelector::matches(const LabelSet& labels) const {
  for (const auto& [key, value] : match_labels) {
    const std::string_view found = labels.find(key);
    if (found.data() == nullptr || found != value) return false;
  }
  return std::all_of(match_expressions.begin(), match_expressions.end(),
                     [&](const Requirement& requirement) { return holds(requirement, labels); });
}

}  // namespace weir::model
