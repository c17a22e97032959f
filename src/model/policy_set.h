#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ip.h"
#include "model/admin_policy.h"
#include "model/calico_policy.h"
#include "model/cilium_policy.h"
#include "model/endpoint.h"
#include "model/labels.h"
#include "model/network_policy.h"

/// Everything that decides connections, at one time.
namespace weir::model {

/// Immutable objects, shared by the versions of a PolicySet that have them: copying a set copies pointers, and an equal
/// pointer means "unchanged".
template <typename T>
using SharedList = std::vector<std::shared_ptr<const T>>;

struct ServiceAccountInfo {
  std::string namespace_name, name;
  LabelSet labels;
  friend bool operator==(const ServiceAccountInfo&, const ServiceAccountInfo&) = default;
};

struct NodeInfo {
  std::string name;
  LabelSet labels;
  std::vector<IpAddress> addresses;
  friend bool operator==(const NodeInfo&, const NodeInfo&) = default;
};

/// Calico NetworkSet or GlobalNetworkSet, as policies see it.
struct NetworkSetInfo {
  /// Empty: global.
  std::string namespace_name;
  std::string name;
  LabelSet labels;
  std::vector<IpPrefix> nets;
  /// allowedEgressDomains.
  std::vector<std::string> domains;
  friend bool operator==(const NetworkSetInfo&, const NetworkSetInfo&) = default;
};

/// What a service leads to (its EndpointSlices or Endpoints): every address of a subset serves every port of it.
struct ServiceEndpoints {
  struct Port {
    std::uint8_t protocol = 6;
    /// The target port.
    std::uint16_t port = 0;
    friend bool operator==(const Port&, const Port&) = default;
  };
  struct Subset {
    std::vector<IpAddress> addresses;
    std::vector<Port> ports;
    friend bool operator==(const Subset&, const Subset&) = default;
  };
  std::string namespace_name, name;
  LabelSet labels;
  std::vector<Subset> subsets;
  friend bool operator==(const ServiceEndpoints&, const ServiceEndpoints&) = default;
};

/// Order means nothing. Of two objects of one kind, namespace and name only one may be here, but that a staged policy
/// may have the name of an enforced one.
struct PolicySet {
  SharedList<NetworkPolicy> network_policies;  ///< StagedKubernetesNetworkPolicy too
  SharedList<AdminPolicy> admin_policies;
  SharedList<CalicoPolicy> calico_policies;  ///< global ones and staged kinds too
  SharedList<CiliumPolicy> cilium_policies;  ///< CiliumClusterwideNetworkPolicy too
  SharedList<Tier> tiers;
  SharedList<Profile> profiles;
  SharedList<WorkloadEndpoint> workload_endpoints;
  SharedList<HostEndpoint> host_endpoints;

  /// A pod's namespace that is missing here has no labels but kubernetes.io/metadata.name; a missing service account
  /// has none.
  SharedList<NamespaceInfo> namespaces;
  SharedList<ServiceAccountInfo> service_accounts;
  SharedList<NodeInfo> nodes;
  SharedList<NetworkSetInfo> network_sets;
  /// Those that some rule names are enough.
  SharedList<ServiceEndpoints> services;
};

}  // namespace weir::model
