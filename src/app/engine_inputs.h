#pragma once

#include "cluster/ledger.h"
#include "policy/engine.h"

namespace weir::app {

/// What the policy engine needs of a cluster. The ledger must outlive the engine: its pods are borrowed.
inline policy::EngineInputs engine_inputs(const cluster::Ledger& ledger) {
  policy::EngineInputs inputs;
  inputs.namespaces.assign(ledger.namespaces().begin(), ledger.namespaces().end());
  inputs.pods.assign(ledger.pods().begin(), ledger.pods().end());
  inputs.network_policies.assign(ledger.network_policies().begin(), ledger.network_policies().end());
  return inputs;
}

}  // namespace weir::app
