#pragma once

#include <cstdint>
#include <string>

#include "model/connection.h"
#include "model/policy_trace.h"

namespace weir::model {

/// What decided in the data plane.
enum class HitKind : std::uint8_t {
  kPolicyRule,   ///< a rule of a policy
  kProfileRule,  ///< a rule of a profile (the namespace's, when no policy applies)
  kTierEnd,      ///< policies of a tier apply, none of their rules matched: the tier's default action
  kNoProfile,    ///< no profile matched: drop
};

/// A packet that a rule of the data plane decided, as the kernel told us (NFLOG): usually a connection's first packet,
/// once per rule it passed and direction.
struct PolicyHit {
  /// Of the packet, after DNAT, in the direction of the connection.
  Tuple tuple;
  /// The destination before DNAT; equal to the tuple's where no DNAT is known.
  IpAddress original_dest;
  std::uint16_t original_dest_port = 0;
  /// Policy of the sending end (egress) or of the receiving one (ingress).
  bool egress = false;
  Action action = Action::kAllow;
  HitKind kind = HitKind::kPolicyRule;
  /// Policy or profile: "knp/shop/web", "gnp/name", "kns.shop"; tier end: the tier's name, or a policy's where the
  /// data plane names that; empty for kNoProfile.
  std::string id;
  /// Of the rule in its policy or profile and direction; -1 for tier ends.
  std::int32_t rule = -1;
  /// Nanoseconds since the Unix epoch.
  std::int64_t time_ns = 0;
  /// Merged hits of one tuple and rule: how many packets, and their IP length.
  std::uint32_t packets = 1;
  std::uint64_t bytes = 0;
};

}  // namespace weir::model
