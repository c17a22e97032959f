#include "cluster/internal/policy_reader.h"

namespace weir::cluster {
namespace {

std::vector<model::CalicoRule> read_rules(const Field& field) {
  std::vector<model::CalicoRule> rules;
  field.each_item([&](const Field& item) { rules.push_back(read_calico_rule(item)); });
  return rules;
}

/// Without types: those of the rules, and ingress where there are none. (Kubernetes' rule is another one.)
void read_calico_types(const Field& field, model::CalicoPolicy& policy) {
  const std::optional<PolicyTypes> given = read_types(field);
  policy.applies_ingress = given ? given->ingress : !policy.ingress.empty() || policy.egress.empty();
  policy.applies_egress = given ? given->egress : !policy.egress.empty();
}

void read_host_options(const Field& spec, model::CalicoPolicy& policy) {
  policy.do_not_track = spec["doNotTrack"].boolean(false);
  policy.pre_dnat = spec["preDNAT"].boolean(false);
  policy.apply_on_forward = spec["applyOnForward"].boolean(false);
  if (policy.do_not_track && policy.pre_dnat) spec["preDNAT"].fail("stands beside doNotTrack");
  if (policy.pre_dnat && policy.applies_egress) spec["preDNAT"].fail("stands with egress: it is for ingress only");
}

std::vector<model::NamedPort> read_endpoint_ports(const Field& field) {
  std::vector<model::NamedPort> ports;
  field.each_item([&](const Field& item) {
    ports.push_back({std::string(item["name"].required_text()), item["port"].port(), item["protocol"].protocol()});
  });
  return ports;
}

}  // namespace

model::CalicoPolicy read_calico_policy(const ObjectMeta& meta, const Field& spec, bool global, bool staged) {
  model::CalicoPolicy policy;
  if (!global) policy.namespace_name = meta.namespace_name;
  policy.name = meta.name;
  if (staged) policy.staged = read_staged_action(spec);
  spec.only({"tier", "order", "selector", "types", "ingress", "egress", "serviceAccountSelector", "performanceHints",
             staged ? "stagedAction" : "", global ? "namespaceSelector" : "", global ? "doNotTrack" : "",
             global ? "preDNAT" : "", global ? "applyOnForward" : ""});
  if (!spec["tier"].text().empty()) policy.tier = spec["tier"].text();
  policy.order = spec["order"].number();
  policy.selector = spec["selector"].selector().value_or(model::Selector());
  policy.service_account_selector = spec["serviceAccountSelector"].selector();
  policy.ingress = read_rules(spec["ingress"]);
  policy.egress = read_rules(spec["egress"]);
  read_calico_types(spec["types"], policy);
  if (!global) return policy;
  policy.namespace_selector = spec["namespaceSelector"].selector();
  read_host_options(spec, policy);
  return policy;
}

model::Tier read_tier(const ObjectMeta& meta, const Field& spec) {
  model::Tier tier;
  spec.only({"order", "defaultAction"});
  tier.name = meta.name;
  tier.order = spec["order"].number();
  const Field action = spec["defaultAction"];
  if (action.text() == "Pass") {
    tier.default_action = model::Action::kPass;
  } else if (action.present() && action.text() != "Deny") {
    action.fail_value("not Deny or Pass");
  }
  return tier;
}

model::Profile read_profile(const ObjectMeta& meta, const Field& spec) {
  spec.only({"ingress", "egress", "labelsToApply"});
  return {meta.name, spec["labelsToApply"].labels(), read_rules(spec["ingress"]), read_rules(spec["egress"])};
}

model::WorkloadEndpoint read_workload_endpoint(const ObjectMeta& meta, const Field& spec) {
  return {meta.namespace_name, std::string(spec["pod"].text()), spec["profiles"].texts()};
}

model::HostEndpoint read_host_endpoint(const ObjectMeta& meta, const Field& spec) {
  model::HostEndpoint endpoint;
  spec.only({"node", "interfaceName", "expectedIPs", "profiles", "ports"});
  endpoint.name = meta.name;
  endpoint.labels = meta.labels;
  endpoint.node = spec["node"].text();
  endpoint.interface_name = spec["interfaceName"].text();
  spec["expectedIPs"].each_item([&](const Field& item) { item.add_ip_to(endpoint.expected_ips); });
  endpoint.ports = read_endpoint_ports(spec["ports"]);
  endpoint.profiles = spec["profiles"].texts();
  return endpoint;
}

}  // namespace weir::cluster
