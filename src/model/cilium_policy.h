#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/network_policy.h"

/// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy. Source: cilium.io/v2.
namespace weir::model {

/// Selectors are LabelSelectors whose keys have lost their source ("k8s:", "any:", "k8s." or none), so that
/// `io.kubernetes.pod.namespace` and `io.cilium.k8s.namespace.labels.X` are plain keys. A key of source "reserved:"
/// stays as it is: "reserved:host".
enum class CiliumEntity : std::uint8_t {
  kAll,
  kWorld,
  kWorldV4,
  kWorldV6,
  kCluster,
  kHost,
  kRemoteNode,
  kKubeApiserver,
  kIngress,
  kInit,
  kHealth,
  kUnmanaged,
  kNone,
};

struct CiliumPort {
  /// IP protocol number; 0: any protocol with ports.
  std::uint8_t protocol = 0;
  std::uint16_t first = 0, last = 65'535;
  /// Not empty: a port's name, and the numbers mean nothing.
  std::string name;
  friend bool operator==(const CiliumPort&, const CiliumPort&) = default;
};

struct CiliumIcmp {
  bool v6 = false;
  std::uint8_t type = 0;
  friend bool operator==(const CiliumIcmp&, const CiliumIcmp&) = default;
};

struct CiliumFqdn {
  /// One of the two. A pattern's "*" stands for any characters of a name but dots.
  std::string match_name, match_pattern;
  friend bool operator==(const CiliumFqdn&, const CiliumFqdn&) = default;
};

struct CiliumService {
  std::string namespace_name, name;
  friend bool operator==(const CiliumService&, const CiliumService&) = default;
};

/// One item of ingress, egress, ingressDeny or egressDeny. The peer matches one of all lists that are set; a list that
/// is set and empty matches nobody. None set: any peer (but an item that is `{}` in the object: see `empty`).
struct CiliumRule {
  bool deny = false;
  std::optional<std::vector<LabelSelector>> endpoints;  ///< fromEndpoints, toEndpoints
  std::optional<std::vector<IpBlock>> cidrs;            ///< fromCIDR, fromCIDRSet and the to- forms
  std::optional<std::vector<CiliumEntity>> entities;
  std::optional<std::vector<CiliumFqdn>> fqdns;
  std::optional<std::vector<CiliumService>> services;
  std::optional<std::vector<LabelSelector>> nodes;
  /// Empty with `icmps` empty too: everything.
  std::vector<CiliumPort> ports;
  std::vector<CiliumIcmp> icmps;
  /// There are L7 rules: at L4 a match is only conditional.
  bool layer7 = false;
  /// The object's item is `{}`: it isolates and allows nothing.
  bool empty = false;
  /// Something of it is not understood: an allow matches nothing, a deny matches everything.
  bool malformed = false;
  friend bool operator==(const CiliumRule&, const CiliumRule&) = default;
};

/// One element of `specs`, or `spec`.
struct CiliumPolicy {
  /// Absent: cluster-wide.
  std::optional<std::string> namespace_name;
  std::string name;
  /// Absent: it has a nodeSelector and is for hosts.
  std::optional<LabelSelector> endpoint_selector;
  std::optional<LabelSelector> node_selector;
  /// Of enableDefaultDeny; absent: true in a direction that has any rule.
  std::optional<bool> default_deny_ingress, default_deny_egress;
  /// Absent: neither that list nor its deny list is in the object. Deny items are behind the others.
  std::optional<std::vector<CiliumRule>> ingress, egress;
  friend bool operator==(const CiliumPolicy&, const CiliumPolicy&) = default;
};

}  // namespace weir::model
