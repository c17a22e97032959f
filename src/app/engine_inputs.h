#pragma once

#include "cluster/ledger.h"
#include "policy/engine.h"

namespace weir::app {

/// What the policy engine needs of a cluster. The ledger must outlive the engine: its pods are borrowed.
inline policy::EngineInputs engine_inputs(const cluster::Ledger& ledger) {
  policy::EngineInputs inputs;
  inputs.policies = ledger.policy_set();
  inputs.pods.assign(ledger.pods().begin(), ledger.pods().end());
  return inputs;
}

}  // namespace weir::app
