#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/network_policy.h"
#include "model/policy_trace.h"
#include "policy/engine.h"

/// What every policy API is lowered to before it is compiled. Selectors and blocks are borrowed from the API objects.
namespace weir::policy {

enum class Direction : std::uint8_t { kEgress, kIngress };

/// Pods by namespace and labels: all parts that are set must hold. None set: every pod.
struct PodSelector {
  std::optional<std::string> namespace_name;
  const model::LabelSelector* namespaces = nullptr;
  const model::LabelSelector* pods = nullptr;
};

struct PortRange {
  std::uint8_t protocol = 6;
  std::uint16_t first = 0, last = 65'535;
};

struct PortName {
  std::uint8_t protocol = 6;
  std::string name;
};

/// One rule; the peer and the port must both match. The peer is the far end, the port always the destination's.
struct Rule {
  model::Action action = model::Action::kAllow;
  /// As traces show it.
  std::int32_t index = 0;
  bool any_peer = false;
  std::vector<PodSelector> pods;
  std::vector<const model::IpBlock*> blocks;
  /// Every protocol, ICMP included.
  bool any_port = false;
  std::vector<PortRange> ports;
  std::vector<PortName> port_names;
};

struct Policy {
  /// As traces show it.
  std::string name;
  PodSelector subject;
  /// By Direction; absent: the policy does not apply in that direction.
  std::array<std::optional<std::vector<Rule>>, 2> rules;
};

struct Tier {
  std::string name;
  /// For a pod that some policy of the tier selects and no rule matches. kPass: the next tier decides.
  model::Action default_action = model::Action::kDeny;
  /// In order of evaluation.
  std::vector<Policy> policies;
};

/// The tier `default` of Kubernetes NetworkPolicies. `policies` must outlive the result.
Tier lower_network_policies(const std::vector<model::NetworkPolicy>& policies, TraceNames names);

/// The name in traces of the profile that allows what no tier decides.
std::string namespace_profile_name(const std::string& namespace_name, TraceNames names);

}  // namespace weir::policy
