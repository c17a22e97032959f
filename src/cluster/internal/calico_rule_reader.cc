#include <array>
#include <charconv>

#include "base/text.h"
#include "cluster/internal/policy_reader.h"
#include "model/connection.h"
#include "model/protocol.h"

namespace weir::cluster {
namespace {

using model::CalicoRule;
using model::EntityRule;

constexpr std::uint8_t kProtoUdpLite = 136;

std::optional<std::uint8_t> read_protocol(const Field& field) {
  if (!field.present()) return std::nullopt;
  const std::string_view text = field.text();
  if (equal_ignoring_case(text, "udplite")) return kProtoUdpLite;
  const int protocol = model::parse_protocol(text);
  if (protocol > 0) return static_cast<std::uint8_t>(protocol);
  field.fail_value("not TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255");
  return std::nullopt;
}

std::optional<model::IcmpMatch> read_icmp(const Field& field) {
  if (!field.present()) return std::nullopt;
  field.only({"type", "code"});
  model::IcmpMatch match;
  const auto type = field["type"].integer(0, 255, "a number from 0 to 255");
  const auto code = field["code"].integer(0, 255, "a number from 0 to 255");
  if (type) match.type = static_cast<std::uint8_t>(*type);
  if (code) match.code = static_cast<std::uint8_t>(*code);
  if (code && !type) field["code"].fail("wants a type beside it");
  return match;
}

model::RuleAction read_action(const Field& field) {
  using model::RuleAction;
  const std::string_view action = field.required_text();
  if (action == "Deny") return RuleAction::kDeny;
  if (action == "Pass") return RuleAction::kPass;
  if (action == "Log") return RuleAction::kLog;
  if (action != "Allow" && !action.empty()) field.fail_value("not Allow, Deny, Pass or Log");
  return RuleAction::kAllow;
}

std::vector<IpPrefix> read_nets(const Field& field) {
  std::vector<IpPrefix> nets;
  field.each_item([&](const Field& item) {
    const auto prefix = item.prefix();
    if (prefix) nets.push_back(*prefix);
  });
  return nets;
}

std::vector<model::PortMatch> read_ports(const Field& field) {
  std::vector<model::PortMatch> ports;
  field.each_item([&](const Field& item) { ports.push_back(read_calico_port(item)); });
  return ports;
}

std::optional<model::ServiceAccountMatch> read_service_accounts(const Field& field) {
  if (!field.present()) return std::nullopt;
  field.only({"names", "selector"});
  return model::ServiceAccountMatch{field["names"].texts(), field["selector"].selector()};
}

std::optional<model::ServiceMatch> read_service_match(const Field& field, const EntityRule& entity) {
  if (!field.present()) return std::nullopt;
  field.only({"name", "namespace"});
  const bool alone = !entity.selector && !entity.not_selector && !entity.namespace_selector && entity.nets.empty() &&
                     entity.not_nets.empty() && entity.ports.empty() && entity.not_ports.empty() &&
                     !entity.service_accounts;
  if (!alone) field.fail("stands beside selectors, nets or ports: a service stands alone");
  return model::ServiceMatch{std::string(field["namespace"].text()), std::string(field["name"].required_text())};
}

EntityRule read_entity(const Field& field) {
  EntityRule entity;
  field.only({"selector", "notSelector", "namespaceSelector", "nets", "notNets", "ports", "notPorts", "serviceAccounts",
              "services", "domains"});
  entity.selector = field["selector"].selector();
  entity.not_selector = field["notSelector"].selector();
  entity.namespace_selector = field["namespaceSelector"].selector();
  entity.nets = read_nets(field["nets"]);
  entity.not_nets = read_nets(field["notNets"]);
  entity.ports = read_ports(field["ports"]);
  entity.not_ports = read_ports(field["notPorts"]);
  entity.service_accounts = read_service_accounts(field["serviceAccounts"]);
  entity.domains = field["domains"].texts();
  entity.service = read_service_match(field["services"], entity);
  return entity;
}

std::optional<model::HttpMatch> read_http(const Field& field) {
  if (!field.present()) return std::nullopt;
  field.only({"methods", "paths"});
  model::HttpMatch match;
  match.methods = field["methods"].texts();
  field["paths"].each_item([&](const Field& item) {
    const Field exact = item["exact"], prefix = item["prefix"];
    if (exact.present() == prefix.present()) item.fail("wants one of exact and prefix");
    match.paths.push_back({std::string(exact.present() ? exact.text() : prefix.text()), prefix.present()});
  });
  return match;
}

/// Ports stand for nothing where the protocol has none.
void check_ports(const Field& field, const CalicoRule& rule) {
  const auto protocol = rule.protocol.value_or(0);
  if (protocol == model::kProtoTcp || protocol == model::kProtoUdp || protocol == model::kProtoSctp) return;
  const std::array<std::pair<std::string_view, const EntityRule*>, 2> entities{
      {{"source", &rule.source}, {"destination", &rule.destination}}};
  for (const auto& [name, entity] : entities) {
    if (entity->ports.empty() && entity->not_ports.empty()) continue;
    const Field part = field[name];
    part[entity->ports.empty() ? "notPorts" : "ports"].fail("wants protocol TCP, UDP or SCTP in the rule");
  }
}

}  // namespace

model::PortMatch read_calico_port(const Field& field) {
  const std::string_view text = field.text();
  if (text.empty()) {
    field.fail("is no port");
    return {};
  }
  if (text.find_first_not_of("0123456789:") != std::string_view::npos) return {0, 0, std::string(text)};
  const auto number = [&](std::string_view digits) -> std::optional<std::uint16_t> {
    std::uint16_t value = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || failed != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const std::size_t colon = text.find(':');
  const auto first = number(text.substr(0, colon));
  const auto last = colon == std::string_view::npos ? first : number(text.substr(colon + 1));
  if (!first || !last || *first > *last || *last == 0) {
    field.fail_value("not a port, a range like 1000:2000, or the name of a port");
    return {};
  }
  return {*first, *last, ""};
}

CalicoRule read_calico_rule(const Field& field) {
  CalicoRule rule;
  field.only({"action", "metadata", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination",
              "http"});
  rule.action = read_action(field["action"]);
  const auto version = field["ipVersion"].integer(4, 6, "4 or 6");
  if (version == 5) field["ipVersion"].fail_value("not 4 or 6");
  if (version) rule.ip_version = static_cast<std::uint8_t>(*version);
  rule.protocol = read_protocol(field["protocol"]);
  rule.not_protocol = read_protocol(field["notProtocol"]);
  rule.icmp = read_icmp(field["icmp"]);
  rule.not_icmp = read_icmp(field["notICMP"]);
  rule.source = read_entity(field["source"]);
  rule.destination = read_entity(field["destination"]);
  rule.http = read_http(field["http"]);
  const Field metadata = field["metadata"];
  rule.name = metadata["annotations"]["name"].text();
  check_ports(field, rule);
  return rule;
}

}  // namespace weir::cluster
