#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/objects.h"
#include "policy/engine.h"

namespace weir::app {

struct TraceQuestion {
  /// "namespace/pod" or an address; the destination with ":PORT" unless the protocol has no ports.
  std::string source, dest;
  std::uint8_t protocol = 6;
  /// Tell the walk with staged policies in force.
  bool staged = false;
  /// Policies, pods and addresses as they were then; absent: as they are now.
  std::optional<std::int64_t> time_ns;
  bool json = false;
  policy::EngineOptions engine;
};

/// Whether the destination has the port that its protocol wants.
Status check_addresses(const TraceQuestion& question);

/// `weir policy trace`: how the policies of a cluster decide one connection, both ends, rule by rule, as text or JSON.
/// An address that is a pod's is that pod; one that is a service's is told as the first pod behind it.
Result<std::string> trace_policies(cluster::ClusterObjects objects, const TraceQuestion& question);

}  // namespace weir::app
