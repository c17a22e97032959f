#include "cluster/internal/network_set_table.h"

#include <algorithm>

namespace weir::cluster {
namespace {

IpAddress masked(IpAddress ip, std::uint8_t bits) {
  std::size_t byte = bits / 8;
  if (byte >= ip.bytes.size()) return ip;
  ip.bytes[byte] &= static_cast<std::uint8_t>(0xFF00 >> (bits % 8));
  std::fill(ip.bytes.begin() + static_cast<std::ptrdiff_t>(byte) + 1, ip.bytes.end(), std::uint8_t{0});
  return ip;
}

std::string identity(const model::Endpoint& set) {
  return set.namespace_name == "-" ? set.name : set.namespace_name + "/" + set.name;
}

void keep_lowest(const model::Endpoint*& kept, const model::Endpoint* set) {
  if (kept == nullptr || identity(*set) < identity(*kept)) kept = set;
}

}  // namespace

void NetworkSetTable::add(const IpPrefix& prefix, const model::Endpoint* set) {
  const auto at = std::lower_bound(lengths_.begin(), lengths_.end(), prefix.length,
                                   [](const Length& length, std::uint8_t bits) { return length.bits > bits; });
  Length& length = at != lengths_.end() && at->bits == prefix.length ? *at : *lengths_.insert(at, {prefix.length, {}});
  Entry& entry = length.entries[prefix.address];
  if (set->namespace_name == "-") {
    keep_lowest(entry.global, set);
  } else {
    keep_lowest(entry.any_namespace, set);
    keep_lowest(entry.by_namespace[set->namespace_name], set);
  }
}

const model::Endpoint* NetworkSetTable::find(const IpAddress& ip, std::string_view context_namespace) const {
  const model::Endpoint* global = nullptr;
  const model::Endpoint* any_namespace = nullptr;
  const bool v4 = ip.is_v4();
  for (const Length& length : lengths_) {
    if (v4 && length.bits < 96) break;  // IPv6 blocks, `::/0` included, hold no IPv4 address
    const auto found = length.entries.find(masked(ip, length.bits));
    if (found == length.entries.end()) continue;
    const Entry& entry = found->second;
    if (!context_namespace.empty()) {
      const auto own = entry.by_namespace.find(context_namespace);
      if (own != entry.by_namespace.end()) return own->second;
    }
    if (global == nullptr) global = entry.global;
    if (any_namespace == nullptr) any_namespace = entry.any_namespace;
    if (global != nullptr && context_namespace.empty()) break;
  }
  return global != nullptr ? global : any_namespace;
}

}  // namespace weir::cluster
