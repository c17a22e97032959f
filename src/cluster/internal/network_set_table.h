#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/ip.h"
#include "model/endpoint.h"

namespace weir::cluster {

/// The network sets by prefix: one hash lookup for each prefix length in use, longest first.
class NetworkSetTable {
 public:
  /// `set` is of type kNetworkSet and outlives the table.
  void add(const IpPrefix& prefix, const model::Endpoint* set);
  void clear() { lengths_.clear(); }

  /// The set that holds `ip`: of the context namespace, else global, else of any namespace; then the longest prefix,
  /// then the lowest identity. Null if none does.
  const model::Endpoint* find(const IpAddress& ip, std::string_view context_namespace) const;

 private:
  /// Debian's absl has a string_view of its own, so its maps do not take ours as a key by themselves.
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash_bytes(text.data(), text.size()); }
  };
  /// The sets with one prefix: of each class the one with the lowest identity.
  struct Entry {
    const model::Endpoint* global = nullptr;
    const model::Endpoint* any_namespace = nullptr;
    absl::flat_hash_map<std::string, const model::Endpoint*, TextHash, std::equal_to<>> by_namespace;
  };
  struct Length {
    std::uint8_t bits;
    absl::flat_hash_map<IpAddress, Entry> entries;
  };
  /// Longest first.
  std::vector<Length> lengths_;
};

}  // namespace weir::cluster
