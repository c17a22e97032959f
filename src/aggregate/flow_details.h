#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

/// The sets that only some entries have: addresses, NAT ports, domain names. All are bounded.
namespace weir::aggregate {

/// Distinct addresses in order of arrival: a scan while small, a hash index above that.
class AddressSet {
 public:
  /// True if `ip` is new. The caller bounds size().
  bool add(const IpAddress& ip);
  bool contains(const IpAddress& ip) const;
  std::span<const IpAddress> values() const { return values_; }
  std::size_t size() const { return values_.size(); }
  void clear();

 private:
  static constexpr std::size_t kScanned = 16;
  void rebuild_index();
  std::size_t slot_of(const IpAddress& ip) const;

  std::vector<IpAddress> values_;
  /// Position in values_ + 1; 0 is free. Empty while values_ is scanned; else at least twice its size, a power of two.
  std::vector<std::uint32_t> index_;
};

/// Source ports after SNAT, distinct, up to a limit. A port of an open connection displaces one whose connection ended.
/// (The reference tells connections apart by their tuple; here the port itself stands for its connection.)
class NatPorts {
 public:
  void add(std::uint16_t port, bool ended, std::size_t limit);
  /// Ports of open connections first, then those of ended ones.
  void list(std::vector<std::uint16_t>& out) const;
  void clear() { ports_.clear(); }

 private:
  struct Port {
    std::uint16_t number = 0;
    bool ended = false;
  };
  std::vector<Port> ports_;
};

struct FlowDetails {
  /// Levels 2 and 3, ends of type net or ns.
  AddressSet source_external, dest_external;
  NatPorts nat_ports;
  std::vector<std::string> domains;
  std::vector<IpAddress> original_sources;
  std::uint64_t original_sources_seen = 0;

  std::size_t addresses() const { return source_external.size() + dest_external.size(); }
  void add_domain(std::string_view name, std::size_t limit);
  void add_original_source(const IpAddress& ip, std::size_t limit);
  /// Forgets everything and keeps the memory.
  void clear();
};

}  // namespace weir::aggregate
