#include "cluster/internal/service_table.h"

#include <algorithm>
#include <tuple>
#include <utility>

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

std::string part_key(const ServiceBackends& part) {
  return (part.from_slice ? "slice " : "endpoints ") + part.namespace_name + "/" + part.name;
}

/// Whether two are one backend, whenever it is.
auto identity(const ServiceTable::Backend& b) { return std::tie(b.ip, b.port, b.protocol, b.port_name, b.ready); }

std::uint16_t index_of(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  const auto index = static_cast<std::uint16_t>(found - names.begin());
  if (found == names.end()) names.push_back(name);
  return index;
}

std::vector<IpAddress> addresses_of(const Service& service) {
  std::vector<IpAddress> ips = service.cluster_ips;
  ips.insert(ips.end(), service.external_ips.begin(), service.external_ips.end());
  return ips;
}

}  // namespace

ServiceTable::Known& ServiceTable::known(const std::string& namespace_name, const std::string& name) {
  std::unique_ptr<Known>& service = services_[key_of(namespace_name, name)];
  if (service == nullptr) {
    service = std::make_unique<Known>();
    service->namespace_name = namespace_name;
    service->name = name;
  }
  return *service;
}

bool ServiceTable::put_service(const Service& service, std::int64_t time_ns, bool live) {
  Known& entry = known(service.meta.namespace_name, service.meta.name);
  std::vector<IpAddress> ips = addresses_of(service);
  if (!entry.exists) {
    entry.since_ns = begin_of(service.meta.created_ns, time_ns, live);
  } else if (std::tie(entry.headless, entry.ips, entry.ports) == std::tie(service.headless, ips, service.ports)) {
    return false;
  } else {
    entry.since_ns = time_ns;
  }
  entry.exists = true;
  entry.headless = service.headless;
  entry.ips = std::move(ips);
  entry.ports = service.ports;
  return refresh(entry, time_ns);
}

bool ServiceTable::remove_service(const Service& service, std::int64_t time_ns) {
  const auto found = services_.find(key_of(service.meta.namespace_name, service.meta.name));
  if (found == services_.end() || !found->second->exists) return false;
  found->second->exists = false;
  return refresh(*found->second, time_ns);
}

bool ServiceTable::put_backends(const ServiceBackends& part, std::int64_t time_ns, bool live) {
  if (part.service.empty()) return remove_backends(part, time_ns);
  Known& entry = known(part.namespace_name, part.service);
  const std::string key = part_key(part);
  auto found = std::find_if(entry.parts.begin(), entry.parts.end(), [&](const Part& p) { return p.key == key; });
  if (found == entry.parts.end()) {
    // A slice may be given to another service by its label.
    const bool moved = remove_backends(part, time_ns);
    const std::int64_t since = moved ? time_ns : begin_of(part.created_ns, time_ns, live);
    entry.parts.push_back({key, part.from_slice, since, part.subsets});
    part_owners_[key] = &entry;
  } else if (found->subsets == part.subsets) {
    return false;
  } else {
    found->since_ns = time_ns;
    found->subsets = part.subsets;
  }
  return refresh(entry, time_ns);
}

bool ServiceTable::remove_backends(const ServiceBackends& part, std::int64_t time_ns) {
  // A deletion need not say whose slice it was.
  const std::string key = part_key(part);
  const auto owner = part_owners_.find(key);
  if (owner == part_owners_.end()) return false;
  Known& entry = *owner->second;
  part_owners_.erase(owner);
  std::erase_if(entry.parts, [&](const Part& p) { return p.key == key; });
  return refresh(entry, time_ns);
}

bool ServiceTable::refresh(Known& service, std::int64_t time_ns) {
  std::vector<std::pair<Claim, std::int64_t>> claims;
  std::vector<Backend> backends;
  const auto claim = [&](const IpAddress& ip, std::uint16_t port, const ServicePort& named, std::int64_t since_ns) {
    const model::ServiceRef* ref =
        refs_.intern({service.namespace_name, service.name, named.name.empty() ? std::string("-") : named.name, port});
    claims.push_back({{{ip, port, named.protocol}, ref}, since_ns});
  };
  if (service.exists) {
    for (const ServicePort& port : service.ports) {
      for (const IpAddress& ip : service.ips) claim(ip, port.port, port, service.since_ns);
      if (port.node_port != 0) claim(IpAddress(), port.node_port, port, service.since_ns);
    }
  }
  // Endpoints objects are the older form of slices, and cut off at 1,000 addresses: only for services without slices.
  const bool sliced =
      std::any_of(service.parts.begin(), service.parts.end(), [](const Part& p) { return p.from_slice; });
  for (const Part& part : service.parts) {
    if (!service.exists || (sliced && !part.from_slice)) continue;
    const std::int64_t since = std::max(part.since_ns, service.since_ns);
    for (const ServiceBackends::Subset& subset : part.subsets) {
      for (const ServicePort& port : subset.ports) {
        if (port.port == 0) continue;
        const std::uint16_t port_name = index_of(service.port_names, port.name);
        for (const auto* list : {&subset.addresses, &subset.not_ready}) {
          for (const IpAddress& ip : *list) {
            backends.push_back({ip, port.port, port.protocol, list == &subset.addresses, port_name, since, kForever});
            if (service.headless) claim(ip, port.port, port, since);
          }
        }
      }
    }
  }
  const bool claims_changed = refresh_claims(service, std::move(claims), time_ns);
  return refresh_backends(service, std::move(backends), time_ns) || claims_changed;
}

bool ServiceTable::refresh_claims(Known& service, std::vector<std::pair<Claim, std::int64_t>> wanted,
                                  std::int64_t time_ns) {
  std::sort(wanted.begin(), wanted.end());
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  wanted.erase(std::unique(wanted.begin(), wanted.end(), same), wanted.end());
  bool changed = false;
  const auto open = [&](const Claim& claim, std::int64_t from_ns) {
    Claimed& claimed = destinations_[claim.destination];
    claimed.intervals.push_back({from_ns, kForever, &service, claim.ref});
    merge(claimed);
    changed = true;
  };
  const auto close = [&](const Claim& claim) {
    Claimed& claimed = destinations_[claim.destination];
    for (Interval& interval : claimed.intervals) {
      if (interval.service == &service && interval.ref == claim.ref && interval.to_ns == kForever) {
        interval.to_ns = std::max(interval.from_ns, time_ns);
      }
    }
    merge(claimed);
    changed = true;
  };
  auto standing = service.claims.begin();
  for (const auto& [claim, from_ns] : wanted) {
    while (standing != service.claims.end() && *standing < claim) close(*standing++);
    if (standing != service.claims.end() && *standing == claim) {
      ++standing;
    } else {
      open(claim, from_ns);
    }
  }
  while (standing != service.claims.end()) close(*standing++);
  service.claims.clear();
  for (const auto& [claim, from_ns] : wanted) service.claims.push_back(claim);
  service.claims.shrink_to_fit();
  return changed;
}

bool ServiceTable::refresh_backends(Known& service, std::vector<Backend> wanted, std::int64_t time_ns) {
  const auto before = [](const Backend& a, const Backend& b) { return identity(a) < identity(b); };
  std::sort(wanted.begin(), wanted.end(), before);
  bool changed = false;
  std::vector<Backend> now;
  std::vector<bool> stands(wanted.size(), false);
  for (Backend& backend : service.backends) {
    if (backend.to_ns == kForever) {
      const auto found = std::lower_bound(wanted.begin(), wanted.end(), backend, before);
      if (found != wanted.end() && identity(*found) == identity(backend)) {
        stands[static_cast<std::size_t>(found - wanted.begin())] = true;
      } else {
        backend.to_ns = std::max(backend.from_ns, time_ns);
        changed = true;
      }
    }
    now.push_back(backend);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (stands[i] || (i > 0 && identity(wanted[i]) == identity(wanted[i - 1]))) continue;
    now.push_back(wanted[i]);
    changed = true;
  }
  if (!changed) return false;
  now.shrink_to_fit();
  service.backends = std::move(now);
  return true;
}

void ServiceTable::merge(Claimed& claimed) {
  auto& intervals = claimed.intervals;
  std::vector<std::int64_t> times;
  for (const Interval& interval : intervals) {
    times.push_back(interval.from_ns);
    if (interval.to_ns != kForever) times.push_back(interval.to_ns);
  }
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  claimed.segments.clear();
  for (const std::int64_t time : times) {
    const model::ServiceRef* merged = nullptr;
    for (const Interval& interval : intervals) {
      if (interval.from_ns > time || time >= interval.to_ns) continue;
      merged = merged == nullptr ? interval.ref : refs_.intern(merge_refs(*merged, *interval.ref));
    }
    if (claimed.segments.empty() || claimed.segments.back().merged != merged)
      claimed.segments.push_back({time, merged});
  }
  claimed.segments.shrink_to_fit();
}

const model::ServiceRef* ServiceTable::find(const Destination& destination, std::int64_t time_ns) const {
  const auto found = destinations_.find(destination);
  if (found == destinations_.end()) return nullptr;
  const auto& segments = found->second.segments;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->from_ns <= time_ns) return segment->merged;
  }
  return nullptr;
}

void ServiceTable::backends(const IpAddress& ip, std::uint16_t port, std::uint8_t protocol, std::int64_t time_ns,
                            std::vector<Backend>& out) const {
  const auto found = destinations_.find(Destination{ip, port, protocol});
  if (found == destinations_.end()) return;
  const std::size_t first = out.size();
  bool any_ready = false;
  for (const Interval& interval : found->second.intervals) {
    if (interval.from_ns > time_ns || time_ns >= interval.to_ns || interval.service->headless) continue;
    const std::string& port_name = interval.ref->port_name;
    for (const Backend& backend : interval.service->backends) {
      if (backend.protocol != protocol || backend.from_ns > time_ns || time_ns >= backend.to_ns) continue;
      const std::string& name = interval.service->port_names[backend.port_name];
      if (name.empty() ? port_name != "-" : name != port_name) continue;
      out.push_back(backend);
      any_ready |= backend.ready;
    }
  }
  // A proxy turns to those that are not ready only where there are no others.
  if (!any_ready) return;
  out.erase(std::remove_if(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
                           [](const Backend& backend) { return !backend.ready; }),
            out.end());
}

std::vector<model::ServiceEndpoints::Subset> ServiceTable::endpoints_at(const std::string& namespace_name,
                                                                        const std::string& name,
                                                                        std::int64_t time_ns) const {
  std::vector<model::ServiceEndpoints::Subset> subsets;
  const auto found = services_.find(key_of(namespace_name, name));
  if (found == services_.end()) return subsets;
  for (const Backend& backend : found->second->backends) {
    if (time_ns < backend.from_ns || time_ns >= backend.to_ns) continue;
    const model::ServiceEndpoints::Port port{backend.protocol, backend.port};
    auto subset = std::find_if(subsets.begin(), subsets.end(), [&](const auto& s) { return s.ports.front() == port; });
    if (subset == subsets.end()) subset = subsets.insert(subset, {{}, {port}});
    subset->addresses.push_back(backend.ip);
  }
  return subsets;
}

void ServiceTable::forget(std::int64_t time_ns) {
  for (auto it = destinations_.begin(); it != destinations_.end();) {
    auto& intervals = it->second.intervals;
    if (std::erase_if(intervals, [&](const Interval& i) { return i.to_ns < time_ns; }) > 0) merge(it->second);
    if (intervals.empty()) {
      destinations_.erase(it++);
    } else {
      ++it;
    }
  }
  absl::flat_hash_map<const Known*, bool> in_use;
  for (const auto& [destination, claimed] : destinations_) {
    for (const Interval& interval : claimed.intervals) in_use[interval.service] = true;
  }
  for (auto it = services_.begin(); it != services_.end();) {
    Known& service = *it->second;
    std::erase_if(service.backends, [&](const Backend& b) { return b.to_ns < time_ns; });
    if (!service.exists && service.parts.empty() && service.backends.empty() && !in_use.contains(&service)) {
      services_.erase(it++);
    } else {
      ++it;
    }
  }
}

}  // namespace weir::cluster
