#include "aggregate/flow_details.h"

namespace weir::aggregate {

void NatPorts::add(std::uint16_t port, bool ended, std::size_t limit) {
  for (Port& known : ports_) {
    if (known.number != port) continue;
    known.ended = ended;
    return;
  }
  if (ports_.size() < limit) {
    ports_.push_back({port, ended});
    return;
  }
  if (ended) return;
  for (Port& known : ports_) {
    if (!known.ended) continue;
    known = {port, false};
    return;
  }
}

void NatPorts::list(std::vector<std::uint16_t>& out) const {
  for (const bool ended : {false, true}) {
    for (const Port& port : ports_) {
      if (port.ended == ended) out.push_back(port.number);
    }
  }
}

void FlowDetails::add_domain(std::string_view name, std::size_t limit) {
  if (domains.size() >= limit) return;
  if (std::find(domains.begin(), domains.end(), name) == domains.end()) domains.emplace_back(name);
}

void FlowDetails::add_original_source(const IpAddress& ip, std::size_t limit) {
  if (std::find(original_sources.begin(), original_sources.end(), ip) != original_sources.end()) return;
  ++original_sources_seen;
  if (original_sources.size() < limit) original_sources.push_back(ip);
}

namespace {

template <typename T>
void add_all(DistinctSet<T>& into, const DistinctSet<T>& other, std::size_t most) {
  for (const T& value : other.values()) {
    if (into.size() < most) into.add(value);
  }
}

}  // namespace

void FlowDetails::merge(const FlowDetails& other, const DetailLimits& limits, std::size_t most) {
  add_all(source_external, other.source_external, most);
  add_all(dest_external, other.dest_external, most);
  add_all(process_ids, other.process_ids, most);
  nat_ports.merge(other.nat_ports, limits.nat_ports);
  for (const std::string& name : other.domains) add_domain(name, limits.domains);
  for (const IpAddress& ip : other.original_sources) add_original_source(ip, limits.original_sources);
  original_sources_seen += other.original_sources_seen - other.original_sources.size();
}

void FlowDetails::clear() {
  source_external.clear();
  dest_external.clear();
  nat_ports.clear();
  domains.clear();
  original_sources.clear();
  original_sources_seen = 0;
  process_ids.clear();
}

}  // namespace weir::aggregate
