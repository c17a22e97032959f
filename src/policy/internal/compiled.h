#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/endpoint.h"
#include "policy/engine.h"
#include "policy/internal/bit_sets.h"
#include "policy/internal/port_classes.h"
#include "policy/internal/prefix_classes.h"
#include "policy/internal/tiers.h"

/// The compiled form: direction x identity -> program -> tiers -> policies -> rules -> action, all as numbers.
///
/// An identity is all that policies can tell of a pod: its namespace, those of its labels that some selector names, and
/// those of its named ports that some rule names. Pods of one identity share everything below; identity 0 is "no pod".
namespace weir::policy {

inline constexpr std::uint32_t kNoPod = 0;

/// A run of elements of one of the tables.
struct Span {
  std::uint32_t first = 0, count = 0;
};

struct RuleCode {
  /// Sets of port classes, identities and address classes (columns of the matrices below).
  std::uint32_t ports = 0, pods = 0, blocks = 0;
  /// Named ports: elements of Compiled::rule_names.
  Span names;
  /// What it leaves in the trace.
  std::uint32_t hit = 0;
  model::Action action = model::Action::kAllow;
};

/// The policies of one tier that apply to an identity: elements of Compiled::policy_refs.
struct TierCode {
  Span policies;
  std::uint32_t default_hit = 0;
  model::Action default_action = model::Action::kDeny;
};

/// A named port of an identity.
struct NamedPortCode {
  /// Number of the (name, protocol).
  std::uint32_t name = 0;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
};

struct IdentityCode {
  /// By Direction: an element of Compiled::programs.
  std::array<std::uint32_t, 2> programs{};
  std::uint32_t profile_hit = 0;
  /// Elements of Compiled::named_ports.
  Span named_ports;
};

/// One element of a trace.
struct Hit {
  /// "tier|policy|action|rule"
  std::string text;
  model::Action action = model::Action::kAllow;
};

struct PodCode {
  const model::Endpoint* endpoint = nullptr;
  std::uint32_t identity = kNoPod;
};

struct Compiled {
  /// By pod_index.
  std::vector<PodCode> pods;
  std::vector<IdentityCode> identities;
  /// Elements of `tiers`.
  std::vector<Span> programs;
  std::vector<TierCode> tiers;
  /// Elements of `policies`, which are elements of `rules`. A policy has one entry for each direction.
  std::vector<std::uint32_t> policy_refs;
  std::vector<Span> policies;
  std::vector<RuleCode> rules;
  std::vector<std::uint32_t> rule_names;
  std::vector<NamedPortCode> named_ports;
  std::vector<Hit> hits;

  PortClasses port_classes;
  PrefixClasses address_classes{{}};
  /// Port class, identity and address class by the sets that hold them.
  BitMatrix port_sets, pod_sets, block_sets;
};

Result<Compiled> compile(const EngineOptions& options, const EngineInputs& inputs);

}  // namespace weir::policy
