#pragma once

#include "cluster/internal/field.h"
#include "cluster/objects.h"
#include "model/network_policy.h"

/// One function per kind: reads the parts we need of an object; what is wrong goes to the field's failure.
namespace weir::cluster {

ObjectMeta read_meta(const Field& object, bool namespaced);
Pod read_pod(const Field& object);
Node read_node(const Field& object);
Service read_service(const Field& object);
/// An EndpointSlice of no service has an empty `service`.
ServiceBackends read_endpoint_slice(const Field& object);
ServiceBackends read_endpoints(const Field& object);
model::NamespaceInfo read_namespace(const Field& object);
model::NetworkPolicy read_network_policy(const Field& object);
NetworkSet read_network_set(const Field& object, bool namespaced);

}  // namespace weir::cluster
