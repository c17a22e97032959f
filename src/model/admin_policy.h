#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/network_policy.h"
#include "model/policy_trace.h"

/// AdminNetworkPolicy, BaselineAdminNetworkPolicy (policy.networking.k8s.io/v1alpha1) and ClusterNetworkPolicy
/// (v1alpha2) in one shape. What the reader does not know is `malformed`, never left out: admin rules fail closed.
namespace weir::model {

/// Pods of the namespaces; an absent selector inside `pods` is `{}`, everything.
struct AdminPodSelector {
  LabelSelector namespace_selector;
  LabelSelector pod_selector;
  friend bool operator==(const AdminPodSelector&, const AdminPodSelector&) = default;
};

/// Exactly one is set; none or several: the rule is malformed.
struct AdminPeer {
  /// Both `namespaces` and `pods` of the API (the former with any pod selector).
  std::optional<AdminPodSelector> pods;
  /// On nodes' labels; egress only.
  std::optional<LabelSelector> nodes;
  std::vector<IpPrefix> networks;
  /// "example.org" or "*.example.org"; egress and allow only.
  std::vector<std::string> domain_names;
  friend bool operator==(const AdminPeer&, const AdminPeer&) = default;
};

struct AdminPort {
  /// IP protocol number. 0, with a name: any protocol that the pod declares for it.
  std::uint8_t protocol = 6;
  std::uint16_t first = 0, last = 65'535;
  /// Not empty: a port's name, and the numbers mean nothing.
  std::string name;
  friend bool operator==(const AdminPort&, const AdminPort&) = default;
};

struct AdminRule {
  std::string name;
  Action action = Action::kAllow;
  std::vector<AdminPeer> peers;
  /// Empty: all traffic.
  std::vector<AdminPort> ports;
  /// Something of it is not understood (no peer, an unknown one, a bad port): an allow matches nothing, a deny or pass
  /// denies everything.
  bool malformed = false;
  friend bool operator==(const AdminRule&, const AdminRule&) = default;
};

struct AdminPolicy {
  enum class Kind : std::uint8_t { kAdmin, kBaseline, kCluster };
  Kind kind = Kind::kAdmin;
  /// Tier kube-baseline in place of kube-admin. Always true for kBaseline.
  bool baseline = false;
  std::string name;
  /// Lower goes first.
  std::int32_t priority = 0;
  AdminPodSelector subject;
  std::vector<AdminRule> ingress, egress;
  /// The tier or the subject cannot be understood: as though it were not there.
  bool malformed = false;
  friend bool operator==(const AdminPolicy&, const AdminPolicy&) = default;
};

}  // namespace weir::model
