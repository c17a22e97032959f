#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "cluster/internal/identity.h"
#include "cluster/internal/tenures.h"
#include "cluster/objects.h"
#include "model/endpoint.h"

namespace weir::cluster {

/// Pods by name and by address, each in its time.
class PodTable {
 public:
  /// Both outlive the table. Pods hold their addresses in `tenures`.
  PodTable(IdentityMaker& identities, Tenures& tenures) : identities_(identities), tenures_(tenures) {}

  /// A pod as it is at `time_ns`, `live` as in ObjectChange. Returns whether there is a new endpoint.
  bool put(const Pod& pod, std::int64_t time_ns, bool live);
  /// Its addresses stay its own for the grace, unless a younger pod takes them. Returns whether there was such a pod.
  bool remove(const Pod& pod, std::int64_t time_ns, bool live);
  /// What is known of an owner object changed: its pods may belong to another workload from now on.
  bool regroup(const Workload& owner, std::int64_t time_ns);

  /// Drops what is kept of pods that are gone, but not their endpoints.
  void forget();

  const model::Endpoint* owner_since(const IpAddress& ip, std::int64_t interface_since_ns, std::int64_t time_ns) const;
  const std::vector<const model::Endpoint*>& pods() const { return pods_; }
  const model::Endpoint* named(std::string_view namespace_name, std::string_view name) const;
  bool any_in(std::string_view namespace_name) const;

 private:
  /// The newest pod of a name.
  struct NamedPod {
    /// Null: it has no address yet.
    const model::Endpoint* endpoint = nullptr;
    /// Hash of the uid.
    std::uint64_t uid = 0;
    std::int64_t from_ns = kNoTime;
    /// When it was there at the latest: the bound before which it cannot have held an address.
    std::int64_t born_ns = kNoTime;
  };
  /// By pod_index.
  struct Life {
    /// Not before: the API's time, in whole seconds.
    std::int64_t created_ns;
    /// NamedPod::born_ns.
    std::int64_t born_ns;
    std::int64_t to_ns;
    /// When we saw it deleted; kNoTime otherwise.
    std::int64_t released_ns;
    /// The first endpoint of this pod.
    std::int32_t first_index;
  };

  void add(NamedPod& named, model::Endpoint made, std::int64_t from_ns, std::int64_t to_ns, const OwnerRef* owner,
           Life life);
  void end(const model::Endpoint& endpoint, std::int64_t time_ns);
  /// Whether the endpoint is that of a pod as it is now.
  bool is_current(const model::Endpoint& endpoint) const;
  /// The life that decides who of several claimants had the address when the interface came to be; null if none had.
  const Life* life_since(const IpAddress& ip, std::int64_t interface_since_ns) const;

  IdentityMaker& identities_;
  Tenures& tenures_;
  absl::flat_hash_map<std::string, NamedPod> named_;
  std::vector<const model::Endpoint*> pods_;
  std::vector<Life> lives_;
  /// The pods (their pod_index) of owners that have owners themselves, by IdentityMaker::owner_key().
  absl::flat_hash_map<std::string, std::vector<std::int32_t>> owned_;
};

}  // namespace weir::cluster
