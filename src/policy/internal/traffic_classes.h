#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "policy/internal/traffic_set.h"

namespace weir::policy {

/// Sorts (protocol, port) into classes that no rule tells apart: each protocol without ports is its own class (its
/// number); the classes of a protocol with ports are consecutive numbers in the order of its ports.
class TrafficClasses {
 public:
  static constexpr std::uint32_t kFirstPorted = 256;

  /// Some rule begins or ends at these ports (inclusive). Returns whether that makes new classes.
  bool cut(std::uint8_t protocol, std::uint16_t first, std::uint16_t last) {
    const int slot = ported_slot(protocol);
    if (slot < 0) return false;
    std::set<std::uint16_t>& cuts = cuts_[static_cast<std::size_t>(slot)];
    bool added = first > 0 && cuts.insert(first).second;
    if (last < 65'535) added |= cuts.insert(static_cast<std::uint16_t>(last + 1)).second;
    return added;
  }
  bool cut(const TrafficSet& set) {
    bool added = false;
    for (std::size_t slot = 0; slot < kPortedProtocols; ++slot) {
      for (const PortSpan& span : set.ported()[slot]) {
        if (span.first > 0) added |= cuts_[slot].insert(span.first).second;
        if (span.last < 65'535) added |= cuts_[slot].insert(static_cast<std::uint16_t>(span.last + 1)).second;
      }
    }
    return added;
  }

  /// Numbers the classes. Before the first call there are none.
  void number() {
    table_.resize(kPortedProtocols * kPorts);
    std::uint32_t next = kFirstPorted;
    for (std::size_t slot = 0; slot < kPortedProtocols; ++slot) {
      std::uint32_t* const row = table_.data() + slot * kPorts;
      std::uint32_t port = 0;
      for (const std::uint16_t cut : cuts_[slot]) {
        for (; port < cut; ++port) row[port] = next;
        ++next;
      }
      for (; port < kPorts; ++port) row[port] = next;
      ++next;
    }
    size_ = next;
  }

  std::uint32_t classify(std::uint8_t protocol, std::uint16_t port) const {
    const int slot = ported_slot(protocol);
    return slot < 0 ? protocol : table_[static_cast<std::size_t>(slot) * kPorts + port];
  }
  std::uint32_t size() const { return size_; }

  /// Calls `visit(class)` for the classes that make up `set`, every end of which was cut.
  template <typename Visit>
  void for_each_class(const TrafficSet& set, Visit visit) const {
    for (std::uint32_t protocol = 0; protocol < kFirstPorted; ++protocol) {
      if (set.whole().test(protocol)) visit(protocol);
    }
    for (std::size_t slot = 0; slot < kPortedProtocols; ++slot) {
      const std::uint32_t* const row = table_.data() + slot * kPorts;
      for (const PortSpan& span : set.ported()[slot]) {
        for (std::uint32_t one = row[span.first]; one <= row[span.last]; ++one) visit(one);
      }
    }
  }

 private:
  static constexpr std::size_t kPorts = 65'536;

  std::array<std::set<std::uint16_t>, kPortedProtocols> cuts_;
  std::vector<std::uint32_t> table_;
  std::uint32_t size_ = 0;
};

}  // namespace weir::policy
