#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "base/ip.h"
#include "model/endpoint.h"

namespace weir::cluster {

inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

/// Which endpoint held an address when. The tenure that began last at a time decides, even if it has ended: who took
/// an address over does not give it back.
class Tenures {
 public:
  /// [from_ns, to_ns); an empty one is ignored.
  void add(const IpAddress& ip, std::int64_t from_ns, std::int64_t to_ns, const model::Endpoint* endpoint);
  /// Ends the endpoint's tenure of the address at `to_ns`, or earlier if it ended earlier.
  void end(const IpAddress& ip, const model::Endpoint* endpoint, std::int64_t to_ns);

  const model::Endpoint* at(const IpAddress& ip, std::int64_t time_ns) const {
    const auto found = owners_.find(ip);
    if (found == owners_.end()) return nullptr;
    const Owner& owner = found->second;
    if (time_ns >= owner.newest.from_ns) return time_ns < owner.newest.to_ns ? owner.newest.endpoint : nullptr;
    return owner.history == kNoHistory ? nullptr : earlier(owner.history, time_ns);
  }

 private:
  struct Tenure {
    std::int64_t from_ns;
    std::int64_t to_ns;
    const model::Endpoint* endpoint;
  };
  static constexpr std::uint32_t kNoHistory = 0xFFFFFFFF;
  struct Owner {
    /// Almost always the answer, so it lies in the table itself.
    Tenure newest;
    std::uint32_t history = kNoHistory;
  };
  const model::Endpoint* earlier(std::uint32_t history, std::int64_t time_ns) const;

  absl::flat_hash_map<IpAddress, Owner> owners_;
  /// Earlier tenures of an address, ordered by their begin.
  std::vector<std::vector<Tenure>> histories_;
};

}  // namespace weir::cluster
