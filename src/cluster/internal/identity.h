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
  explicit IdentityMaker(const std::vector<Workload>& workloads);

  /// Not stored yet: keep() does that.
  model::Endpoint pod(const Pod& pod);
  model::Endpoint network_set(const NetworkSet& set);
  model::Endpoint host(const Node& node);
  /// "pub" or "pvt".
  model::Endpoint address(const char* group);
  const model::Endpoint* keep(model::Endpoint endpoint) { return &endpoints_.emplace_back(std::move(endpoint)); }

 private:
  WorkloadName workload_of(const Pod& pod) const;

  /// The controllers of the owner objects, by "kind/namespace/name".
  absl::flat_hash_map<std::string, std::optional<OwnerRef>> controllers_;
  Interner<model::LabelSet> labels_;
  Interner<model::EndpointGroup> groups_;
  std::deque<model::Endpoint> endpoints_;
};

}  // namespace weir::cluster
