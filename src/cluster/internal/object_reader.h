#pragma once

#include "cluster/internal/field.h"
#include "cluster/objects.h"

/// One function per kind: reads the parts we need of an object; what is wrong goes to the field's failure.
namespace weir::cluster {

ObjectMeta read_meta(const Field& object, bool namespaced);
/// Of Calico's kinds: where its storage hides the labels in an annotation, they are taken from there.
ObjectMeta read_calico_meta(const Field& object, bool namespaced);
Pod read_pod(const Field& object);
Node read_node(const Field& object);
Service read_service(const Field& object);
/// An EndpointSlice of no service has an empty `service`.
ServiceBackends read_endpoint_slice(const Field& object);
ServiceBackends read_endpoints(const Field& object);
Namespace read_namespace(const Field& object);
NetworkSet read_network_set(const Field& object, bool namespaced);

}  // namespace weir::cluster
