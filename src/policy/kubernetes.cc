// Lowers networking.k8s.io/v1 NetworkPolicy to rules.

#include <algorithm>

#include "model/connection.h"
#include "policy/internal/tiers.h"

namespace weir::policy {
namespace {

bool has_ports(std::uint8_t protocol) {
  return protocol == model::kProtoTcp || protocol == model::kProtoUdp || protocol == model::kProtoSctp;
}

void lower_peer(const std::string& namespace_name, const model::NetworkPolicyPeer& peer, Rule& rule) {
  if (peer.ip_block) {
    // The API forbids selectors beside an ipBlock.
    if (!peer.pod_selector && !peer.namespace_selector) rule.blocks.push_back(&*peer.ip_block);
    return;
  }
  if (!peer.pod_selector && !peer.namespace_selector) return;
  PodSelector selector;
  if (peer.namespace_selector) {
    selector.namespaces = &*peer.namespace_selector;
  } else {
    selector.namespace_name = namespace_name;
  }
  if (peer.pod_selector) selector.pods = &*peer.pod_selector;
  rule.pods.push_back(std::move(selector));
}

void lower_port(const model::NetworkPolicyPort& port, Rule& rule) {
  // The API knows no other protocols; such an item matches nothing rather than everything.
  if (!has_ports(port.protocol)) return;
  if (!port.port_name.empty()) {
    rule.port_names.push_back({port.protocol, port.port_name});
  } else if (!port.port) {
    rule.ports.push_back({port.protocol, 0, 65'535});
  } else if (const std::uint16_t last = port.end_port.value_or(*port.port); last >= *port.port) {
    rule.ports.push_back({port.protocol, *port.port, last});
  }
}

std::vector<Rule> lower_rules(const std::string& namespace_name, const std::vector<model::NetworkPolicyRule>& rules) {
  std::vector<Rule> lowered;
  lowered.reserve(rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) {
    Rule rule;
    rule.index = static_cast<std::int32_t>(i);
    rule.any_peer = rules[i].peers.empty();
    for (const model::NetworkPolicyPeer& peer : rules[i].peers) lower_peer(namespace_name, peer, rule);
    rule.any_port = rules[i].ports.empty();
    for (const model::NetworkPolicyPort& port : rules[i].ports) lower_port(port, rule);
    lowered.push_back(std::move(rule));
  }
  return lowered;
}

std::string policy_name(const model::NetworkPolicy& policy, TraceNames names) {
  return names == TraceNames::kKind ? "knp:" + policy.namespace_name + "/" + policy.name
                                    : policy.namespace_name + "/knp.default." + policy.name;
}

}  // namespace

Tier lower_network_policies(const std::vector<model::NetworkPolicy>& policies, TraceNames names) {
  std::vector<const model::NetworkPolicy*> ordered;
  ordered.reserve(policies.size());
  for (const model::NetworkPolicy& policy : policies) ordered.push_back(&policy);
  // Calico's tie-break compares "name/namespace/kind" as one text, which puts "web-2" before "web".
  const auto sort_key = [](const model::NetworkPolicy& policy) { return policy.name + "/" + policy.namespace_name; };
  std::stable_sort(ordered.begin(), ordered.end(),
                   [&](const auto* a, const auto* b) { return sort_key(*a) < sort_key(*b); });
  Tier tier;
  tier.name = "default";
  tier.default_action = model::Action::kDeny;
  for (const model::NetworkPolicy* policy : ordered) {
    Policy lowered;
    lowered.name = policy_name(*policy, names);
    lowered.subject.namespace_name = policy->namespace_name;
    lowered.subject.pods = &policy->pod_selector;
    if (policy->applies_egress) {
      lowered.rules[static_cast<std::size_t>(Direction::kEgress)] = lower_rules(policy->namespace_name, policy->egress);
    }
    if (policy->applies_ingress) {
      lowered.rules[static_cast<std::size_t>(Direction::kIngress)] =
          lower_rules(policy->namespace_name, policy->ingress);
    }
    tier.policies.push_back(std::move(lowered));
  }
  return tier;
}

std::string namespace_profile_name(const std::string& namespace_name, TraceNames names) {
  return (names == TraceNames::kKind ? "pro:kns." : "__PROFILE__.kns.") + namespace_name;
}

}  // namespace weir::policy
