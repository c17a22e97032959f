#pragma once

#include <optional>
#include <vector>

#include "policy/engine.h"
#include "policy/explanation.h"
#include "policy/internal/compiler.h"
#include "policy/internal/evaluation.h"

namespace weir::policy {

/// See Engine::nearest_miss(). Looks at the enforced program.
std::optional<NearestMiss> find_nearest_miss(const Compiler& compiler, const Facts& facts, Direction direction);

/// See Engine::explain().
Explanation explain_side(const Compiler& compiler, const Facts& facts, Direction direction, Scope scope);

/// The terms of a rule that do not hold.
std::vector<FailedTerm> failed_terms(const Compiled& code, const RuleCode& compiled, const Rule& rule,
                                     const Facts& facts, Direction direction);

}  // namespace weir::policy
