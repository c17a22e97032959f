#include "packet/internal/fragment_table.h"

#include "base/hash.h"

namespace weir::packet {

std::size_t FragmentTable::set_of(const FragmentKey& key) {
  const std::uint64_t id = (std::uint64_t{key.id} << 8) | key.protocol;
  return mix64(mix64(hash_value(key.source), hash_value(key.dest)), id) % kSets;
}

void FragmentTable::remember(const FragmentKey& key, const FragmentPorts& ports, std::int64_t time_ns) {
  if (sets_.empty()) sets_.resize(kSets);
  Set& set = sets_[set_of(key)];
  Entry* place = &set[0];
  for (Entry& entry : set) {
    if (!entry.used || entry.key == key) {
      place = &entry;
      break;
    }
    if (entry.time_ns < place->time_ns) place = &entry;
  }
  *place = {key, ports, true, time_ns};
}

const FragmentPorts* FragmentTable::find(const FragmentKey& key, std::int64_t time_ns) const {
  if (sets_.empty()) return nullptr;
  for (const Entry& entry : sets_[set_of(key)]) {
    // Packet time comes from the capture, and may be anything: compare without overflow.
    const auto age = static_cast<std::uint64_t>(time_ns) - static_cast<std::uint64_t>(entry.time_ns);
    if (entry.used && entry.key == key && (time_ns < entry.time_ns || age <= std::uint64_t{kLifetimeNs})) {
      return &entry.ports;
    }
  }
  return nullptr;
}

}  // namespace weir::packet
