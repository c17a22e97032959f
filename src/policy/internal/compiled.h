#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/endpoint.h"
#include "model/policy_set.h"
#include "policy/engine.h"
#include "policy/internal/bit_matrix.h"
#include "policy/internal/lowered.h"
#include "policy/internal/prefix_classes.h"
#include "policy/internal/traffic_classes.h"

/// The compiled form: direction x identity -> program -> tiers -> policies -> rules -> action, all as numbers.
///
/// An identity is all that policies can tell of a pod; pods of one identity share everything below. Identity 0 is "no
/// pod". The far end's identity and address class, and the class of protocol and port, are rows of bits that say which
/// sets hold them; rules name columns.
namespace weir::policy {

inline constexpr std::uint32_t kNoPod = 0;
/// The column that holds everything.
inline constexpr std::uint32_t kAnything = 0;

/// A run of elements of one of the tables.
struct Span {
  std::uint32_t first = 0, count = 0;
  std::uint32_t end() const { return first + count; }
};

/// 32 bytes.
struct RuleCode {
  /// Columns of `traffic_sets`, and of `pod_sets`, `address_sets` and domain rows.
  std::uint32_t traffic = kAnything, peers = kAnything;
  /// Elements of Compiled::rule_names: alternatives to `traffic`.
  Span names;
  /// Elements of Compiled::checks.
  Span checks;
  /// What it leaves in the trace.
  std::uint32_t hit = 0;
  model::Action action = model::Action::kAllow;
  bool conditional = false;
};

struct CheckCode {
  Check::Kind kind = Check::Kind::kSource;
  bool negate = false;
  /// kSource, kDest, kTraffic: a column. kService: an element of `services`. kHttp: of `http_matches`. kSourcePort: of
  /// `source_traffic`.
  std::uint32_t number = 0;
  /// kDestPort, kSourcePort: elements of rule_names.
  Span names;
};

/// The policies of one tier that apply to an identity, or its profiles: elements of Compiled::policy_refs.
struct TierCode {
  Span policies;
  /// What comes where no rule matches; kNoHit: nothing, the next tier is asked.
  std::uint32_t default_hit = 0;
  model::Action default_action = model::Action::kDeny;
};
inline constexpr std::uint32_t kNoHit = 0xFFFFFFFF;

/// A named port of an identity.
struct NamedPortCode {
  /// Number of the (name, protocol).
  std::uint32_t name = 0;
  std::uint16_t port = 0;
  std::uint8_t protocol = 0;
};

enum class Scope : std::uint8_t { kEnforced, kPending };
inline constexpr std::size_t kScopes = 2;

/// By Direction.
using ProgramPair = std::array<std::uint32_t, kDirections>;

struct IdentityCode {
  /// By Scope: elements of Compiled::programs.
  std::array<ProgramPair, kScopes> programs{};
  /// Elements of Compiled::tiers.
  ProgramPair profiles{};
  /// Elements of Compiled::named_ports.
  Span named_ports;
};

/// A host endpoint. Its four kinds of policies are programs of their own.
struct HostCode {
  const model::HostEndpoint* endpoint = nullptr;
  /// By HostStage and Scope.
  std::array<std::array<ProgramPair, kScopes>, 4> programs{};
  ProgramPair profiles{};
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

/// What a service leads to: address class and port must be of one subset.
struct ServiceCode {
  struct Subset {
    std::vector<bool> address_classes;
    TrafficSet traffic;
  };
  std::vector<Subset> subsets;
};

struct DomainPattern {
  std::string text;
  /// Columns of the peer sets that have it.
  std::vector<std::uint32_t> columns;
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
  std::vector<CheckCode> checks;
  std::vector<std::uint32_t> rule_names;
  std::vector<NamedPortCode> named_ports;
  std::vector<Hit> hits;
  std::vector<HostCode> hosts;

  TrafficClasses traffic_classes;
  PrefixClasses address_classes{{}};
  /// Traffic class, identity and address class by the sets that hold them. Address classes come twice: of addresses of
  /// no pod, and from address_classes.size() on of pods' addresses.
  BitMatrix traffic_sets, pod_sets, address_sets;
  std::uint32_t peer_columns = 1;
  /// Of nodes' addresses; kAnything if no node is known.
  std::uint32_t node_column = kAnything;

  /// What only few rules ask for.
  std::vector<ServiceCode> services;
  std::vector<model::HttpMatch> http_matches;
  std::vector<TrafficSet> source_traffic;
  TrafficClasses source_classes;
  std::vector<DomainPattern> domains;
  /// Columns of peer sets with any domain name, as words of bits; empty if there are none.
  std::vector<std::uint64_t> domain_columns;
};

}  // namespace weir::policy
