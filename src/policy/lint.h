#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "model/endpoint.h"
#include "model/policy_set.h"

/// What is odd about the policies of a cluster.
namespace weir::policy {

enum class Severity : std::uint8_t {
  kInfo,     ///< it may be meant so
  kWarning,  ///< it does other than it seems to
  kError,    ///< it cannot do what it says
};
/// "info", "warning", "error".
const char* to_string(Severity severity);

struct Finding {
  Severity severity = Severity::kWarning;
  /// Which check found it: "unreachable-rule".
  std::string check;
  /// "NetworkPolicy shop/web".
  std::string object;
  /// Within it: "spec.ingress[1]"; may be empty.
  std::string path;
  std::string what;
  /// How to repair it.
  std::string repair;
};

/// A service as clients and pods see it.
struct LintService {
  std::string namespace_name, name;
  struct Port {
    std::uint8_t protocol = 6;
    /// What clients address, and what the pods behind it listen on.
    std::uint16_t port = 0;
    std::vector<std::uint16_t> targets;
  };
  std::vector<Port> ports;
  /// Of the pods behind it.
  std::vector<IpAddress> addresses;
};

struct LintInputs {
  model::PolicySet policies;
  /// As EngineInputs::pods. Without any, what needs to know them is not asked.
  std::vector<const model::Endpoint*> pods;
  std::vector<LintService> services;
};

/// All findings, by object, path and check.
///
/// Checks: selectors that select nobody; labels that nobody has but somebody has almost; rules that are never reached,
/// whole policies too; pods that may not ask DNS; equal priorities that overlap; blocks of addresses that hold pods; a
/// service's port where the pods' is wanted; names of ports that nobody declares; policyTypes that do other than the
/// rules suggest; tiers that do not exist; admin rules that fail closed; staged deletions of nothing.
/// Cost: every pair of policies whose pods overlap. Errors: as Engine::create().
Result<std::vector<Finding>> lint(const LintInputs& inputs);

}  // namespace weir::policy
