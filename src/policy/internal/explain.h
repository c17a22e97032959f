#pragma once

#include <optional>

#include "policy/engine.h"
#include "policy/internal/compiler.h"
#include "policy/internal/evaluation.h"

namespace weir::policy {

/// See Engine::nearest_miss(). Looks at the enforced program.
std::optional<NearestMiss> find_nearest_miss(const Compiler& compiler, const Facts& facts, Direction direction);

}  // namespace weir::policy
