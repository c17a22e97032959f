#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/connection.h"
#include "model/policy_set.h"
#include "model/selector.h"
#include "policy/engine.h"
#include "policy/internal/prefix_classes.h"
#include "policy/internal/traffic_set.h"

/// What every policy API is lowered to before it is compiled. Nothing here refers to pods or to other objects than the
/// policy itself, so that a policy is lowered once, however often the rest of the cluster changes.
///
/// Entities are what owns addresses: pods, network sets, host endpoints. Selectors see their effective labels: their
/// own; projectcalico.org/namespace, /serviceaccount and /orchestrator; the namespace's with the prefix "pcns." and the
/// service account's with "pcsa."; and what profiles hand down.
namespace weir::policy {

enum class Direction : std::uint8_t { kEgress, kIngress };
inline constexpr std::size_t kDirections = 2;

/// Those with ports; rules that name ports and no protocol mean all of them.
inline constexpr std::array<std::uint8_t, 3> kPortProtocols = {model::kProtoTcp, model::kProtoUdp, model::kProtoSctp};

inline constexpr const char* kNamespaceLabel = "projectcalico.org/namespace";
inline constexpr const char* kServiceAccountLabel = "projectcalico.org/serviceaccount";
inline constexpr const char* kOrchestratorLabel = "projectcalico.org/orchestrator";
inline constexpr const char* kNamespacePrefix = "pcns.";
inline constexpr const char* kServiceAccountPrefix = "pcsa.";

struct EntitySelector {
  enum class Over : std::uint8_t {
    kPods,
    kEndpoints,  ///< pods, network sets and host endpoints
    kNodes,      ///< node objects, by their own labels; they own the node's addresses
  };
  Over over = Over::kPods;
  model::Selector selector;

  /// Equal for selectors that select the same.
  std::string canonical() const;
};

struct ServiceKey {
  std::string namespace_name, name;
  friend auto operator<=>(const ServiceKey&, const ServiceKey&) = default;
};

/// One end of a connection is in the set if any part holds it.
struct PeerSet {
  std::vector<EntitySelector> entities;
  std::vector<AddressSet> addresses;
  /// The addresses of these services' endpoints.
  std::vector<ServiceKey> services;
  /// Names that the address was an answer to: "example.org", "*.example.org", or with a '*' anywhere (Cilium).
  std::vector<std::string> domains;
  /// `addresses` do not hold those of pods.
  bool outside_only = false;
  /// Not the addresses of nodes either.
  bool no_nodes = false;

  std::string canonical() const;
};

struct PortName {
  std::uint8_t protocol = 6;
  std::string name;
};

/// What a rule asks for beside its peer, its protocols and its destination port.
struct Check {
  enum class Kind : std::uint8_t {
    kSource,      ///< `peers` holds the source
    kDest,        ///< `peers` holds the destination
    kTraffic,     ///< `traffic` holds protocol and destination port
    kDestPort,    ///< the destination declares one of `names` for its port
    kSourcePort,  ///< `traffic` holds protocol and source port, or the source declares one of `names` for it
    kService,     ///< the destination is an endpoint of `service`, at its port
    kHttp,
  };
  Kind kind = Kind::kSource;
  /// It must not hold.
  bool negate = false;
  /// How the policy's text calls it, for explanations: "source.notSelector".
  const char* term = "";
  PeerSet peers;
  TrafficSet traffic;
  std::vector<PortName> names;
  ServiceKey service;
  model::HttpMatch http;
};

/// Everything must hold.
struct Rule {
  model::Action action = model::Action::kAllow;
  /// As traces show it.
  std::int32_t index = 0;
  /// For display.
  std::string name;
  /// The far end; absent: anyone.
  std::optional<PeerSet> peers;
  /// Protocol and destination port; or the destination declares one of `port_names` for it.
  TrafficSet traffic = TrafficSet::all();
  std::vector<PortName> port_names;
  std::vector<Check> checks;
  /// An L7 rule may still refuse what this allows.
  bool conditional = false;
};

inline constexpr double kNoOrder = std::numeric_limits<double>::infinity();

struct Policy {
  std::string tier = "default";
  double order = kNoOrder;
  /// Decides among equal orders: "name/namespace/kind".
  std::string tie;
  /// As traces show it.
  std::string name;
  /// Kind (of the enforced form), namespace and name.
  std::string identity;
  model::StagedAction staged = model::StagedAction::kNone;
  EntitySelector subject;
  /// What it is for. Host policies that are not untracked nor preDNAT are for traffic of the host itself, and with
  /// `forward` for what passes through it too.
  bool pods = true, hosts = false;
  bool untracked = false, pre_dnat = false, forward = false;
  /// By Direction; absent: the policy does not apply in that direction.
  std::array<std::optional<std::vector<Rule>>, kDirections> rules;
  /// By Direction: whether its tier's default action concerns those it selects and no rule matches.
  std::array<bool, kDirections> isolates = {true, true};
};

// The front ends: each object becomes any number of policies.
std::vector<Policy> lower(const model::NetworkPolicy& policy, TraceNames names);
std::vector<Policy> lower(const model::AdminPolicy& policy, TraceNames names);
std::vector<Policy> lower(const model::CalicoPolicy& policy, TraceNames names);
std::vector<Policy> lower(const model::CiliumPolicy& policy, TraceNames names);
/// Its rules; pass is deny. Of direction kIngress or kEgress.
std::vector<Rule> lower_profile(const model::Profile& profile, Direction direction);

/// The name in traces of a profile; empty: of "no profile matched".
std::string profile_trace_name(const std::string& profile, TraceNames names);

// Parts that front ends share.

/// `and` of all; all() of none.
model::Selector all_of(std::vector<model::Selector> selectors);
model::Selector label_equals(std::string key, std::string value);
model::Selector to_selector(const model::LabelSelector& selector, const std::string& key_prefix = "");
/// The keys with a prefix.
model::Selector prefixed(const model::Selector& selector, const std::string& key_prefix);

}  // namespace weir::policy
