#pragma once

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/ip.h"
#include "cluster/objects.h"
#include "model/endpoint.h"

namespace weir::cluster {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

/// From when an object counts that says it began at `start_ns` and of which we learnt at `time_ns` (kNoTime: it was
/// there from the start), `live` as in ObjectChange.
///
/// The API's times have whole seconds, rounded down. Who could use a new object (a kubelet that gives a pod its
/// interface, a proxy that programs a service) is told of it by a watch as we are, so it is not in use before we see
/// it: within the second that it began in, our time is the better one. And what we see is there, whatever other clocks
/// say.
inline std::int64_t begin_of(std::int64_t start_ns, std::int64_t time_ns, bool live) {
  if (time_ns == kNoTime) return start_ns;
  if (start_ns == kNoTime || start_ns > time_ns) return time_ns;
  return live && time_ns - start_ns < kSecond ? time_ns : start_ns;
}

/// Which endpoint held an address when. The tenure that began last at a time decides, even if it has ended: who took
/// an address over does not give it back.
class Tenures {
 public:
  struct Tenure {
    std::int64_t from_ns;
    std::int64_t to_ns;
    const model::Endpoint* endpoint;
  };

  /// [from_ns, to_ns); an empty one is ignored.
  void add(const IpAddress& ip, std::int64_t from_ns, std::int64_t to_ns, const model::Endpoint* endpoint);
  /// Ends the endpoint's tenure of the address at `to_ns`, or earlier if it ended earlier.
  void end(const IpAddress& ip, const model::Endpoint* endpoint, std::int64_t to_ns);
  /// Drops what ended before `time_ns`: earlier times are no longer answered.
  void forget(std::int64_t time_ns);

  const model::Endpoint* at(const IpAddress& ip, std::int64_t time_ns) const {
    const auto found = owners_.find(ip);
    if (found == owners_.end()) return nullptr;
    const Owner& owner = found->second;
    if (time_ns >= owner.newest.from_ns) return time_ns < owner.newest.to_ns ? owner.newest.endpoint : nullptr;
    return owner.history == kNoHistory ? nullptr : earlier(owner.history, time_ns);
  }

  /// Calls `use` with each tenure of the address, the youngest first.
  template <typename Use>
  void each(const IpAddress& ip, Use use) const {
    const auto found = owners_.find(ip);
    if (found == owners_.end()) return;
    use(found->second.newest);
    if (found->second.history == kNoHistory) return;
    const auto& history = histories_[found->second.history];
    std::for_each(history.rbegin(), history.rend(), use);
  }

 private:
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
  /// Slots of `histories_` that are free again.
  std::vector<std::uint32_t> free_histories_;
};

}  // namespace weir::cluster
