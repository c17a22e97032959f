#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/internal/service_table.h"
#include "cluster/internal/timeline.h"
#include "cluster/object_change.h"
#include "cluster/objects.h"
#include "model/policy_set.h"

namespace weir::cluster {

/// Everything that decides verdicts, each object in its time.
class PolicyTable {
 public:
  /// It outlives the table.
  explicit PolicyTable(const ServiceTable& services) : services_(services) {}

  // Whether a verdict may be another one now.
  bool put(const PolicyObject& object, const ObjectChange& change);
  bool put(const Namespace& object, const ObjectChange& change);
  bool put(const Node& node, const ObjectChange& change);
  bool put(const NetworkSet& set, const ObjectChange& change);
  /// Of any of these kinds.
  bool remove(const ClusterObject& object, const ObjectChange& change);
  /// Some service's endpoints moved.
  bool services_changed(const ObjectChange& change);

  /// As it is now; valid until the next change.
  const model::PolicySet& now() const { return now_; }
  model::PolicySet at(std::int64_t time_ns) const;
  /// Since when what held at the time did so; kNoTime: from the start.
  std::int64_t since(std::int64_t time_ns) const;
  void forget(std::int64_t time_ns);

 private:
  template <typename T>
  bool store(Timeline<T>& line, const std::string& key, T object, std::int64_t created_ns, const ObjectChange& change);
  bool store_cilium(const std::string& key, const PolicyObject& object, const ObjectChange& change);
  bool remove_cilium(const std::string& key, std::size_t from, std::int64_t time_ns);
  bool remove_policy(const PolicyObject& object, const std::string& key, std::int64_t time_ns);
  bool ended(bool changed, std::int64_t time_ns);
  void name_services(const PolicyObject& object);
  model::SharedList<model::ServiceEndpoints> services_at(std::int64_t time_ns) const;

  const ServiceTable& services_;
  model::PolicySet now_;
  Timeline<model::NetworkPolicy> network_policies_{now_.network_policies};
  Timeline<model::AdminPolicy> admin_policies_{now_.admin_policies};
  Timeline<model::CalicoPolicy> calico_policies_{now_.calico_policies};
  Timeline<model::CiliumPolicy> cilium_policies_{now_.cilium_policies};
  Timeline<model::Tier> tiers_{now_.tiers};
  Timeline<model::Profile> profiles_{now_.profiles};
  Timeline<model::WorkloadEndpoint> workload_endpoints_{now_.workload_endpoints};
  Timeline<model::HostEndpoint> host_endpoints_{now_.host_endpoints};
  Timeline<model::NamespaceInfo> namespaces_{now_.namespaces};
  Timeline<model::ServiceAccountInfo> service_accounts_{now_.service_accounts};
  Timeline<model::NodeInfo> nodes_{now_.nodes};
  Timeline<model::NetworkSetInfo> network_sets_{now_.network_sets};
  /// Namespace and name of those that a rule names, or did.
  std::set<std::pair<std::string, std::string>> named_services_;
  /// When something began or ended.
  std::set<std::int64_t> changes_;
};

}  // namespace weir::cluster
