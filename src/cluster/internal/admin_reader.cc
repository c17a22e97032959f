#include <algorithm>

#include "cluster/internal/policy_reader.h"
#include "model/connection.h"

namespace weir::cluster {
namespace {

using model::AdminPeer;
using model::AdminPodSelector;
using model::AdminPolicy;
using model::AdminPort;
using model::AdminRule;
using Kind = AdminPolicy::Kind;

/// The one member of an object that has one of several; absent, after a failure, where it has none, or more.
Field read_one_of(const Field& field, std::initializer_list<std::string_view> names, std::string_view& chosen) {
  chosen = {};
  field.each_member([&](std::string_view key, const Field& member) {
    if (!member.present()) return;
    const auto known = std::find(names.begin(), names.end(), key);
    if (known == names.end()) {
      member.fail("is not known");
    } else if (!chosen.empty()) {
      member.fail("stands beside " + std::string(chosen) + ": one of them only");
    } else {
      chosen = *known;
    }
  });
  if (chosen.empty()) field.fail("holds nothing that is known");
  return field[chosen];
}

/// A selector of namespaces; of early v1alpha1, one more object around it.
model::LabelSelector read_namespaces(const Field& field) {
  for (const char* early : {"sameLabels", "notSameLabels"}) {
    if (field[early].present()) {
      field[early].fail("is a form of early v1alpha1 that is no longer served: select the namespaces by their labels");
      return {};
    }
  }
  const Field early = field["namespaceSelector"];
  if (early.present()) return read_label_selector(early);
  return read_label_selector(field);
}

AdminPodSelector read_pods(const Field& field) {
  AdminPodSelector selector;
  // Early v1alpha1 has `namespaces`.
  field.only({"namespaceSelector", "podSelector", "namespaces"});
  const Field early = field["namespaces"];
  selector.namespace_selector =
      early.present() ? read_namespaces(early) : read_label_selector(field["namespaceSelector"]);
  selector.pod_selector = read_label_selector(field["podSelector"]);
  return selector;
}

AdminPodSelector read_subject(const Field& field) {
  std::string_view chosen;
  const Field one = read_one_of(field, {"namespaces", "pods"}, chosen);
  if (chosen == "pods") return read_pods(one);
  return {read_namespaces(one), {}};
}

/// "example.org", or with "*." before it.
bool is_domain(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  return !name.empty() && name.find('*') == std::string_view::npos;
}

AdminPeer read_peer(const Field& field, bool egress, model::Action action) {
  AdminPeer peer;
  std::string_view chosen;
  const Field one = egress ? read_one_of(field, {"namespaces", "pods", "nodes", "networks", "domainNames"}, chosen)
                           : read_one_of(field, {"namespaces", "pods"}, chosen);
  if (chosen == "namespaces") peer.pods = AdminPodSelector{read_namespaces(one), {}};
  if (chosen == "pods") peer.pods = read_pods(one);
  if (chosen == "nodes") peer.nodes = read_label_selector(one);
  if (chosen == "networks") {
    one.each_item([&](const Field& item) {
      const auto prefix = item.prefix();
      if (prefix) peer.networks.push_back(*prefix);
    });
    if (peer.networks.empty()) one.fail("holds no network");
  }
  if (chosen == "domainNames") {
    peer.domain_names = one.texts();
    for (const std::string& name : peer.domain_names) {
      if (!is_domain(name)) one.fail("'" + name.substr(0, 100) + "' is no domain name");
    }
    if (action != model::Action::kAllow) one.fail("is for rules that allow");
    if (peer.domain_names.empty()) one.fail("holds no name");
  }
  return peer;
}

void read_port_range(const Field& field, std::string_view first, std::string_view last, AdminPort& port) {
  port.first = field[first].port();
  port.last = field[last].port();
  if (port.first == 0 || port.last < port.first) field.fail("is no range of ports");
}

/// An item of `ports`, of v1alpha1.
AdminPort read_port(const Field& field) {
  AdminPort port;
  std::string_view chosen;
  const Field one = read_one_of(field, {"portNumber", "portRange", "namedPort"}, chosen);
  if (chosen == "namedPort") {
    port.protocol = 0;
    port.name = one.required_text();
    return port;
  }
  port.protocol = one["protocol"].protocol();
  if (chosen == "portRange") {
    read_port_range(one, "start", "end", port);
  } else {
    port.first = port.last = one["port"].port();
    if (port.first == 0) one["port"].fail("is missing");
  }
  return port;
}

/// An item of `protocols`, of v1alpha2.
AdminPort read_protocol(const Field& field) {
  AdminPort port;
  std::string_view chosen;
  const Field one = read_one_of(field, {"tcp", "udp", "sctp", "destinationNamedPort"}, chosen);
  if (chosen == "destinationNamedPort") {
    port.protocol = 0;
    port.name = one.required_text();
    return port;
  }
  port.protocol = chosen == "udp" ? model::kProtoUdp : chosen == "sctp" ? model::kProtoSctp : model::kProtoTcp;
  const Field destination = one["destinationPort"];
  one.only({"destinationPort"});
  if (!destination.present()) return port;  // every port
  const Field number = read_one_of(destination, {"number", "range"}, chosen);
  if (chosen == "range") {
    read_port_range(number, "start", "end", port);
  } else {
    port.first = port.last = number.port();
  }
  return port;
}

/// Only peers that are pods declare names.
void check_named_ports(const Field& field, const AdminRule& rule) {
  const bool pods = std::all_of(rule.peers.begin(), rule.peers.end(), [](const AdminPeer& p) { return p.pods; });
  const bool named =
      std::any_of(rule.ports.begin(), rule.ports.end(), [](const AdminPort& p) { return !p.name.empty(); });
  if (named && !pods) field.fail("a named port stands beside nodes, networks or domain names");
}

model::Action read_action(const Field& field, Kind kind) {
  const std::string_view action = field.required_text();
  const std::string_view allow = kind == Kind::kCluster ? "Accept" : "Allow";
  if (action == "Deny") return model::Action::kDeny;
  if (action == "Pass" && kind != Kind::kBaseline) return model::Action::kPass;
  if (action != allow && !action.empty()) {
    field.fail_value("not " + std::string(allow) + (kind == Kind::kBaseline ? " or Deny" : ", Deny or Pass"));
  }
  return model::Action::kAllow;
}

AdminRule read_rule(const Field& field, Kind kind, bool egress) {
  AdminRule rule;
  rule.name = field["name"].text();
  rule.action = read_action(field["action"], kind);
  FieldFailure failure;
  const Field item = field.with(failure);
  const char* peers = egress ? "to" : "from";
  const char* ports = kind == Kind::kCluster ? "protocols" : "ports";
  item.each_member([&](std::string_view key, const Field& member) {
    if (key != "name" && key != "action" && key != peers && key != ports) member.fail("is not known");
  });
  item[peers].each_item([&](const Field& peer) { rule.peers.push_back(read_peer(peer, egress, rule.action)); });
  if (rule.peers.empty()) item[peers].fail("names no peer");
  item[ports].each_item(
      [&](const Field& p) { rule.ports.push_back(kind == Kind::kCluster ? read_protocol(p) : read_port(p)); });
  check_named_ports(item, rule);
  rule.malformed = failure.failed();
  field.adopt_remarks(failure);
  if (rule.malformed) {
    const bool allow = rule.action == model::Action::kAllow;
    field.remark("the rule " + std::string(allow ? "allows nothing" : "denies everything") +
                 ", since it is not understood: " + failure.message);
  }
  return rule;
}

}  // namespace

AdminPolicy read_admin_policy(const ObjectMeta& meta, const Field& spec, Kind kind) {
  AdminPolicy policy;
  policy.kind = kind;
  policy.name = meta.name;
  policy.baseline = kind == Kind::kBaseline;
  if (kind != Kind::kBaseline) {
    if (!spec["priority"].present()) spec["priority"].fail("is missing");
    policy.priority = static_cast<std::int32_t>(spec["priority"].integer(0, 1000, "from 0 to 1000").value_or(0));
  }
  FieldFailure failure;
  const Field whole = spec.with(failure);
  if (kind == Kind::kCluster) {
    const Field tier = whole["tier"];
    policy.baseline = tier.required_text() == "Baseline";
    if (!policy.baseline && tier.text() != "Admin") tier.fail_value("not Admin or Baseline");
  }
  policy.subject = read_subject(whole["subject"]);
  policy.malformed = failure.failed();
  spec.adopt_remarks(failure);
  if (policy.malformed) spec.remark("the policy does nothing, since it is not understood: " + failure.message);
  spec["ingress"].each_item([&](const Field& item) { policy.ingress.push_back(read_rule(item, kind, false)); });
  spec["egress"].each_item([&](const Field& item) { policy.egress.push_back(read_rule(item, kind, true)); });
  return policy;
}

}  // namespace weir::cluster
