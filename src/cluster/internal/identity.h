#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "cluster/objects.h"
#include "model/endpoint.h"

namespace weir::cluster {

struct ByContent {
  bool operator()(const model::LabelSet& a, const model::LabelSet& b) const { return a.pairs < b.pairs; }
  bool operator()(const model::EndpointGroup& a, const model::EndpointGroup& b) const {
    return std::tie(a.type, a.namespace_name, a.name_aggr, a.workload, a.workload_kind) <
           std::tie(b.type, b.namespace_name, b.name_aggr, b.workload, b.workload_kind);
  }
  bool operator()(const model::ServiceRef& a, const model::ServiceRef& b) const {
    return std::tie(a.namespace_name, a.name, a.port_name, a.port) <
           std::tie(b.namespace_name, b.name, b.port_name, b.port);
  }
};

/// Owns values; equal ones once.
template <typename T>
class Interner {
 public:
  const T* intern(T value) { return &*values_.insert(std::move(value)).first; }

 private:
  std::set<T, ByContent> values_;
};

/// What a pod belongs to in the end: name and kind of its workload.
struct WorkloadName {
  std::string name;
  std::string kind;
};

/// Makes endpoints of objects: their names, groups and workloads. Owns what it makes.
class IdentityMaker {
 public:
  /// Whether owner chains through it may now end elsewhere.
  bool put_workload(const Workload& workload);
  bool remove_workload(const Workload& workload);

  /// Not stored yet: keep() does that.
  model::Endpoint pod(const Pod& pod);
  /// The group that the pod has by what is known of its owners now.
  const model::EndpointGroup* pod_group(const model::Endpoint& pod, const OwnerRef& controller);
  model::Endpoint network_set(const NetworkSet& set);
  model::Endpoint host(const Node& node);
  /// "pub" or "pvt".
  model::Endpoint address(const char* group);
  const model::Endpoint* keep(model::Endpoint endpoint) { return &endpoints_.emplace_back(std::move(endpoint)); }

  /// Whether a pod's owner is of a kind that has owners itself.
  static bool in_a_chain(const OwnerRef& owner) { return owner.kind == "ReplicaSet" || owner.kind == "Job"; }
  static std::string owner_key(std::string_view kind, std::string_view namespace_name, std::string_view name);

 private:
  WorkloadName workload_of(std::string_view namespace_name, std::string_view name, const model::LabelSet& labels,
                           const OwnerRef& controller) const;

  /// The controllers of the owner objects, by owner_key().
  absl::flat_hash_map<std::string, std::optional<OwnerRef>> controllers_;
  Interner<model::LabelSet> labels_;
  Interner<model::EndpointGroup> groups_;
  std::deque<model::Endpoint> endpoints_;
};

}  // namespace weir::cluster
