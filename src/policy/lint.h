#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
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

struct LintCheck {
  std::string_view name;
  /// What it finds.
  std::string_view what;
};
/// Every check, by name.
std::span<const LintCheck> lint_checks();

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

/// All findings of lint_checks(), by object, path and check.
/// Cost: every pair of policies whose pods overlap. Errors: as Engine::create().
Result<std::vector<Finding>> lint(const LintInputs& inputs);

}  // namespace weir::policy
