#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "model/labels.h"

/// Kubernetes objects as policies need them: the API's shapes with its defaults still unapplied, so that "absent" and
/// "empty" stay apart (they mean different things). Source: networking.k8s.io/v1, meta/v1 LabelSelector.
namespace weir::model {

/// metav1.LabelSelector. Absent selectors are std::nullopt where they are used; `{}` is a value and matches everything.
struct LabelSelector {
  enum class Operator : std::uint8_t { kIn, kNotIn, kExists, kDoesNotExist };
  struct Requirement {
    std::string key;
    Operator op = Operator::kExists;
    std::vector<std::string> values;
    friend bool operator==(const Requirement&, const Requirement&) = default;
  };
  std::vector<std::pair<std::string, std::string>> match_labels;
  std::vector<Requirement> match_expressions;

  /// NotIn and DoesNotExist hold when the key is absent.
  bool matches(const LabelSet& labels) const;
  friend bool operator==(const LabelSelector&, const LabelSelector&) = default;
};

struct IpBlock {
  IpPrefix cidr;
  std::vector<IpPrefix> except;
  friend bool operator==(const IpBlock&, const IpBlock&) = default;
};

/// One item of from/to. An item with none of the three set is invalid and matches nothing.
struct NetworkPolicyPeer {
  std::optional<LabelSelector> pod_selector;
  std::optional<LabelSelector> namespace_selector;
  std::optional<IpBlock> ip_block;
  friend bool operator==(const NetworkPolicyPeer&, const NetworkPolicyPeer&) = default;
};

struct NetworkPolicyPort {
  /// IP protocol number; TCP if the object names none.
  std::uint8_t protocol = 6;
  /// At most one of the two; neither: every port of the protocol.
  std::optional<std::uint16_t> port;
  std::string port_name;
  /// Inclusive; only with `port`.
  std::optional<std::uint16_t> end_port;
  friend bool operator==(const NetworkPolicyPort&, const NetworkPolicyPort&) = default;
};

struct NetworkPolicyRule {
  /// Empty: any peer (from/to missing or empty).
  std::vector<NetworkPolicyPeer> peers;
  /// Empty: all protocols and ports, ICMP included.
  std::vector<NetworkPolicyPort> ports;
  friend bool operator==(const NetworkPolicyRule&, const NetworkPolicyRule&) = default;
};

/// Of a staged policy: what it proposes. kNone: it is no staged policy.
enum class StagedAction : std::uint8_t {
  kNone,
  kSet,     ///< to be put in the place of the enforced policy of its kind and name, or anew
  kDelete,  ///< to remove that policy
  kLearn,   ///< a recommendation that is still refined
  kIgnore,  ///< dismissed
};

/// networking.k8s.io/v1 NetworkPolicy, with policyTypes already resolved by the API's default rule; and Calico's
/// StagedKubernetesNetworkPolicy.
struct NetworkPolicy {
  std::string namespace_name;
  std::string name;
  LabelSelector pod_selector;
  bool applies_ingress = true;
  bool applies_egress = false;
  std::vector<NetworkPolicyRule> ingress;
  std::vector<NetworkPolicyRule> egress;
  /// For lint: the object says policyTypes itself; it has an `egress`, if only an empty one.
  bool types_given = false, egress_given = false;
  StagedAction staged = StagedAction::kNone;
  friend bool operator==(const NetworkPolicy&, const NetworkPolicy&) = default;
};

struct NamespaceInfo {
  std::string name;
  /// With kubernetes.io/metadata.name always set.
  LabelSet labels;
  friend bool operator==(const NamespaceInfo&, const NamespaceInfo&) = default;
};

}  // namespace weir::model
