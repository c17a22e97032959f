#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/labels.h"

namespace weir::model {

/// semantics: `wep` a pod, `hep` a host endpoint, `ns` a network set, `net` any other address.
enum class EndpointType : std::uint8_t { kNet, kWorkload, kHost, kNetworkSet };

/// "net", "wep", "hep", "ns".
const char* to_string(EndpointType type);

/// A container port that a pod declares by name; what policies' named ports resolve to.
struct NamedPort {
  std::string name;
  std::uint16_t port = 0;
  /// IP protocol number.
  std::uint8_t protocol = 6;
  friend bool operator==(const NamedPort&, const NamedPort&) = default;
};

/// What aggregation level 2 leaves of an endpoint. Interned: equal groups have equal pointers.
struct EndpointGroup {
  EndpointType type = EndpointType::kNet;
  /// "-" if not namespaced.
  std::string namespace_name = "-";
  /// Pod: generateName + "*", else its name. Network set: its name. Address: "pub" or "pvt".
  std::string name_aggr = "pub";
  /// The owner at the end of the owner chain (a Deployment, not its ReplicaSet); "-" if none.
  std::string workload = "-";
  /// "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", …, "Pod" for a bare pod; "-" for what is no pod.
  std::string workload_kind = "-";
};

/// Who owned an address at a time: the identity that flow records and policies speak of.
///
/// Immutable. Owned by the cluster ledger, which keeps it alive as long as any stage may hold a pointer to it.
struct Endpoint {
  EndpointType type = EndpointType::kNet;
  /// "-" if not namespaced (all but pods and namespaced network sets).
  std::string namespace_name = "-";
  /// Full name; "-" for type net.
  std::string name = "-";
  /// Never null.
  const EndpointGroup* group = nullptr;
  /// What records show as labels. Never null (may be an empty set).
  const LabelSet* labels = nullptr;

  // What policies need of a pod; empty for other types.
  std::vector<IpAddress> ips;
  std::vector<NamedPort> named_ports;
  std::string service_account;
  std::string node;
  /// A host-networked pod shares its node's address and is no policy subject or peer.
  bool host_network = false;
  /// Dense number of a pod among the ledger's pods (the policy engine indexes its tables with it); -1 for other types.
  std::int32_t pod_index = -1;
};

/// The service that a client addressed, in the forms that records show: "-" absent, "*" several that differ.
struct ServiceRef {
  std::string namespace_name = "-";
  std::string name = "-";
  std::string port_name = "-";
  /// 0 if there is none.
  std::uint16_t port = 0;
};

}  // namespace weir::model
