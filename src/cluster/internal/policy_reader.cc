#include "cluster/internal/object_reader.h"

namespace weir::cluster {
namespace {

using model::LabelSelector;

LabelSelector::Operator read_operator(const Field& field) {
  const std::string_view name = field.required_text();
  if (name == "In") return LabelSelector::Operator::kIn;
  if (name == "NotIn") return LabelSelector::Operator::kNotIn;
  if (name == "Exists") return LabelSelector::Operator::kExists;
  if (name == "DoesNotExist") return LabelSelector::Operator::kDoesNotExist;
  if (!name.empty()) field.fail_value("not In, NotIn, Exists or DoesNotExist");
  return LabelSelector::Operator::kExists;
}

LabelSelector::Requirement read_requirement(const Field& field) {
  LabelSelector::Requirement requirement;
  requirement.key = field["key"].required_text();
  requirement.op = read_operator(field["operator"]);
  requirement.values = field["values"].texts();
  const bool wants_values =
      requirement.op == LabelSelector::Operator::kIn || requirement.op == LabelSelector::Operator::kNotIn;
  if (wants_values && requirement.values.empty()) field["values"].fail("is empty, but In and NotIn want values");
  if (!wants_values && !requirement.values.empty()) {
    field["values"].fail("has values, but Exists and DoesNotExist want none");
  }
  return requirement;
}

LabelSelector read_selector(const Field& field) {
  LabelSelector selector;
  field["matchLabels"].each_member(
      [&](std::string_view key, const Field& value) { selector.match_labels.emplace_back(key, value.text()); });
  field["matchExpressions"].each_item(
      [&](const Field& item) { selector.match_expressions.push_back(read_requirement(item)); });
  return selector;
}

std::optional<LabelSelector> read_optional_selector(const Field& field) {
  if (!field.present()) return std::nullopt;
  return read_selector(field);
}

std::optional<model::IpBlock> read_ip_block(const Field& field) {
  if (!field.present()) return std::nullopt;
  model::IpBlock block;
  block.cidr = field["cidr"].prefix().value_or(IpPrefix());
  field["except"].each_item([&](const Field& item) {
    const auto prefix = item.prefix();
    if (prefix) block.except.push_back(*prefix);
  });
  return block;
}

model::NetworkPolicyPeer read_peer(const Field& field) {
  model::NetworkPolicyPeer peer;
  peer.pod_selector = read_optional_selector(field["podSelector"]);
  peer.namespace_selector = read_optional_selector(field["namespaceSelector"]);
  peer.ip_block = read_ip_block(field["ipBlock"]);
  if (peer.ip_block && (peer.pod_selector || peer.namespace_selector)) {
    field["ipBlock"].fail("stands beside a podSelector or namespaceSelector");
  }
  return peer;
}

model::NetworkPolicyPort read_port(const Field& field) {
  model::NetworkPolicyPort port;
  port.protocol = field["protocol"].protocol();
  const Field number = field["port"];
  if (number.is_number()) {
    port.port = number.port();
  } else if (number.present()) {
    port.port_name = number.required_text();
    if (port.port_name.find_first_not_of("0123456789") == std::string::npos) {
      number.fail_value("a quoted number: a port number stands without quotes, and a port name has a letter");
    }
  }
  const Field end = field["endPort"];
  if (!end.present()) return port;
  port.end_port = end.port();
  if (!port.port) {
    end.fail("wants a numeric port");
  } else if (*port.end_port < *port.port) {
    end.fail_value("less than the port");
  }
  return port;
}

std::vector<model::NetworkPolicyRule> read_rules(const Field& field, std::string_view peers) {
  std::vector<model::NetworkPolicyRule> rules;
  field.each_item([&](const Field& item) {
    auto& rule = rules.emplace_back();
    item[peers].each_item([&](const Field& peer) { rule.peers.push_back(read_peer(peer)); });
    item["ports"].each_item([&](const Field& port) { rule.ports.push_back(read_port(port)); });
  });
  return rules;
}

/// Without policyTypes a policy is for ingress, and for egress too if it has egress rules.
void read_policy_types(const Field& types, model::NetworkPolicy& policy) {
  bool any = false;
  policy.applies_ingress = policy.applies_egress = false;
  types.each_item([&](const Field& type) {
    any = true;
    if (type.text() == "Ingress") {
      policy.applies_ingress = true;
    } else if (type.text() == "Egress") {
      policy.applies_egress = true;
    } else {
      type.fail_value("not Ingress or Egress");
    }
  });
  if (any) return;
  policy.applies_ingress = true;
  policy.applies_egress = !policy.egress.empty();
}

}  // namespace

model::NetworkPolicy read_network_policy(const Field& object) {
  const ObjectMeta meta = read_meta(object, true);
  const Field spec = object["spec"];
  model::NetworkPolicy policy;
  policy.namespace_name = meta.namespace_name;
  policy.name = meta.name;
  policy.pod_selector = read_selector(spec["podSelector"]);
  policy.ingress = read_rules(spec["ingress"], "from");
  policy.egress = read_rules(spec["egress"], "to");
  read_policy_types(spec["policyTypes"], policy);
  return policy;
}

}  // namespace weir::cluster
