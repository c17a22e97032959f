#include "cluster/internal/service_table.h"

#include <algorithm>

namespace weir::cluster {
namespace {

/// What the two agree on; "*" for the rest.
model::ServiceRef merge_refs(const model::ServiceRef& a, const model::ServiceRef& b) {
  model::ServiceRef merged = a;
  if (a.namespace_name != b.namespace_name) merged.namespace_name = "*";
  if (a.name != b.name) merged.name = "*";
  if (a.port_name != b.port_name) merged.port_name = "*";
  return merged;
}

std::string key_of(const std::string& namespace_name, const std::string& name) { return namespace_name + "/" + name; }

}  // namespace

ServiceTable::ServiceTable(const std::vector<Service>& services, const std::vector<ServiceBackends>& backends) {
  absl::flat_hash_map<std::string, const Service*> headless;
  for (const Service& service : services) {
    add_service(service);
    if (service.headless) headless[key_of(service.meta.namespace_name, service.meta.name)] = &service;
  }
  // Endpoints objects are the older form of slices, and cut off at 1,000 addresses: only for services without slices.
  absl::flat_hash_map<std::string, bool> sliced;
  for (const ServiceBackends& part : backends) sliced[key_of(part.namespace_name, part.service)] |= part.from_slice;
  for (const ServiceBackends& part : backends) {
    const std::string key = key_of(part.namespace_name, part.service);
    const auto service = headless.find(key);
    if (service != headless.end() && (part.from_slice || !sliced[key])) add_backends(*service->second, part);
  }
  merge();
}

void ServiceTable::add_service(const Service& service) {
  for (const ServicePort& port : service.ports) {
    for (const auto* addresses : {&service.cluster_ips, &service.external_ips}) {
      for (const IpAddress& ip : *addresses) add(ip, port.port, port.protocol, service, port.name);
    }
    if (port.node_port != 0) add(IpAddress(), port.node_port, port.protocol, service, port.name);
  }
}

void ServiceTable::add_backends(const Service& service, const ServiceBackends& backends) {
  for (const ServicePort& port : backends.ports) {
    if (port.port == 0) continue;
    for (const IpAddress& ip : backends.addresses) add(ip, port.port, port.protocol, service, port.name);
  }
}

void ServiceTable::add(const IpAddress& ip, std::uint16_t port, std::uint8_t protocol, const Service& service,
                       const std::string& port_name) {
  const model::ServiceRef* ref = refs_.intern(
      {service.meta.namespace_name, service.meta.name, port_name.empty() ? std::string("-") : port_name, port});
  destinations_[{ip, port, protocol}].push_back({service.meta.created_ns, ref});
}

void ServiceTable::merge() {
  for (auto& [destination, candidates] : destinations_) {
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.from_ns < b.from_ns; });
    for (std::size_t i = 1; i < candidates.size(); ++i) {
      candidates[i].merged = refs_.intern(merge_refs(*candidates[i - 1].merged, *candidates[i].merged));
    }
  }
}

const model::ServiceRef* ServiceTable::find(const Destination& destination, std::int64_t time_ns) const {
  const auto found = destinations_.find(destination);
  if (found == destinations_.end()) return nullptr;
  const model::ServiceRef* ref = nullptr;
  for (const Candidate& candidate : found->second) {
    if (candidate.from_ns > time_ns) break;
    ref = candidate.merged;
  }
  return ref;
}

}  // namespace weir::cluster
