#pragma once

#include <string>

#include "model/policy_hit.h"
#include "policy/engine.h"

namespace weir::policy {

/// What a rule hit of the data plane leaves in a trace, "tier|policy|action|rule", as the engine would write it.
///
/// Data planes name policies "kind/[namespace/]name". A tier's end is written with the name `__NO_MATCH__`: which
/// policy of the tier applies, the data plane does not say. Source: Calico's NFLOG prefixes.
std::string hit_text(const model::PolicyHit& hit, TraceNames names);

}  // namespace weir::policy
