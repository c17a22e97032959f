#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/endpoint.h"
#include "model/labels.h"
#include "model/network_policy.h"
#include "model/policy_trace.h"
#include "model/selector.h"

/// Calico's policy objects as the engine needs them: the API's shapes, defaults applied where a comment says so.
/// Source: projectcalico.org/v3.
namespace weir::model {

/// Log records and goes on to the next rule.
enum class RuleAction : std::uint8_t { kAllow, kDeny, kPass, kLog };

/// A number, a range, or the name of a port.
struct PortMatch {
  std::uint16_t first = 0, last = 65'535;
  /// Not empty: a name, and the numbers mean nothing.
  std::string name;
  friend bool operator==(const PortMatch&, const PortMatch&) = default;
};

struct IcmpMatch {
  std::optional<std::uint8_t> type;
  /// Only with `type`.
  std::optional<std::uint8_t> code;
  friend bool operator==(const IcmpMatch&, const IcmpMatch&) = default;
};

/// One of the names (if there are any), and the selector (if there is one) on the service account's labels.
struct ServiceAccountMatch {
  std::vector<std::string> names;
  std::optional<Selector> selector;
  friend bool operator==(const ServiceAccountMatch&, const ServiceAccountMatch&) = default;
};

struct ServiceMatch {
  /// Empty: that of the policy.
  std::string namespace_name;
  std::string name;
  friend bool operator==(const ServiceMatch&, const ServiceMatch&) = default;
};

/// `source` or `destination` of a rule: all that is set must hold. An empty selector text in the object is "not set"
/// here; `all()` is a value.
struct EntityRule {
  std::optional<Selector> selector, not_selector, namespace_selector;
  /// Empty: not set. Bare addresses are /32 or /128, host bits are masked.
  std::vector<IpPrefix> nets, not_nets;
  std::vector<PortMatch> ports, not_ports;
  std::optional<ServiceAccountMatch> service_accounts;
  std::optional<ServiceMatch> service;
  /// "example.org" or "*.example.org", as written. Only in a destination of egress rules.
  std::vector<std::string> domains;
  friend bool operator==(const EntityRule&, const EntityRule&) = default;
};

struct HttpPath {
  std::string path;
  bool prefix = false;
  friend bool operator==(const HttpPath&, const HttpPath&) = default;
};

/// One of the methods ("*" is any) and one of the paths; an empty list is "not set".
struct HttpMatch {
  std::vector<std::string> methods;
  std::vector<HttpPath> paths;
  friend bool operator==(const HttpMatch&, const HttpMatch&) = default;
};

struct CalicoRule {
  RuleAction action = RuleAction::kAllow;
  /// 4 or 6.
  std::optional<std::uint8_t> ip_version;
  /// IP protocol numbers.
  std::optional<std::uint8_t> protocol, not_protocol;
  std::optional<IcmpMatch> icmp, not_icmp;
  EntityRule source, destination;
  std::optional<HttpMatch> http;
  /// Annotation `name` of the rule's metadata; for display.
  std::string name;
  /// Some condition of it could not be read (a malformed block, say): it matches nothing.
  bool malformed = false;
  friend bool operator==(const CalicoRule&, const CalicoRule&) = default;
};

/// NetworkPolicy, GlobalNetworkPolicy and their staged kinds.
struct CalicoPolicy {
  /// Absent: global.
  std::optional<std::string> namespace_name;
  /// As in the object, with the tier's prefix if it has it.
  std::string name;
  std::string tier = "default";
  /// Absent: after all that have one.
  std::optional<double> order;
  Selector selector;
  /// On the labels of the service account, or of the namespace; all three must hold. The last is for global ones only.
  std::optional<Selector> service_account_selector, namespace_selector;
  /// `types`, with the default rule applied: no rules at all, or ingress rules: ingress; egress rules: egress.
  bool applies_ingress = true;
  bool applies_egress = false;
  std::vector<CalicoRule> ingress, egress;
  /// For host endpoints only, never for pods.
  bool do_not_track = false, pre_dnat = false;
  /// Of host endpoints: for forwarded traffic too.
  bool apply_on_forward = false;
  StagedAction staged = StagedAction::kNone;
  friend bool operator==(const CalicoPolicy&, const CalicoPolicy&) = default;
};

/// Tiers `default` (1,000,000, deny), `kube-admin` (1,000, pass) and `kube-baseline` (10,000,000, pass) exist without
/// an object.
struct Tier {
  std::string name;
  /// Absent: after all that have one.
  std::optional<double> order;
  Action default_action = Action::kDeny;
  friend bool operator==(const Tier&, const Tier&) = default;
};

/// What decides where no tier does. `kns.<namespace>` exists without an object, and allows both ways.
struct Profile {
  std::string name;
  LabelSet labels_to_apply;
  std::vector<CalicoRule> ingress, egress;
  friend bool operator==(const Profile&, const Profile&) = default;
};

/// A workload endpoint that says which profiles a pod has, in place of the implicit ones.
struct WorkloadEndpoint {
  std::string namespace_name;
  /// Of the pod.
  std::string pod;
  std::vector<std::string> profiles;
  friend bool operator==(const WorkloadEndpoint&, const WorkloadEndpoint&) = default;
};

struct HostEndpoint {
  std::string name;
  LabelSet labels;
  std::string node;
  /// "*": all interfaces of the node. Empty: told by its addresses.
  std::string interface_name;
  std::vector<IpAddress> expected_ips;
  std::vector<NamedPort> ports;
  std::vector<std::string> profiles;
  friend bool operator==(const HostEndpoint&, const HostEndpoint&) = default;
};

}  // namespace weir::model
