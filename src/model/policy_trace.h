#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::model {

enum class Action : std::uint8_t { kAllow, kDeny, kPass };

/// "allow", "deny", "pass".
const char* to_string(Action action);

/// The ordered policies and rules that decided one direction of a connection at one endpoint.
///
/// Immutable and interned by the policy engine: equal traces have equal pointers.
struct PolicyTrace {
  /// "<index>|<tier>|<policy>|<action>|<rule index>", in evaluation order.
  std::vector<std::string> entries;
  Action verdict = Action::kAllow;
};

}  // namespace weir::model
