#include "cluster/object_kind.h"

namespace weir::cluster {

std::string_view to_string(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kNamespace:
      return "Namespace";
    case ObjectKind::kNode:
      return "Node";
    case ObjectKind::kReplicaSet:
      return "ReplicaSet";
    case ObjectKind::kJob:
      return "Job";
    case ObjectKind::kPod:
      return "Pod";
    case ObjectKind::kService:
      return "Service";
    case ObjectKind::kEndpointSlice:
      return "EndpointSlice";
    case ObjectKind::kNetworkSet:
      return "NetworkSet";
    case ObjectKind::kGlobalNetworkSet:
      return "GlobalNetworkSet";
    case ObjectKind::kNetworkPolicy:
    case ObjectKind::kCalicoNetworkPolicy:
      return "NetworkPolicy";
    case ObjectKind::kStagedKubernetesNetworkPolicy:
      return "StagedKubernetesNetworkPolicy";
    case ObjectKind::kAdminNetworkPolicy:
      return "AdminNetworkPolicy";
    case ObjectKind::kBaselineAdminNetworkPolicy:
      return "BaselineAdminNetworkPolicy";
    case ObjectKind::kClusterNetworkPolicy:
      return "ClusterNetworkPolicy";
    case ObjectKind::kTier:
      return "Tier";
    case ObjectKind::kGlobalNetworkPolicy:
      return "GlobalNetworkPolicy";
    case ObjectKind::kStagedNetworkPolicy:
      return "StagedNetworkPolicy";
    case ObjectKind::kStagedGlobalNetworkPolicy:
      return "StagedGlobalNetworkPolicy";
    case ObjectKind::kProfile:
      return "Profile";
    case ObjectKind::kWorkloadEndpoint:
      return "WorkloadEndpoint";
    case ObjectKind::kHostEndpoint:
      return "HostEndpoint";
    case ObjectKind::kServiceAccount:
      return "ServiceAccount";
    case ObjectKind::kCiliumNetworkPolicy:
      return "CiliumNetworkPolicy";
    case ObjectKind::kCiliumClusterwideNetworkPolicy:
      return "CiliumClusterwideNetworkPolicy";
  }
  return "";
}

}  // namespace weir::cluster
