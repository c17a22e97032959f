// Lowers AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy to rules.

#include <array>

#include "model/connection.h"
#include "policy/internal/lowered.h"

namespace weir::policy {
namespace {

EntitySelector pods_of(const model::AdminPodSelector& selector) {
  return {EntitySelector::Over::kPods,
          all_of({to_selector(selector.namespace_selector, kNamespacePrefix), to_selector(selector.pod_selector)})};
}

/// False: not exactly one of its parts is set.
bool lower_peer(const model::AdminPeer& peer, PeerSet& peers) {
  const int parts = (peer.pods ? 1 : 0) + (peer.nodes ? 1 : 0) + (peer.networks.empty() ? 0 : 1) +
                    (peer.domain_names.empty() ? 0 : 1);
  if (parts != 1) return false;
  if (peer.pods) peers.entities.push_back(pods_of(*peer.pods));
  if (peer.nodes) peers.entities.push_back({EntitySelector::Over::kNodes, to_selector(*peer.nodes)});
  if (!peer.networks.empty()) peers.addresses.push_back({peer.networks, {}});
  peers.domains.insert(peers.domains.end(), peer.domain_names.begin(), peer.domain_names.end());
  return true;
}

void lower_port(const model::AdminPort& port, Rule& rule) {
  if (port.name.empty()) {
    rule.traffic.unite(TrafficSet::ports(port.protocol, port.first, port.last));
    return;
  }
  for (const std::uint8_t protocol : kPortProtocols) {
    if (port.protocol == 0 || port.protocol == protocol) rule.port_names.push_back({protocol, port.name});
  }
}

std::vector<Rule> lower_rules(const std::vector<model::AdminRule>& rules) {
  std::vector<Rule> lowered;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const model::AdminRule& given = rules[i];
    Rule rule;
    rule.action = given.action;
    rule.index = static_cast<std::int32_t>(i);
    rule.name = given.name;
    rule.peers.emplace();
    bool understood = !given.malformed && !given.peers.empty();
    for (const model::AdminPeer& peer : given.peers) understood &= lower_peer(peer, *rule.peers);
    if (!given.ports.empty()) rule.traffic = TrafficSet::none();
    for (const model::AdminPort& port : given.ports) lower_port(port, rule);
    // A name for other things than "allow" would forbid more than it says as soon as an answer is missed.
    understood &= rule.peers->domains.empty() || given.action == model::Action::kAllow;
    if (!understood) {
      // Fail closed: who wanted to deny or to look closer gets a denial of everything.
      if (given.action == model::Action::kAllow) continue;
      Rule closed;
      closed.action = model::Action::kDeny;
      closed.index = rule.index;
      closed.name = rule.name;
      rule = std::move(closed);
    }
    lowered.push_back(std::move(rule));
  }
  return lowered;
}

std::string trace_name(const model::AdminPolicy& policy, TraceNames names) {
  using Kind = model::AdminPolicy::Kind;
  const bool kind = names == TraceNames::kKind;
  if (policy.kind == Kind::kAdmin) return (kind ? "anp:" : "kanp.adminnetworkpolicy.") + policy.name;
  if (policy.kind == Kind::kBaseline) return (kind ? "banp:" : "kbanp.baselineadminnetworkpolicy.") + policy.name;
  if (kind) return "kcnp:" + policy.name;
  return (policy.baseline ? "kcnp.kube-baseline." : "kcnp.kube-admin.") + policy.name;
}

}  // namespace

std::vector<Policy> lower(const model::AdminPolicy& policy, TraceNames names) {
  if (policy.malformed) return {};
  using Kind = model::AdminPolicy::Kind;
  const bool baseline = policy.baseline || policy.kind == Kind::kBaseline;
  const std::string kind = policy.kind == Kind::kAdmin      ? "KubernetesAdminNetworkPolicy"
                           : policy.kind == Kind::kBaseline ? "KubernetesBaselineAdminNetworkPolicy"
                                                            : "KubernetesClusterNetworkPolicy";
  Policy lowered;
  lowered.tier = baseline ? "kube-baseline" : "kube-admin";
  lowered.order = policy.kind == Kind::kBaseline ? 0 : policy.priority;
  lowered.tie = policy.name + "//" + kind;
  lowered.name = trace_name(policy, names);
  lowered.identity = kind + "//" + policy.name;
  lowered.subject = pods_of(policy.subject);
  // A direction without rules says nothing, and its pods fall through to the next tier.
  if (!policy.egress.empty()) lowered.rules[static_cast<std::size_t>(Direction::kEgress)] = lower_rules(policy.egress);
  if (!policy.ingress.empty()) {
    lowered.rules[static_cast<std::size_t>(Direction::kIngress)] = lower_rules(policy.ingress);
  }
  std::vector<Policy> result;
  result.push_back(std::move(lowered));
  return result;
}

}  // namespace weir::policy
