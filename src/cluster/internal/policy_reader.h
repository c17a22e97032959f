#pragma once

#include <optional>
#include <string_view>

#include "cluster/internal/field.h"
#include "cluster/objects.h"
#include "model/admin_policy.h"
#include "model/calico_policy.h"
#include "model/cilium_policy.h"
#include "model/network_policy.h"

/// Readers of what decides verdicts; what is wrong goes to the field's failure, what is odd to its remarks.
///
/// What an API server would have refused fails. Of admin policies, whose rules fail closed, what is not understood of a
/// rule makes that rule `malformed`, with a remark.
namespace weir::cluster {

/// `kind` is one of those that are PolicyObjects.
PolicyObject read_policy_object(ObjectKind kind, const Field& object);

// The parts: `spec` is the object's, `meta` what was read of it.
model::NetworkPolicy read_network_policy(const ObjectMeta& meta, const Field& spec, bool staged);
model::AdminPolicy read_admin_policy(const ObjectMeta& meta, const Field& spec, model::AdminPolicy::Kind kind);
model::CalicoPolicy read_calico_policy(const ObjectMeta& meta, const Field& spec, bool global, bool staged);
model::Tier read_tier(const ObjectMeta& meta, const Field& spec);
model::Profile read_profile(const ObjectMeta& meta, const Field& spec);
model::WorkloadEndpoint read_workload_endpoint(const ObjectMeta& meta, const Field& spec);
model::HostEndpoint read_host_endpoint(const ObjectMeta& meta, const Field& spec);
PolicyObject::CiliumPolicies read_cilium_policies(const ObjectMeta& meta, const Field& object, bool cluster_wide);

// Of several APIs.
struct PolicyTypes {
  bool ingress = false, egress = false;
};
/// A list of "Ingress" and "Egress"; nothing if it is absent or empty.
std::optional<PolicyTypes> read_types(const Field& field);
model::LabelSelector read_label_selector(const Field& field);
std::optional<model::LabelSelector> read_optional_label_selector(const Field& field);
/// Set if absent; kNone after a failure.
model::StagedAction read_staged_action(const Field& spec);

// calico_rule_reader.cc
model::CalicoRule read_calico_rule(const Field& field);
/// "8080", "1:1024" or a name.
model::PortMatch read_calico_port(const Field& field);

}  // namespace weir::cluster
