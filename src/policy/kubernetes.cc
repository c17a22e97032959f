// Lowers networking.k8s.io/v1 NetworkPolicy to rules.

#include "model/connection.h"
#include "policy/internal/lowered.h"

namespace weir::policy {
namespace {

bool has_ports(std::uint8_t protocol) {
  return protocol == model::kProtoTcp || protocol == model::kProtoUdp || protocol == model::kProtoSctp;
}

void lower_peer(const std::string& namespace_name, const model::NetworkPolicyPeer& peer, PeerSet& peers) {
  if (peer.ip_block) {
    // The API forbids selectors beside an ipBlock.
    if (!peer.pod_selector && !peer.namespace_selector) {
      peers.addresses.push_back({{peer.ip_block->cidr}, peer.ip_block->except});
    }
    return;
  }
  if (!peer.pod_selector && !peer.namespace_selector) return;
  std::vector<model::Selector> parts;
  if (peer.namespace_selector) {
    parts.push_back(to_selector(*peer.namespace_selector, kNamespacePrefix));
  } else {
    parts.push_back(label_equals(kNamespaceLabel, namespace_name));
  }
  if (peer.pod_selector) parts.push_back(to_selector(*peer.pod_selector));
  peers.entities.push_back({EntitySelector::Over::kPods, all_of(std::move(parts))});
}

void lower_port(const model::NetworkPolicyPort& port, Rule& rule) {
  // The API knows no other protocols; such an item matches nothing rather than everything.
  if (!has_ports(port.protocol)) return;
  if (!port.port_name.empty()) {
    rule.port_names.push_back({port.protocol, port.port_name});
    return;
  }
  const std::uint16_t first = port.port.value_or(0);
  const std::uint16_t last = port.port ? port.end_port.value_or(first) : 65'535;
  rule.traffic.unite(TrafficSet::ports(port.protocol, first, last));
}

std::vector<Rule> lower_rules(const std::string& namespace_name, const std::vector<model::NetworkPolicyRule>& rules) {
  std::vector<Rule> lowered;
  lowered.reserve(rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) {
    Rule rule;
    rule.index = static_cast<std::int32_t>(i);
    if (!rules[i].peers.empty()) rule.peers.emplace();
    for (const model::NetworkPolicyPeer& peer : rules[i].peers) lower_peer(namespace_name, peer, *rule.peers);
    if (!rules[i].ports.empty()) rule.traffic = TrafficSet::none();
    for (const model::NetworkPolicyPort& port : rules[i].ports) lower_port(port, rule);
    lowered.push_back(std::move(rule));
  }
  return lowered;
}

std::string trace_name(const model::NetworkPolicy& policy, TraceNames names) {
  const bool staged = policy.staged != model::StagedAction::kNone;
  const std::string& ns = policy.namespace_name;
  if (names == TraceNames::kKind) return (staged ? "sknp:" : "knp:") + ns + "/" + policy.name;
  return ns + (staged ? "/staged:knp.default." : "/knp.default.") + policy.name;
}

}  // namespace

std::vector<Policy> lower(const model::NetworkPolicy& policy, TraceNames names) {
  Policy lowered;
  // Where Calico puts them; it ties among each other by name, which makes traces reproducible.
  lowered.order = 1'000;
  const std::string kind =
      policy.staged == model::StagedAction::kNone ? "KubernetesNetworkPolicy" : "StagedKubernetesNetworkPolicy";
  lowered.tie = policy.name + "/" + policy.namespace_name + "/" + kind;
  lowered.name = trace_name(policy, names);
  lowered.identity = "KubernetesNetworkPolicy/" + policy.namespace_name + "/" + policy.name;
  lowered.staged = policy.staged;
  lowered.subject.selector =
      all_of({label_equals(kNamespaceLabel, policy.namespace_name), to_selector(policy.pod_selector)});
  if (policy.applies_egress) {
    lowered.rules[static_cast<std::size_t>(Direction::kEgress)] = lower_rules(policy.namespace_name, policy.egress);
  }
  if (policy.applies_ingress) {
    lowered.rules[static_cast<std::size_t>(Direction::kIngress)] = lower_rules(policy.namespace_name, policy.ingress);
  }
  std::vector<Policy> result;
  result.push_back(std::move(lowered));
  return result;
}

}  // namespace weir::policy
