#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "model/connection.h"

namespace weir::policy {

/// Sorts (protocol, port) into classes that no rule tells apart. Class 0 is every protocol without ports; the classes
/// of a protocol are consecutive numbers in the order of their ports.
class PortClasses {
 public:
  static constexpr std::uint32_t kNoPorts = 0;

  /// Some rule begins or ends at these ports (inclusive). Other protocols than TCP, UDP and SCTP are ignored.
  void cut(std::uint8_t protocol, std::uint16_t first, std::uint16_t last) {
    const int at = index_of(protocol);
    if (at < 0) return;
    cuts_[at].insert(first);
    if (last < 65'535) cuts_[at].insert(static_cast<std::uint16_t>(last + 1));
  }

  /// Numbers the classes; after it no more cut().
  void number() {
    table_.resize(cuts_.size() * kPorts);
    std::uint32_t next = kNoPorts;
    for (std::size_t at = 0; at < cuts_.size(); ++at) {
      cuts_[at].insert(0);
      for (std::uint32_t port = 0; port < kPorts; ++port) {
        if (cuts_[at].contains(static_cast<std::uint16_t>(port))) ++next;
        table_[at * kPorts + port] = next;
      }
    }
    size_ = next + 1;
  }

  std::uint32_t classify(std::uint8_t protocol, std::uint16_t port) const {
    const int at = index_of(protocol);
    return at < 0 ? kNoPorts : table_[static_cast<std::size_t>(at) * kPorts + port];
  }
  std::uint32_t size() const { return size_; }

 private:
  static constexpr std::size_t kPorts = 65'536;

  static int index_of(std::uint8_t protocol) {
    switch (protocol) {
      case model::kProtoTcp:
        return 0;
      case model::kProtoUdp:
        return 1;
      case model::kProtoSctp:
        return 2;
      default:
        return -1;
    }
  }

  std::array<std::set<std::uint16_t>, 3> cuts_;
  std::vector<std::uint32_t> table_;
  std::uint32_t size_ = 1;
};

}  // namespace weir::policy
