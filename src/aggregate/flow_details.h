#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/ip.h"

/// The sets that only some entries have: addresses, NAT ports, domain names, process ids. All are bounded.
namespace weir::aggregate {

inline std::uint64_t hash_value(std::uint32_t number) { return mix64(number, 0); }

/// Distinct values in order of arrival: a scan while small, a hash index above that.
template <typename T>
class DistinctSet {
 public:
  /// True if `value` is new. The caller bounds size().
  bool add(const T& value) {
    if (contains(value)) return false;
    values_.push_back(value);
    if (values_.size() <= kScanned) return true;
    if (index_.size() < 2 * values_.size()) {
      rebuild_index();
    } else {
      index_[slot_of(value)] = static_cast<std::uint32_t>(values_.size());
    }
    return true;
  }
  bool contains(const T& value) const {
    if (index_.empty()) return std::find(values_.begin(), values_.end(), value) != values_.end();
    return index_[slot_of(value)] != 0;
  }
  std::span<const T> values() const { return values_; }
  std::size_t size() const { return values_.size(); }
  void clear() {
    values_.clear();
    index_.clear();
  }

 private:
  static constexpr std::size_t kScanned = 16;
  void rebuild_index() {
    std::size_t slots = 4 * kScanned;
    while (slots < 4 * values_.size()) slots *= 2;
    index_.assign(slots, 0);
    for (std::size_t i = 0; i < values_.size(); ++i) index_[slot_of(values_[i])] = static_cast<std::uint32_t>(i + 1);
  }
  std::size_t slot_of(const T& value) const {
    const std::size_t mask = index_.size() - 1;
    std::size_t slot = hash_value(value) & mask;
    while (index_[slot] != 0 && values_[index_[slot] - 1] != value) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<T> values_;
  /// Position in values_ + 1; 0 is free. Empty while values_ is scanned; else at least twice its size, a power of two.
  std::vector<std::uint32_t> index_;
};
using AddressSet = DistinctSet<IpAddress>;

/// Source ports after SNAT, distinct, up to a limit. A port of an open connection displaces one whose connection ended.
/// (The reference tells connections apart by their tuple; here the port itself stands for its connection.)
class NatPorts {
 public:
  void add(std::uint16_t port, bool ended, std::size_t limit);
  /// Ports of open connections first, then those of ended ones.
  void list(std::vector<std::uint16_t>& out) const;
  void merge(const NatPorts& other, std::size_t limit) {
    for (const Port& port : other.ports_) add(port.number, port.ended, limit);
  }
  void clear() { ports_.clear(); }

 private:
  struct Port {
    std::uint16_t number = 0;
    bool ended = false;
  };
  std::vector<Port> ports_;
};

/// Most values that FlowDetails lists. Addresses and process ids have bounds of their own.
struct DetailLimits {
  std::size_t nat_ports = 0, domains = 0, original_sources = 0;
};

struct FlowDetails {
  /// Levels 2 and 3, ends of type net or ns.
  AddressSet source_external, dest_external;
  NatPorts nat_ports;
  std::vector<std::string> domains;
  std::vector<IpAddress> original_sources;
  std::uint64_t original_sources_seen = 0;
  /// All of the window, once there are two.
  DistinctSet<std::uint32_t> process_ids;

  /// What is held of addresses and process ids, against AggregateOptions::max_addresses.
  std::size_t held() const { return source_external.size() + dest_external.size() + process_ids.size(); }
  void add_domain(std::string_view name, std::size_t limit);
  void add_original_source(const IpAddress& ip, std::size_t limit);
  /// Adds what the other has; at most `most` addresses of one end, and process ids.
  void merge(const FlowDetails& other, const DetailLimits& limits, std::size_t most);
  /// Forgets everything and keeps the memory.
  void clear();
};

}  // namespace weir::aggregate
