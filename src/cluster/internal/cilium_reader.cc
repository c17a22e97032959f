#include <array>
#include <charconv>

#include "base/text.h"
#include "cluster/internal/policy_reader.h"
#include "model/connection.h"

namespace weir::cluster {
namespace {

using model::CiliumEntity;
using model::CiliumPolicy;
using model::CiliumPort;
using model::CiliumRule;
using model::LabelSelector;

/// Without the source of a label, where it may come from any, or from Kubernetes.
void drop_source(std::string& key) {
  for (const std::string_view source : {"k8s:", "any:"}) {
    if (key.starts_with(source)) {
      key.erase(0, source.size());
      return;
    }
  }
}

LabelSelector read_selector(const Field& field) {
  LabelSelector selector = read_label_selector(field);
  for (auto& [key, value] : selector.match_labels) drop_source(key);
  for (auto& requirement : selector.match_expressions) drop_source(requirement.key);
  return selector;
}

/// A list of them; absent where the field is.
template <typename T, typename Read>
void read_list(const Field& field, std::optional<std::vector<T>>& list, Read read) {
  if (!field.present()) return;
  if (!list) list.emplace();
  field.each_item([&](const Field& item) { list->push_back(read(item)); });
}

CiliumEntity read_entity(const Field& field) {
  constexpr std::array<std::pair<std::string_view, CiliumEntity>, 13> kEntities{{
      {"all", CiliumEntity::kAll},
      {"world", CiliumEntity::kWorld},
      {"world-ipv4", CiliumEntity::kWorldV4},
      {"world-ipv6", CiliumEntity::kWorldV6},
      {"cluster", CiliumEntity::kCluster},
      {"host", CiliumEntity::kHost},
      {"remote-node", CiliumEntity::kRemoteNode},
      {"kube-apiserver", CiliumEntity::kKubeApiserver},
      {"ingress", CiliumEntity::kIngress},
      {"init", CiliumEntity::kInit},
      {"health", CiliumEntity::kHealth},
      {"unmanaged", CiliumEntity::kUnmanaged},
      {"none", CiliumEntity::kNone},
  }};
  const std::string_view name = field.text();
  for (const auto& [text, entity] : kEntities) {
    if (name == text) return entity;
  }
  field.fail_value("no entity that is known");
  return CiliumEntity::kNone;
}

model::IpBlock read_cidr(const Field& field) { return {field.prefix().value_or(IpPrefix()), {}}; }

model::IpBlock read_cidr_set(const Field& field) {
  for (const char* group : {"cidrGroupRef", "cidrGroupSelector"}) {
    if (field[group].present()) field[group].fail("names a CIDR group: they are not evaluated");
  }
  model::IpBlock block{field["cidr"].prefix().value_or(IpPrefix()), {}};
  field["except"].each_item([&](const Field& item) {
    const auto prefix = item.prefix();
    if (prefix) block.except.push_back(*prefix);
  });
  return block;
}

model::CiliumService read_service(const Field& field) {
  const Field named = field["k8sService"];
  if (!named.present()) {
    field.fail("selects services by something else than k8sService: that is not evaluated");
    return {};
  }
  return {std::string(named["namespace"].text()), std::string(named["serviceName"].required_text())};
}

std::uint8_t read_protocol(const Field& field) {
  const std::string_view name = field.text();
  if (name.empty() || equal_ignoring_case(name, "any")) return 0;
  for (const auto& [text, protocol] : {std::pair{"tcp", model::kProtoTcp},
                                       {"udp", model::kProtoUdp},
                                       {"sctp", model::kProtoSctp},
                                       {"icmp", model::kProtoIcmp},
                                       {"icmpv6", model::kProtoIcmp6}}) {
    if (equal_ignoring_case(name, text)) return protocol;
  }
  field.fail_value("not TCP, UDP, SCTP, ICMP, ICMPv6 or ANY");
  return 0;
}

CiliumPort read_port(const Field& field) {
  CiliumPort port;
  port.protocol = read_protocol(field["protocol"]);
  const std::string_view text = field["port"].text();
  if (text.empty() || text == "0") return port;  // every port
  if (text.find_first_not_of("0123456789") != std::string_view::npos) {
    port.name = text;
    return port;
  }
  port.first = port.last = field["port"].port();
  const auto end = field["endPort"].integer(0, 65535, "a port number").value_or(0);
  if (end > port.first) port.last = static_cast<std::uint16_t>(end);
  return port;
}

model::CiliumIcmp read_icmp(const Field& field) {
  struct Name {
    std::string_view text;
    int v4, v6;
  };
  constexpr std::array<Name, 9> kNames{{{"EchoReply", 0, 129},
                                        {"EchoRequest", 8, 128},
                                        {"DestinationUnreachable", 3, 1},
                                        {"TimeExceeded", 11, 3},
                                        {"ParameterProblem", 12, 4},
                                        {"Redirect", 5, 137},
                                        {"RouterAdvertisement", 9, 134},
                                        {"RouterSelection", 10, 133},
                                        {"PacketTooBig", -1, 2}}};
  model::CiliumIcmp icmp;
  const std::string_view family = field["family"].text();
  icmp.v6 = family == "IPv6";
  if (!icmp.v6 && !family.empty() && family != "IPv4") field["family"].fail_value("not IPv4 or IPv6");
  const std::string_view type = field["type"].required_text();
  for (const Name& name : kNames) {
    const int number = icmp.v6 ? name.v6 : name.v4;
    if (type != name.text || number < 0) continue;
    icmp.type = static_cast<std::uint8_t>(number);
    return icmp;
  }
  icmp.type = static_cast<std::uint8_t>(field["type"].integer(0, 255, "an ICMP type that is known").value_or(0));
  return icmp;
}

void read_to_ports(const Field& field, CiliumRule& rule) {
  field.each_item([&](const Field& item) {
    const Field ports = item["ports"];
    if (!ports.present()) rule.ports.emplace_back();  // every port
    ports.each_item([&](const Field& port) { rule.ports.push_back(read_port(port)); });
    rule.layer7 |= item["rules"].present();
  });
}

void read_peers(const Field& item, bool egress, CiliumRule& rule) {
  const auto name = [&](const char* what) { return (egress ? "to" : "from") + std::string(what); };
  const std::string endpoints = name("Endpoints"), cidr = name("CIDR"), cidr_set = name("CIDRSet");
  const std::string entities = name("Entities"), nodes = name("Nodes");
  item.each_member([&](std::string_view key, const Field& member) {
    if (key == "toPorts" || key == "icmps" || key == "authentication" || !member.present()) return;
    if (key == endpoints) {
      read_list(member, rule.endpoints, read_selector);
    } else if (key == cidr) {
      read_list(member, rule.cidrs, read_cidr);
    } else if (key == cidr_set) {
      read_list(member, rule.cidrs, read_cidr_set);
    } else if (key == entities) {
      read_list(member, rule.entities, read_entity);
    } else if (key == nodes) {
      read_list(member, rule.nodes, read_selector);
    } else if (egress && key == "toServices") {
      read_list(member, rule.services, read_service);
    } else if (egress && key == "toFQDNs") {
      read_list(member, rule.fqdns, [](const Field& fqdn) {
        return model::CiliumFqdn{std::string(fqdn["matchName"].text()), std::string(fqdn["matchPattern"].text())};
      });
    } else {
      member.fail("is not evaluated");
    }
  });
}

CiliumRule read_rule(const Field& field, bool egress, bool deny) {
  CiliumRule rule;
  rule.deny = deny;
  rule.empty = field.present() && field.value().type == Value::Type::kMap && field.value().count == 0;
  FieldFailure failure;
  const Field item = field.with(failure);
  read_peers(item, egress, rule);
  read_to_ports(item["toPorts"], rule);
  item["icmps"].each_item([&](const Field& icmp) {
    icmp["fields"].each_item([&](const Field& one) { rule.icmps.push_back(read_icmp(one)); });
  });
  rule.malformed = failure.failed();
  field.adopt_remarks(failure);
  if (rule.malformed) {
    field.remark("the rule " + std::string(deny ? "denies everything" : "allows nothing") +
                 ", since it is not understood: " + failure.message);
  }
  return rule;
}

void read_direction(const Field& spec, bool egress, std::optional<std::vector<CiliumRule>>& rules) {
  read_list(spec[egress ? "egress" : "ingress"], rules, [&](const Field& f) { return read_rule(f, egress, false); });
  read_list(spec[egress ? "egressDeny" : "ingressDeny"], rules,
            [&](const Field& f) { return read_rule(f, egress, true); });
}

CiliumPolicy read_policy(const ObjectMeta& meta, const Field& spec, bool cluster_wide) {
  CiliumPolicy policy;
  spec.only({"endpointSelector", "nodeSelector", "ingress", "ingressDeny", "egress", "egressDeny", "enableDefaultDeny",
             "description", "labels", "log"});
  if (!cluster_wide) policy.namespace_name = meta.namespace_name;
  policy.name = meta.name;
  const Field endpoints = spec["endpointSelector"], nodes = spec["nodeSelector"];
  if (endpoints.present()) policy.endpoint_selector = read_selector(endpoints);
  if (nodes.present()) policy.node_selector = read_selector(nodes);
  if (endpoints.present() == nodes.present()) endpoints.fail("is to stand alone, or nodeSelector");
  const Field deny = spec["enableDefaultDeny"];
  if (deny["ingress"].present()) policy.default_deny_ingress = deny["ingress"].boolean(true);
  if (deny["egress"].present()) policy.default_deny_egress = deny["egress"].boolean(true);
  read_direction(spec, false, policy.ingress);
  read_direction(spec, true, policy.egress);
  return policy;
}

}  // namespace

PolicyObject::CiliumPolicies read_cilium_policies(const ObjectMeta& meta, const Field& object, bool cluster_wide) {
  PolicyObject::CiliumPolicies policies;
  const Field spec = object["spec"], specs = object["specs"];
  if (spec.present()) policies.push_back(read_policy(meta, spec, cluster_wide));
  specs.each_item([&](const Field& item) { policies.push_back(read_policy(meta, item, cluster_wide)); });
  if (policies.empty()) spec.fail("is missing");
  return policies;
}

}  // namespace weir::cluster
