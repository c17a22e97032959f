#include "cluster/internal/policy_reader.h"

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
  peer.pod_selector = read_optional_label_selector(field["podSelector"]);
  peer.namespace_selector = read_optional_label_selector(field["namespaceSelector"]);
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
  const std::optional<PolicyTypes> given = read_types(types);
  policy.types_given = given.has_value();
  policy.applies_ingress = given ? given->ingress : true;
  policy.applies_egress = given ? given->egress : !policy.egress.empty();
}

}  // namespace

std::optional<PolicyTypes> read_types(const Field& field) {
  std::optional<PolicyTypes> types;
  field.each_item([&](const Field& type) {
    if (!types) types.emplace();
    if (type.text() == "Ingress") {
      types->ingress = true;
    } else if (type.text() == "Egress") {
      types->egress = true;
    } else {
      type.fail_value("not Ingress or Egress");
    }
  });
  return types;
}

LabelSelector read_label_selector(const Field& field) {
  LabelSelector selector;
  field.only({"matchLabels", "matchExpressions"});
  field["matchLabels"].each_member(
      [&](std::string_view key, const Field& value) { selector.match_labels.emplace_back(key, value.text()); });
  field["matchExpressions"].each_item(
      [&](const Field& item) { selector.match_expressions.push_back(read_requirement(item)); });
  return selector;
}

std::optional<LabelSelector> read_optional_label_selector(const Field& field) {
  if (!field.present()) return std::nullopt;
  return read_label_selector(field);
}

model::StagedAction read_staged_action(const Field& spec) {
  using model::StagedAction;
  const Field field = spec["stagedAction"];
  const std::string_view action = field.text();
  if (action.empty() || action == "Set") return StagedAction::kSet;
  if (action == "Delete") return StagedAction::kDelete;
  if (action == "Learn") return StagedAction::kLearn;
  if (action == "Ignore") return StagedAction::kIgnore;
  field.fail_value("not Set, Delete, Learn or Ignore");
  return StagedAction::kNone;
}

model::NetworkPolicy read_network_policy(const ObjectMeta& meta, const Field& spec, bool staged) {
  model::NetworkPolicy policy;
  policy.namespace_name = meta.namespace_name;
  policy.name = meta.name;
  if (staged) policy.staged = read_staged_action(spec);
  spec.only({"podSelector", "ingress", "egress", "policyTypes", staged ? "stagedAction" : ""});
  policy.pod_selector = read_label_selector(spec["podSelector"]);
  policy.ingress = read_rules(spec["ingress"], "from");
  policy.egress = read_rules(spec["egress"], "to");
  policy.egress_given = spec["egress"].present();
  read_policy_types(spec["policyTypes"], policy);
  return policy;
}

PolicyObject read_policy_object(ObjectKind kind, const Field& object) {
  using Kind = ObjectKind;
  const bool namespaced = kind == Kind::kNetworkPolicy || kind == Kind::kStagedKubernetesNetworkPolicy ||
                          kind == Kind::kCalicoNetworkPolicy || kind == Kind::kStagedNetworkPolicy ||
                          kind == Kind::kWorkloadEndpoint || kind == Kind::kServiceAccount ||
                          kind == Kind::kCiliumNetworkPolicy;
  const bool plain = kind == Kind::kNetworkPolicy || kind == Kind::kServiceAccount ||
                     kind == Kind::kAdminNetworkPolicy || kind == Kind::kBaselineAdminNetworkPolicy ||
                     kind == Kind::kClusterNetworkPolicy || kind == Kind::kCiliumNetworkPolicy ||
                     kind == Kind::kCiliumClusterwideNetworkPolicy;
  const ObjectMeta meta = plain ? read_meta(object, namespaced) : read_calico_meta(object, namespaced);
  PolicyObject made{kind, meta.namespace_name, meta.name, meta.created_ns, {}};
  const Field spec = object["spec"];
  switch (kind) {
    case Kind::kStagedKubernetesNetworkPolicy:
      made.spec = read_network_policy(meta, spec, true);
      break;
    case Kind::kAdminNetworkPolicy:
      made.spec = read_admin_policy(meta, spec, model::AdminPolicy::Kind::kAdmin);
      break;
    case Kind::kBaselineAdminNetworkPolicy:
      made.spec = read_admin_policy(meta, spec, model::AdminPolicy::Kind::kBaseline);
      break;
    case Kind::kClusterNetworkPolicy:
      made.spec = read_admin_policy(meta, spec, model::AdminPolicy::Kind::kCluster);
      break;
    case Kind::kTier:
      made.spec = read_tier(meta, spec);
      break;
    case Kind::kCalicoNetworkPolicy:
    case Kind::kStagedNetworkPolicy:
      made.spec = read_calico_policy(meta, spec, false, kind == Kind::kStagedNetworkPolicy);
      break;
    case Kind::kGlobalNetworkPolicy:
    case Kind::kStagedGlobalNetworkPolicy:
      made.spec = read_calico_policy(meta, spec, true, kind == Kind::kStagedGlobalNetworkPolicy);
      break;
    case Kind::kProfile:
      made.spec = read_profile(meta, spec);
      break;
    case Kind::kWorkloadEndpoint:
      made.spec = read_workload_endpoint(meta, spec);
      break;
    case Kind::kHostEndpoint:
      made.spec = read_host_endpoint(meta, spec);
      break;
    case Kind::kServiceAccount:
      made.spec = model::ServiceAccountInfo{meta.namespace_name, meta.name, meta.labels};
      break;
    case Kind::kCiliumNetworkPolicy:
    case Kind::kCiliumClusterwideNetworkPolicy:
      made.spec = read_cilium_policies(meta, object, kind == Kind::kCiliumClusterwideNetworkPolicy);
      break;
    default:
      made.spec = read_network_policy(meta, spec, false);
  }
  return made;
}

}  // namespace weir::cluster
