#pragma once

#include <cstdint>
#include <string_view>

namespace weir::cluster {

/// The kinds that an API server is asked for. Those from kNetworkPolicy on are PolicyObjects.
enum class ObjectKind : std::uint8_t {
  kNamespace,
  kNode,
  kReplicaSet,
  kJob,
  kPod,
  kService,
  kEndpointSlice,
  kNetworkSet,
  kGlobalNetworkSet,
  kNetworkPolicy,
  kStagedKubernetesNetworkPolicy,
  kAdminNetworkPolicy,
  kBaselineAdminNetworkPolicy,
  kClusterNetworkPolicy,
  kTier,
  kCalicoNetworkPolicy,
  kGlobalNetworkPolicy,
  kStagedNetworkPolicy,
  kStagedGlobalNetworkPolicy,
  kProfile,
  kWorkloadEndpoint,
  kHostEndpoint,
  kServiceAccount,
  kCiliumNetworkPolicy,
  kCiliumClusterwideNetworkPolicy,
};

/// The kind's name, as in manifests: "Pod". Calico's NetworkPolicy has that of Kubernetes'.
std::string_view to_string(ObjectKind kind);

}  // namespace weir::cluster
