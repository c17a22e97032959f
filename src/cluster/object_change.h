#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/objects.h"

namespace weir::cluster {

/// One object of any kind that the ledger knows.
using ClusterObject = std::variant<Pod, Namespace, Node, Service, ServiceBackends, Workload, PolicyObject, NetworkSet>;

/// One object that came, changed or went.
struct ObjectChange {
  enum class Action : std::uint8_t { kPut, kDelete };
  Action action = Action::kPut;
  /// It happened at `time_ns`, as near as clocks and the way to us allow: a watch told of it. False: it was found to be
  /// so at that time, and may be older (a listing).
  bool live = false;
  /// When we learnt it; kNoTime: it was so from the start (a manifest read before anything else).
  std::int64_t time_ns = kNoTime;
  /// Of a deleted object only kind, namespace, name and, for a pod, the uid count; a pod without a uid is whichever has
  /// the name.
  ClusterObject object;
};

/// "Pod/shop/web": the kind, namespace and name, equal for two states of one object and for nothing else. `with_uid`
/// appends that of a pod: two pods that had the name one after the other are then two.
std::string object_key(const ClusterObject& object, bool with_uid = false);

/// The objects one by one, in an order in which whoever applies them need not correct himself: owners before pods,
/// services before their backends.
std::vector<ClusterObject> flatten(ClusterObjects objects);

}  // namespace weir::cluster
