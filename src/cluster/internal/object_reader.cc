#include "cluster/internal/object_reader.h"

#include <algorithm>

namespace weir::cluster {
namespace {

std::optional<OwnerRef> read_controller(const Field& references) {
  std::optional<OwnerRef> found;
  references.each_item([&](const Field& item) {
    if (!item["controller"].boolean(false) || found) return;
    found = OwnerRef{std::string(item["kind"].required_text()), std::string(item["name"].required_text())};
  });
  return found;
}

void read_container_ports(const Field& container, std::vector<model::NamedPort>& named) {
  container["ports"].each_item([&](const Field& item) {
    const Field number = item["containerPort"];
    if (!number.present()) number.fail("is missing");
    const model::NamedPort port{std::string(item["name"].text()), number.port(), item["protocol"].protocol()};
    if (!port.name.empty()) named.push_back(port);
  });
}

std::vector<model::NamedPort> read_named_ports(const Field& spec) {
  std::vector<model::NamedPort> named;
  spec["containers"].each_item([&](const Field& item) { read_container_ports(item, named); });
  spec["initContainers"].each_item([&](const Field& item) {
    // Only a sidecar still runs, and so listens, beside the containers.
    if (item["restartPolicy"].text() == "Always") read_container_ports(item, named);
  });
  return named;
}

std::int64_t last_finish(const Field& statuses) {
  std::int64_t last = kNoTime;
  statuses.each_item(
      [&](const Field& item) { last = std::max(last, item["state"]["terminated"]["finishedAt"].time_ns()); });
  return last;
}

/// The address of an annotation: bare, or with the length of its network.
void add_annotated_ip(const Field& annotation, std::vector<IpAddress>& addresses) {
  const std::string_view text = annotation.text();
  const auto parsed = IpAddress::parse(text.substr(0, text.find('/')));
  if (!parsed.ok()) return;  // a plugin's private business: no reason to refuse the node
  if (std::find(addresses.begin(), addresses.end(), parsed.value()) == addresses.end()) {
    addresses.push_back(parsed.value());
  }
}

void read_service_ips(const Field& spec, Service& service) {
  const auto take = [&](const Field& field) {
    if (field.text() == "None") {
      service.headless = true;
    } else {
      field.add_ip_to(service.cluster_ips);
    }
  };
  take(spec["clusterIP"]);
  spec["clusterIPs"].each_item(take);
}

ServicePort read_backend_port(const Field& item) {
  ServicePort port;
  port.name = item["name"].text();
  port.port = item["port"].port();
  port.protocol = item["protocol"].protocol();
  return port;
}

}  // namespace

ObjectMeta read_meta(const Field& object, bool namespaced) {
  const Field field = object["metadata"];
  ObjectMeta meta;
  meta.name = field["name"].required_text();
  if (namespaced) {
    meta.namespace_name = field["namespace"].text();
    if (meta.namespace_name.empty()) meta.namespace_name = "default";
  }
  meta.generate_name = field["generateName"].text();
  meta.uid = field["uid"].text();
  meta.labels = field["labels"].labels();
  meta.controller = read_controller(field["ownerReferences"]);
  meta.created_ns = field["creationTimestamp"].time_ns();
  meta.deleted_ns = field["deletionTimestamp"].time_ns();
  return meta;
}

ObjectMeta read_calico_meta(const Field& object, bool namespaced) {
  ObjectMeta meta = read_meta(object, namespaced);
  const Field metadata = object["metadata"];
  const Field annotations = metadata["annotations"];
  const Field hidden = annotations["projectcalico.org/metadata"];
  if (!hidden.present()) return meta;
  const Status read = read_json(hidden.text(), false, [&](std::size_t, const Value& root) -> Status {
    FieldFailure failure;
    const Field stored(root, failure);
    const model::LabelSet labels = stored["labels"].labels();
    if (failure.failed()) return invalid_argument(failure.message);
    for (const std::string& pair : labels.pairs) {
      if (meta.labels.has(std::string_view(pair).substr(0, pair.find('=')))) continue;
      meta.labels.pairs.insert(std::lower_bound(meta.labels.pairs.begin(), meta.labels.pairs.end(), pair), pair);
    }
    return {};
  });
  if (!read.ok()) hidden.fail("holds no Calico metadata: " + read.error().message);
  return meta;
}

Pod read_pod(const Field& object) {
  Pod pod;
  pod.meta = read_meta(object, true);
  const Field spec = object["spec"];
  pod.node = spec["nodeName"].text();
  pod.service_account = spec["serviceAccountName"].text();
  if (pod.service_account.empty()) pod.service_account = "default";
  pod.host_network = spec["hostNetwork"].boolean(false);
  pod.named_ports = read_named_ports(spec);

  const Field status = object["status"];
  status["podIP"].add_ip_to(pod.ips);
  status["podIPs"].each_item([&](const Field& item) { item["ip"].add_ip_to(pod.ips); });
  const std::string_view phase = status["phase"].text();
  pod.finished = phase == "Succeeded" || phase == "Failed";
  pod.started_ns = status["startTime"].time_ns();
  if (pod.finished) {
    pod.finished_ns = std::max(last_finish(status["containerStatuses"]), last_finish(status["initContainerStatuses"]));
  }
  return pod;
}

Node read_node(const Field& object) {
  Node node;
  node.meta = read_meta(object, false);
  object["status"]["addresses"].each_item([&](const Field& item) {
    const std::string_view type = item["type"].text();
    if (type == "InternalIP" || type == "ExternalIP") item["address"].add_ip_to(node.addresses);
  });
  const Field metadata = object["metadata"];
  const Field annotations = metadata["annotations"];
  for (const char* name : {"projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address",
                           "projectcalico.org/IPv4IPIPTunnelAddr", "projectcalico.org/IPv4VXLANTunnelAddr",
                           "projectcalico.org/IPv6VXLANTunnelAddr", "projectcalico.org/IPv4WireguardInterfaceAddr",
                           "projectcalico.org/IPv6WireguardInterfaceAddr", "flannel.alpha.coreos.com/public-ip",
                           "network.cilium.io/ipv4-cilium-host", "network.cilium.io/ipv6-cilium-host"}) {
    add_annotated_ip(annotations[name], node.addresses);
  }
  return node;
}

Service read_service(const Field& object) {
  Service service;
  service.meta = read_meta(object, true);
  const Field spec = object["spec"];
  read_service_ips(spec, service);
  spec["externalIPs"].each_item([&](const Field& item) { item.add_ip_to(service.external_ips); });
  object["status"]["loadBalancer"]["ingress"].each_item(
      [&](const Field& item) { item["ip"].add_ip_to(service.external_ips); });
  spec["ports"].each_item([&](const Field& item) {
    ServicePort& port = service.ports.emplace_back(read_backend_port(item));
    if (port.port == 0) item["port"].fail("is missing");
    port.node_port = static_cast<std::uint16_t>(item["nodePort"].integer(0, 65535, "a port number").value_or(0));
  });
  return service;
}

ServiceBackends read_endpoint_slice(const Field& object) {
  const ObjectMeta meta = read_meta(object, true);
  ServiceBackends backends;
  backends.namespace_name = meta.namespace_name;
  backends.name = meta.name;
  backends.service = meta.labels.find("kubernetes.io/service-name");
  backends.created_ns = meta.created_ns;
  ServiceBackends::Subset& subset = backends.subsets.emplace_back();
  if (object["addressType"].text() != "FQDN") {
    object["endpoints"].each_item([&](const Field& item) {
      // Unknown readiness counts as ready, says the API.
      const bool ready = item["conditions"]["ready"].boolean(true);
      auto& list = ready ? subset.addresses : subset.not_ready;
      item["addresses"].each_item([&](const Field& address) { address.add_ip_to(list); });
    });
  }
  object["ports"].each_item([&](const Field& item) { subset.ports.push_back(read_backend_port(item)); });
  return backends;
}

ServiceBackends read_endpoints(const Field& object) {
  const ObjectMeta meta = read_meta(object, true);
  ServiceBackends backends;
  backends.namespace_name = meta.namespace_name;
  backends.name = backends.service = meta.name;
  backends.from_slice = false;
  backends.created_ns = meta.created_ns;
  object["subsets"].each_item([&](const Field& item) {
    ServiceBackends::Subset& subset = backends.subsets.emplace_back();
    item["addresses"].each_item([&](const Field& entry) { entry["ip"].add_ip_to(subset.addresses); });
    item["notReadyAddresses"].each_item([&](const Field& entry) { entry["ip"].add_ip_to(subset.not_ready); });
    item["ports"].each_item([&](const Field& port) { subset.ports.push_back(read_backend_port(port)); });
  });
  return backends;
}

Namespace read_namespace(const Field& object) {
  constexpr std::string_view kNameLabel = "kubernetes.io/metadata.name";
  ObjectMeta meta = read_meta(object, false);
  if (!meta.labels.has(kNameLabel)) {
    auto& pairs = meta.labels.pairs;
    const std::string pair = std::string(kNameLabel) + "=" + meta.name;
    pairs.insert(std::lower_bound(pairs.begin(), pairs.end(), pair), pair);
  }
  return {{meta.name, std::move(meta.labels)}, meta.created_ns};
}

NetworkSet read_network_set(const Field& object, bool namespaced) {
  NetworkSet set;
  set.meta = read_calico_meta(object, namespaced);
  const Field spec = object["spec"];
  set.domains = spec["allowedEgressDomains"].texts();
  spec["nets"].each_item([&](const Field& item) {
    const auto prefix = item.prefix();
    if (prefix) set.nets.push_back(*prefix);
  });
  return set;
}

}  // namespace weir::cluster
