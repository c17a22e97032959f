#include "aggregate/flow_details.h"

namespace weir::aggregate {

std::size_t AddressSet::slot_of(const IpAddress& ip) const {
  const std::size_t mask = index_.size() - 1;
  std::size_t slot = hash_value(ip) & mask;
  while (index_[slot] != 0 && values_[index_[slot] - 1] != ip) slot = (slot + 1) & mask;
  return slot;
}

bool AddressSet::contains(const IpAddress& ip) const {
  if (index_.empty()) return std::find(values_.begin(), values_.end(), ip) != values_.end();
  return index_[slot_of(ip)] != 0;
}

bool AddressSet::add(const IpAddress& ip) {
  if (contains(ip)) return false;
  values_.push_back(ip);
  if (values_.size() <= kScanned) return true;
  if (index_.size() < 2 * values_.size()) {
    rebuild_index();
  } else {
    index_[slot_of(ip)] = static_cast<std::uint32_t>(values_.size());
  }
  return true;
}

void AddressSet::rebuild_index() {
  std::size_t slots = 4 * kScanned;
  while (slots < 4 * values_.size()) slots *= 2;
  index_.assign(slots, 0);
  for (std::size_t i = 0; i < values_.size(); ++i) index_[slot_of(values_[i])] = static_cast<std::uint32_t>(i + 1);
}

void AddressSet::clear() {
  values_.clear();
  index_.clear();
}

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

void FlowDetails::clear() {
  source_external.clear();
  dest_external.clear();
  nat_ports.clear();
  domains.clear();
  original_sources.clear();
  original_sources_seen = 0;
}

}  // namespace weir::aggregate
