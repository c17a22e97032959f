// Lowers Calico's policies and profiles to rules.

#include <algorithm>
#include <array>

#include "model/connection.h"
#include "policy/internal/lowered.h"

namespace weir::policy {
namespace {

using Node = model::Selector::Node;
using Kind = model::Selector::Kind;
using Over = EntitySelector::Over;

/// all() is who is in a namespace, global() who is in none.
model::Selector namespace_condition(const model::Selector& selector) {
  const Node has{Kind::kHas, kNamespaceLabel, {}, {}};
  if (selector.is_all()) return model::Selector(has);
  if (selector.root().kind == Kind::kGlobal) return model::Selector(Node{Kind::kNot, {}, {}, {has}});
  return prefixed(selector, kNamespacePrefix);
}

model::Selector account_condition(const model::ServiceAccountMatch& match) {
  std::vector<model::Selector> parts;
  if (!match.names.empty()) {
    std::vector<std::string> names = match.names;
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    parts.emplace_back(Node{Kind::kIn, kServiceAccountLabel, std::move(names), {}});
  }
  if (match.selector) parts.push_back(prefixed(*match.selector, kServiceAccountPrefix));
  return all_of(std::move(parts));
}

/// Numbers of any protocol with ports, and names of those that `protocols` holds.
void lower_ports(const std::vector<model::PortMatch>& ports, const TrafficSet& protocols, TrafficSet& numbers,
                 std::vector<PortName>& names) {
  for (const model::PortMatch& port : ports) {
    for (const std::uint8_t protocol : kPortProtocols) {
      if (port.name.empty()) {
        numbers.unite(TrafficSet::ports(protocol, port.first, port.last));
      } else if (!protocols.ported()[static_cast<std::size_t>(ported_slot(protocol))].empty()) {
        names.push_back({protocol, port.name});
      }
    }
  }
}

TrafficSet icmp_set(const model::IcmpMatch& match) {
  std::uint16_t first = 0, last = 65'535;
  if (match.type) {
    first = static_cast<std::uint16_t>(*match.type << 8 | match.code.value_or(0));
    last = static_cast<std::uint16_t>(*match.type << 8 | match.code.value_or(255));
  }
  TrafficSet set = TrafficSet::ports(model::kProtoIcmp, first, last);
  set.unite(TrafficSet::ports(model::kProtoIcmp6, first, last));
  return set;
}

TrafficSet protocols_of(const model::CalicoRule& rule) {
  TrafficSet set = rule.protocol ? TrafficSet::protocol(*rule.protocol) : TrafficSet::all();
  if (rule.not_protocol) set.subtract(TrafficSet::protocol(*rule.not_protocol));
  if (rule.icmp) set.intersect(icmp_set(*rule.icmp));
  if (rule.not_icmp) set.subtract(icmp_set(*rule.not_icmp));
  return set;
}

void lower_dest_ports(const model::CalicoRule& given, Rule& rule) {
  TrafficSet base = protocols_of(given);
  const TrafficSet protocols = base;
  Check not_named{Check::Kind::kDestPort, true, "destination.notPorts", {}, {}, {}, {}, {}};
  TrafficSet not_numbers;
  lower_ports(given.destination.not_ports, protocols, not_numbers, not_named.names);
  base.subtract(not_numbers);
  if (!not_named.names.empty()) rule.checks.push_back(std::move(not_named));
  rule.traffic = base;
  if (given.destination.ports.empty()) return;
  TrafficSet numbers;
  lower_ports(given.destination.ports, protocols, numbers, rule.port_names);
  rule.traffic.intersect(numbers);
  // What a named port matches must still be none of `notPorts`.
  if (!rule.port_names.empty() && !not_numbers.empty()) {
    rule.checks.push_back({Check::Kind::kTraffic, false, "destination.notPorts", {}, base, {}, {}, {}});
  }
}

void lower_source_ports(const model::CalicoRule& given, Rule& rule) {
  const TrafficSet protocols = protocols_of(given);
  for (const bool negate : {false, true}) {
    const auto& ports = negate ? given.source.not_ports : given.source.ports;
    if (ports.empty()) continue;
    Check check;
    check.kind = Check::Kind::kSourcePort;
    check.negate = negate;
    check.term = negate ? "source.notPorts" : "source.ports";
    lower_ports(ports, protocols, check.traffic, check.names);
    rule.checks.push_back(std::move(check));
  }
}

/// What the terms of one end mean, and where they go.
class EndLowering {
 public:
  EndLowering(const std::optional<std::string>& namespace_name, const model::EntityRule& given, bool source, bool far,
              Rule& rule)
      : namespace_(namespace_name), given_(given), source_(source), far_(far), rule_(rule) {}

  void run() {
    if (const auto selector = positive()) {
      PeerSet peers;
      peers.entities.push_back({Over::kEndpoints, *selector});
      require(std::move(peers), source_ ? "source.selector" : "destination.selector");
    }
    if (!given_.nets.empty()) {
      PeerSet peers;
      peers.addresses.push_back({given_.nets, {}});
      require(std::move(peers), source_ ? "source.nets" : "destination.nets");
    }
    if (!given_.domains.empty()) {
      PeerSet peers;
      peers.domains = given_.domains;
      require(std::move(peers), "destination.domains");
    }
    if (given_.service) lower_service(*given_.service);
    if (given_.not_selector) {
      PeerSet peers;
      peers.entities.push_back({Over::kEndpoints, *given_.not_selector});
      check(std::move(peers), true, source_ ? "source.notSelector" : "destination.notSelector");
    }
    if (!given_.not_nets.empty()) {
      PeerSet peers;
      peers.addresses.push_back({given_.not_nets, {}});
      check(std::move(peers), true, source_ ? "source.notNets" : "destination.notNets");
    }
  }

 private:
  std::optional<model::Selector> positive() const {
    const bool by_labels = given_.selector || given_.not_selector || given_.service_accounts;
    if (!given_.namespace_selector && !given_.selector && !given_.service_accounts && !(namespace_ && by_labels)) {
      return std::nullopt;
    }
    std::vector<model::Selector> parts;
    if (given_.namespace_selector) {
      parts.push_back(namespace_condition(*given_.namespace_selector));
    } else if (namespace_) {
      parts.push_back(label_equals(kNamespaceLabel, *namespace_));
    }
    if (given_.selector) parts.push_back(*given_.selector);
    if (given_.service_accounts) parts.push_back(account_condition(*given_.service_accounts));
    return all_of(std::move(parts));
  }

  void lower_service(const model::ServiceMatch& service) {
    ServiceKey key{service.namespace_name.empty() ? namespace_.value_or("") : service.namespace_name, service.name};
    if (!source_) {
      rule_.checks.push_back({Check::Kind::kService, false, "destination.services", {}, {}, {}, std::move(key), {}});
      return;
    }
    PeerSet peers;
    peers.services.push_back(std::move(key));
    require(std::move(peers), "source.services");
  }

  void require(PeerSet peers, const char* term) {
    if (far_ && !rule_.peers) {
      rule_.peers = std::move(peers);
    } else {
      check(std::move(peers), false, term);
    }
  }
  void check(PeerSet peers, bool negate, const char* term) {
    const auto kind = source_ ? Check::Kind::kSource : Check::Kind::kDest;
    rule_.checks.push_back({kind, negate, term, std::move(peers), {}, {}, {}, {}});
  }

  const std::optional<std::string>& namespace_;
  const model::EntityRule& given_;
  bool source_, far_;
  Rule& rule_;
};

void lower_ip_version(std::uint8_t version, bool far_is_source, Rule& rule) {
  PeerSet peers;
  peers.addresses.push_back({{IpPrefix::parse(version == 6 ? "::/0" : "0.0.0.0/0").value()}, {}});
  const auto kind = far_is_source ? Check::Kind::kSource : Check::Kind::kDest;
  rule.checks.push_back({kind, false, "ipVersion", std::move(peers), {}, {}, {}, {}});
}

std::vector<Rule> lower_rules(const std::optional<std::string>& namespace_name,
                              const std::vector<model::CalicoRule>& rules, Direction direction) {
  const bool far_is_source = direction == Direction::kIngress;
  std::vector<Rule> lowered;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const model::CalicoRule& given = rules[i];
    // Log only records, and evaluation goes on.
    if (given.action == model::RuleAction::kLog || given.malformed) continue;
    Rule rule;
    rule.action = given.action == model::RuleAction::kAllow  ? model::Action::kAllow
                  : given.action == model::RuleAction::kDeny ? model::Action::kDeny
                                                             : model::Action::kPass;
    rule.index = static_cast<std::int32_t>(i);
    rule.name = given.name;
    lower_dest_ports(given, rule);
    lower_source_ports(given, rule);
    EndLowering(namespace_name, given.source, true, far_is_source, rule).run();
    EndLowering(namespace_name, given.destination, false, !far_is_source, rule).run();
    if (given.ip_version) lower_ip_version(*given.ip_version, far_is_source, rule);
    if (given.http) rule.checks.push_back({Check::Kind::kHttp, false, "http", {}, {}, {}, {}, *given.http});
    lowered.push_back(std::move(rule));
  }
  return lowered;
}

std::string trace_name(const model::CalicoPolicy& policy, TraceNames names) {
  const bool staged = policy.staged != model::StagedAction::kNone;
  const std::string where = policy.namespace_name ? *policy.namespace_name + "/" : "";
  if (names == TraceNames::kKind) {
    return std::string(staged ? "s" : "") + (policy.namespace_name ? "np:" : "gnp:") + where + policy.name;
  }
  const std::string prefix = policy.tier + ".";
  const std::string bare = policy.name.starts_with(prefix) ? policy.name.substr(prefix.size()) : policy.name;
  return where + prefix + (staged ? "staged:" : "") + bare;
}

model::Selector subject_of(const model::CalicoPolicy& policy) {
  std::vector<model::Selector> parts;
  if (policy.namespace_name) parts.push_back(label_equals(kNamespaceLabel, *policy.namespace_name));
  if (policy.namespace_selector) parts.push_back(namespace_condition(*policy.namespace_selector));
  parts.push_back(policy.selector);
  if (policy.service_account_selector) {
    parts.push_back(prefixed(*policy.service_account_selector, kServiceAccountPrefix));
  }
  return all_of(std::move(parts));
}

}  // namespace

std::vector<Policy> lower(const model::CalicoPolicy& policy, TraceNames names) {
  const std::string kind = policy.namespace_name ? "NetworkPolicy" : "GlobalNetworkPolicy";
  const std::string where = policy.namespace_name.value_or("");
  Policy lowered;
  lowered.tier = policy.tier;
  lowered.order = policy.order.value_or(kNoOrder);
  lowered.tie = policy.name + "/" + where + "/" + (policy.staged == model::StagedAction::kNone ? "" : "Staged") + kind;
  lowered.name = trace_name(policy, names);
  lowered.identity = kind + "/" + where + "/" + policy.name;
  lowered.staged = policy.staged;
  lowered.subject = {Over::kEndpoints, subject_of(policy)};
  lowered.untracked = policy.do_not_track;
  lowered.pre_dnat = policy.pre_dnat;
  lowered.forward = policy.apply_on_forward;
  lowered.pods = !policy.do_not_track && !policy.pre_dnat;
  lowered.hosts = !policy.namespace_name;
  if (policy.applies_egress) {
    lowered.rules[static_cast<std::size_t>(Direction::kEgress)] =
        lower_rules(policy.namespace_name, policy.egress, Direction::kEgress);
  }
  if (policy.applies_ingress) {
    lowered.rules[static_cast<std::size_t>(Direction::kIngress)] =
        lower_rules(policy.namespace_name, policy.ingress, Direction::kIngress);
  }
  std::vector<Policy> result;
  result.push_back(std::move(lowered));
  return result;
}

std::vector<Rule> lower_profile(const model::Profile& profile, Direction direction) {
  std::vector<Rule> rules =
      lower_rules(std::nullopt, direction == Direction::kEgress ? profile.egress : profile.ingress, direction);
  // There is nothing to pass on to.
  for (Rule& rule : rules) {
    if (rule.action == model::Action::kPass) rule.action = model::Action::kDeny;
  }
  return rules;
}

}  // namespace weir::policy
