// Lowers CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy to rules.
//
// Cilium has no order: a denial of any policy beats every allowance, and pods that some policy isolates get only what
// some policy allows. So denials go to a tier of their own before all others, which says nothing of what it does not
// deny, and allowances among the Kubernetes NetworkPolicies of tier `default`, with which Cilium unites them.

#include <array>

#include "model/connection.h"
#include "policy/internal/lowered.h"

namespace weir::policy {
namespace {

using Node = model::Selector::Node;
using Kind = model::Selector::Kind;
using Over = EntitySelector::Over;

constexpr const char* kPodNamespace = "io.kubernetes.pod.namespace";
constexpr std::string_view kNamespaceLabels = "io.cilium.k8s.namespace.labels.";
constexpr const char* kPodServiceAccount = "io.cilium.k8s.policy.serviceaccount";

/// Cilium's keys as our effective labels call them. Returns whether one of them is about namespaces.
bool translate(Node& node) {
  bool about_namespaces = false;
  if (node.label == kPodNamespace) {
    node.label = kNamespaceLabel;
    about_namespaces = true;
  } else if (node.label.starts_with(kNamespaceLabels)) {
    node.label = kNamespacePrefix + node.label.substr(kNamespaceLabels.size());
    about_namespaces = true;
  } else if (node.label == kPodServiceAccount) {
    node.label = kServiceAccountLabel;
  }
  for (Node& child : node.children) about_namespaces |= translate(child);
  return about_namespaces;
}

/// Pods; of the policy's namespace, unless the selector speaks of namespaces itself.
EntitySelector pods_of(const std::optional<std::string>& namespace_name, const model::LabelSelector& selector,
                       bool always_own) {
  Node root = to_selector(selector).root();
  const bool about_namespaces = translate(root);
  std::vector<model::Selector> parts;
  parts.emplace_back(std::move(root));
  if (namespace_name && (always_own || !about_namespaces))
    parts.push_back(label_equals(kNamespaceLabel, *namespace_name));
  return {Over::kPods, all_of(std::move(parts))};
}

AddressSet everywhere(bool v4, bool v6) {
  AddressSet set;
  if (v4) set.include.push_back(IpPrefix::parse("0.0.0.0/0").value());
  if (v6) set.include.push_back(IpPrefix::parse("::/0").value());
  return set;
}

/// False: it is everybody.
bool lower_entity(model::CiliumEntity entity, PeerSet& peers, PeerSet& services) {
  using Entity = model::CiliumEntity;
  switch (entity) {
    case Entity::kAll:
      return false;
    case Entity::kWorld:
      peers.addresses.push_back(everywhere(true, true));
      break;
    case Entity::kWorldV4:
      peers.addresses.push_back(everywhere(true, false));
      break;
    case Entity::kWorldV6:
      peers.addresses.push_back(everywhere(false, true));
      break;
    case Entity::kCluster:
      peers.entities.push_back({Over::kPods, {}});
      peers.entities.push_back({Over::kNodes, {}});
      break;
    case Entity::kHost:
    case Entity::kRemoteNode:
      // Which node a pod is on is no part of its identity: both are all nodes.
      peers.entities.push_back({Over::kNodes, {}});
      break;
    case Entity::kKubeApiserver:
      services.services.push_back({"default", "kubernetes"});
      break;
    case Entity::kIngress:
    case Entity::kInit:
    case Entity::kHealth:
    case Entity::kUnmanaged:
    case Entity::kNone:
      break;
  }
  return true;
}

/// The peers of a rule: one set without, and one with endpoints of services, whose addresses may be pods'.
struct Peers {
  bool anyone = false;
  PeerSet plain, services;
};

Peers lower_peers(const std::optional<std::string>& namespace_name, const model::CiliumRule& rule) {
  Peers peers;
  // Blocks and the world are outside of the cluster.
  peers.plain.outside_only = peers.plain.no_nodes = true;
  peers.anyone = !rule.endpoints && !rule.cidrs && !rule.entities && !rule.fqdns && !rule.services && !rule.nodes;
  for (const model::LabelSelector& selector : rule.endpoints.value_or(std::vector<model::LabelSelector>{})) {
    peers.plain.entities.push_back(pods_of(namespace_name, selector, false));
  }
  for (const model::IpBlock& block : rule.cidrs.value_or(std::vector<model::IpBlock>{})) {
    peers.plain.addresses.push_back({{block.cidr}, block.except});
  }
  for (const model::CiliumEntity entity : rule.entities.value_or(std::vector<model::CiliumEntity>{})) {
    if (!lower_entity(entity, peers.plain, peers.services)) peers.anyone = true;
  }
  for (const model::CiliumFqdn& name : rule.fqdns.value_or(std::vector<model::CiliumFqdn>{})) {
    peers.plain.domains.push_back(name.match_name.empty() ? "~" + name.match_pattern : name.match_name);
  }
  for (const model::CiliumService& service : rule.services.value_or(std::vector<model::CiliumService>{})) {
    const bool own = service.namespace_name.empty() && namespace_name;
    peers.services.services.push_back({own ? *namespace_name : service.namespace_name, service.name});
  }
  for (const model::LabelSelector& selector : rule.nodes.value_or(std::vector<model::LabelSelector>{})) {
    peers.plain.entities.push_back({Over::kNodes, to_selector(selector)});
  }
  return peers;
}

void lower_traffic(const model::CiliumRule& given, Rule& rule) {
  if (given.ports.empty() && given.icmps.empty()) return;
  rule.traffic = TrafficSet::none();
  for (const model::CiliumPort& port : given.ports) {
    for (const std::uint8_t protocol : kPortProtocols) {
      if (port.protocol != 0 && port.protocol != protocol) continue;
      if (port.name.empty()) {
        rule.traffic.unite(TrafficSet::ports(protocol, port.first, port.last));
      } else {
        rule.port_names.push_back({protocol, port.name});
      }
    }
  }
  for (const model::CiliumIcmp& icmp : given.icmps) {
    const auto first = static_cast<std::uint16_t>(icmp.type << 8);
    rule.traffic.unite(TrafficSet::ports(icmp.v6 ? model::kProtoIcmp6 : model::kProtoIcmp, first,
                                         static_cast<std::uint16_t>(first | 0xFF)));
  }
}

void lower_rule(const std::optional<std::string>& namespace_name, const model::CiliumRule& given, std::int32_t index,
                std::vector<Rule>& rules) {
  Rule rule;
  rule.action = given.deny ? model::Action::kDeny : model::Action::kAllow;
  rule.index = index;
  if (given.malformed) {
    if (given.deny) rules.push_back(std::move(rule));
    return;
  }
  if (given.empty) return;
  lower_traffic(given, rule);
  rule.conditional = given.layer7;
  Peers peers = lower_peers(namespace_name, given);
  if (peers.anyone) {
    rules.push_back(std::move(rule));
    return;
  }
  if (!peers.services.services.empty()) {
    rules.push_back(rule);
    rules.back().peers = std::move(peers.services);
  }
  rule.peers = std::move(peers.plain);
  rules.push_back(std::move(rule));
}

std::string trace_name(const model::CiliumPolicy& policy, TraceNames names) {
  if (!policy.namespace_name) return (names == TraceNames::kKind ? "ccnp:" : "ccnp.default.") + policy.name;
  return names == TraceNames::kKind ? "cnp:" + *policy.namespace_name + "/" + policy.name
                                    : *policy.namespace_name + "/cnp.default." + policy.name;
}

/// The rules of one direction: those that deny, or the others. Each kind is counted for itself.
std::vector<Rule> rules_of(const model::CiliumPolicy& policy, const std::vector<model::CiliumRule>& given, bool deny) {
  std::vector<Rule> rules;
  std::int32_t index = 0;
  for (const model::CiliumRule& rule : given) {
    if (rule.deny == deny) lower_rule(policy.namespace_name, rule, index++, rules);
  }
  return rules;
}

}  // namespace

std::vector<Policy> lower(const model::CiliumPolicy& policy, TraceNames names) {
  // Those with a nodeSelector are for hosts.
  if (!policy.endpoint_selector) return {};
  const std::string kind = policy.namespace_name ? "CiliumNetworkPolicy" : "CiliumClusterwideNetworkPolicy";
  Policy allow;
  allow.order = 1'000;
  allow.name = trace_name(policy, names);
  allow.tie = policy.name + "/" + policy.namespace_name.value_or("") + "/" + kind;
  allow.identity = kind + "/" + policy.namespace_name.value_or("") + "/" + policy.name;
  allow.subject = pods_of(policy.namespace_name, *policy.endpoint_selector, true);
  Policy deny = allow;
  deny.tier = "cilium";
  for (const Direction direction : {Direction::kEgress, Direction::kIngress}) {
    const bool egress = direction == Direction::kEgress;
    const auto at = static_cast<std::size_t>(direction);
    const std::vector<model::CiliumRule> given =
        (egress ? policy.egress : policy.ingress).value_or(std::vector<model::CiliumRule>{});
    allow.isolates[at] = (egress ? policy.default_deny_egress : policy.default_deny_ingress).value_or(!given.empty());
    std::vector<Rule> allowing = rules_of(policy, given, false), denying = rules_of(policy, given, true);
    if (allow.isolates[at] || !allowing.empty()) allow.rules[at] = std::move(allowing);
    if (!denying.empty()) deny.rules[at] = std::move(denying);
  }
  std::vector<Policy> result;
  if (deny.rules[0] || deny.rules[1]) result.push_back(std::move(deny));
  if (allow.rules[0] || allow.rules[1]) result.push_back(std::move(allow));
  return result;
}

}  // namespace weir::policy
