#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/node_hash_set.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "model/dns.h"

namespace weir::collect {

/// Which names a client looked up that resolved to an address, learnt from DNS answers: one client's look-ups never
/// explain another client's connection. The name is the one asked for, also when the answer came by CNAMEs.
///
/// Bounds: at most Options::max_entries (client, address) pairs; at the limit expired ones go first, then new ones
/// are dropped and counted. Threads: one.
class DomainCache {
 public:
  struct Options {
    /// An answer still explains a connection this long after its TTL: programs keep addresses longer than they should.
    std::chrono::nanoseconds grace = std::chrono::seconds(300);
    std::size_t max_entries = 1'000'000;
  };
  explicit DomainCache(Options options) : options_(options) {}

  void learn(const model::DnsTransaction& transaction);
  /// Names in the order they were learnt; the span stays valid as long as the cache.
  std::span<const std::string_view> find(const IpAddress& client, const IpAddress& address, std::int64_t at_ns) const;
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Key {
    IpAddress client, address;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {  // NOLINT(readability-identifier-naming): absl's name
      return H::combine(std::move(h), key.client, key.address);
    }
  };
  using NameList = std::vector<std::string_view>;
  struct Entry {
    const NameList* names = nullptr;
    std::int64_t expires_ns = 0;
  };

  void learn_address(const Key& key, std::string_view name, std::int64_t now_ns, std::int64_t expires_ns);

  Options options_;
  absl::flat_hash_map<Key, Entry> entries_;
  absl::node_hash_set<std::string> names_;
  /// A list never changes once made: connections keep spans of it.
  std::deque<NameList> lists_;
  std::uint64_t dropped_ = 0;
};

}  // namespace weir::collect
