#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "cluster/object_change.h"
#include "cluster/objects.h"
#include "model/endpoint.h"
#include "model/network_policy.h"
#include "model/policy_set.h"

namespace weir::cluster {

/// RFC 1918, RFC 4193, RFC 6598, link-local and loopback.
std::vector<IpPrefix> default_private_networks();

struct LedgerOptions {
  /// An address of no endpoint is `pvt` in these, else `pub`.
  std::vector<IpPrefix> private_networks = default_private_networks();
  /// Whether addresses of no endpoint are looked up in network sets.
  bool network_sets = true;
  /// Whether a node's address is a host endpoint (`hep`) under the node's name; else it is an address like any other.
  bool host_endpoints = false;
  /// Only endpoints of this node are local; empty: all are.
  std::string node;
};

/// Who owned an address at a time, and which service a client addressed: the identity ledger.
///
/// A pod owns its addresses from its start to its end: for a finished pod the second its last container ended (never,
/// if nobody knows when), for a deleted one 10 s past its deletion. Of two pods with one address, the younger one takes
/// it over at its start. So a reused address never renames an earlier flow. Host-networked pods own no address.
/// A service counts from its creation to its deletion.
///
/// Live, apply() tells it of each change. What is new begins when its object says, but not before we can have missed
/// it: see begin_of() in internal/tenures.h. An address that we saw its pod give up is not its successor's before that.
///
/// Owned:   every Endpoint, EndpointGroup, LabelSet and ServiceRef; they stay until the ledger goes, also those of
///          pods long gone. Equal groups, label sets and service references have equal pointers.
/// Bounds:  live, who had an address or service that ended over an hour ago is forgotten (not the endpoint itself).
/// Cost:    a hash lookup for a pod; one more for each prefix length among the network sets for other addresses.
/// Threads: any number may look up; apply() wants the ledger for itself.
/// Source:  design decisions 3 and 5; Calico's flow log rules for names, network sets and services.
class Ledger {
 public:
  explicit Ledger(ClusterObjects objects, LedgerOptions options = {});
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger();

  /// The pod (or host endpoint) that owned the address; null if none did. Times: nanoseconds since the Unix epoch.
  const model::Endpoint* endpoint_at(const IpAddress& ip, std::int64_t time_ns) const;

  /// The pod whose interface has the address, for who sees packets at that interface: of the pods that ever claimed the
  /// address, the youngest that was there when the interface came to be, as it was at `time_ns`. So a reused address
  /// cannot lie, however late we hear of its pods. Null: none of them was there. `interface_since_ns` 0: endpoint_at().
  const model::Endpoint* owner_since(const IpAddress& ip, std::int64_t interface_since_ns, std::int64_t time_ns) const;

  /// endpoint_at(), else the network set of the address, else the one endpoint of public or private addresses. Never
  /// null. Of several sets: one in `context_namespace` (that of the pod at the other end; empty if that is no pod),
  /// else a global one, else one of any namespace; among those the longest prefix, then the lowest "namespace/name".
  const model::Endpoint* resolve(const IpAddress& ip, std::string_view context_namespace, std::int64_t time_ns) const;

  struct Ends {
    const model::Endpoint* source;
    const model::Endpoint* dest;
  };
  /// Both ends of a connection, each looked up in the context of the other.
  Ends resolve_ends(const IpAddress& source, const IpAddress& dest, std::int64_t time_ns) const;

  /// The service behind the destination that the client addressed, before DNAT: cluster, external and load balancer
  /// addresses; node ports if it is a node's address; endpoints of headless services. Null: no service. What several
  /// services of one destination do not agree on is "*". The port is the addressed one.
  const model::ServiceRef* service_at(const IpAddress& dest, std::uint16_t port, std::uint8_t protocol,
                                      std::int64_t time_ns) const;

  struct Backend {
    /// Who owned the address then; null if nobody did.
    const model::Endpoint* endpoint;
    IpAddress ip;
    /// The target port.
    std::uint16_t port;
  };
  /// Appends what a connection to a service (as in service_at()) may have been sent to: its ready backends, or all of
  /// them where none is ready. For connections that were denied before anybody saw the chosen one.
  void backends(const IpAddress& dest, std::uint16_t port, std::uint8_t protocol, std::int64_t time_ns,
                std::vector<Backend>& out) const;

  /// Whether it is an address of a node, its tunnels included.
  bool is_node_address(const IpAddress& ip) const;
  /// Whether this node meters it: a pod (or host endpoint) of LedgerOptions::node, or any if that is empty.
  bool is_local(const model::Endpoint& endpoint) const;

  /// Every pod there ever was, host-networked ones too, by pod_index. What these return is valid until apply().
  std::span<const model::Endpoint* const> pods() const;
  /// The newest pod of that name; null if there is none, or it has no address yet.
  const model::Endpoint* pod_named(std::string_view namespace_name, std::string_view name) const;
  /// Those that are known, and every other one that a pod is in. Sorted by name.
  std::span<const model::NamespaceInfo> namespaces() const;
  /// Of policy_set(): those of Kubernetes that are enforced, by namespace and name.
  model::SharedList<model::NetworkPolicy> network_policies() const;

  /// Everything that decides verdicts, staged policies too; valid until apply().
  const model::PolicySet& policy_set() const;
  /// As it was at a time: an object counts from its creation on (from the start, where it tells none), what changed in
  /// it from the change on, and until it went. Live, changes of the last hour are known.
  model::PolicySet policy_set_at(std::int64_t time_ns) const;
  /// Since when policy_set_at() of that time has been what it is; kNoTime: from the start. Until
  /// policy_inputs_version() moves, times with equal answers have equal sets.
  std::int64_t policy_set_since(std::int64_t time_ns) const;

  /// An object came, changed or went. Returns whether any answer changed. Changes of one object come in their order;
  /// those of several in any. What makes a pod another endpoint (labels, addresses, owners, …) counts from the change
  /// on; earlier times still resolve to what it was. Where an object is put again as it was, nothing happens.
  bool apply(const ObjectChange& change);

  /// Moves when pods(), namespaces() or policy_set() changed: a policy engine made before is out of date. A pod
  /// that only goes does not move it.
  std::uint64_t policy_inputs_version() const;
  /// Moves with every change of any answer.
  std::uint64_t version() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::cluster
