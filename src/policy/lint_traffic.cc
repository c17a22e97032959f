// Checks of ports and addresses against the pods there are, and of the one service that everybody needs: DNS.

#include <algorithm>
#include <map>

#include "model/connection.h"
#include "policy/engine.h"
#include "policy/internal/lint.h"

namespace weir::policy {
namespace {

constexpr std::uint16_t kDnsPort = 53;

bool holds(const AddressSet& set, const IpAddress& ip) {
  const auto in = [&](const IpPrefix& prefix) { return prefix.contains(ip); };
  return std::any_of(set.include.begin(), set.include.end(), in) &&
         std::none_of(set.except.begin(), set.except.end(), in);
}

std::string words(const AddressSet& set) {
  std::string text;
  for (const IpPrefix& prefix : set.include) text += (text.empty() ? "" : ", ") + prefix.to_string();
  return text;
}

/// The protocol's name in manifests.
const char* protocol_word(std::size_t slot) { return slot == 0 ? "TCP" : slot == 1 ? "UDP" : "SCTP"; }

class TrafficLint {
 public:
  TrafficLint(const LintWorld& world, Findings& findings) : world_(world), findings_(findings) {}

  void run() {
    for (const LintUnit& unit : world_.units()) {
      for (const Direction direction : {Direction::kEgress, Direction::kIngress}) {
        const auto& rules = unit.policy.rules[static_cast<std::size_t>(direction)];
        if (!rules) continue;
        for (const Rule& rule : *rules) {
          check_blocks(unit, direction, rule);
          // The pods whose ports the rule speaks of.
          const PodSet receivers =
              direction == Direction::kIngress ? world_.selected(unit.policy.subject) : world_.pods_of(rule.peers);
          if (!any(receivers)) continue;
          check_names(unit, direction, rule, receivers);
          check_service_ports(unit, direction, rule, receivers);
        }
      }
    }
  }

 private:
  /// Whether a block of addresses means pods too is answered differently by network plugins. Calico's nets always do.
  void check_blocks(const LintUnit& unit, Direction direction, const Rule& rule) {
    const bool calico = std::string_view(unit.far_name[0]) == "destination";
    if (!rule.peers || calico || rule.peers->no_nodes) return;
    for (const AddressSet& set : rule.peers->addresses) {
      PodSet inside(world_.pods().size(), false);
      for (std::size_t i = 0; i < inside.size(); ++i) {
        const auto& ips = world_.pods()[i]->ips;
        inside[i] = std::any_of(ips.begin(), ips.end(), [&](const IpAddress& ip) { return holds(set, ip); });
      }
      if (!any(inside)) continue;
      const bool everything = std::all_of(set.include.begin(), set.include.end(),
                                          [](const IpPrefix& p) { return p.length == (p.is_v4() ? 96 : 0); });
      findings_.push_back({everything ? Severity::kInfo : Severity::kWarning, "block-holds-pods", unit.object,
                           unit.rule_path(direction, rule.index),
                           words(set) + " holds addresses of pods (" + world_.names(inside) +
                               "), and network plugins differ in whether it means them",
                           "select pods by their labels, and leave their addresses out of the block"});
    }
  }

  void check_names(const LintUnit& unit, Direction direction, const Rule& rule, const PodSet& receivers) {
    // A name of any protocol is listed once for each.
    std::map<std::string, bool> declared;
    for (const PortName& name : rule.port_names) declared[name.name] |= is_declared(name, receivers);
    for (const auto& [name, found] : declared) {
      if (found) continue;
      findings_.push_back({Severity::kWarning, "port-name", unit.object, unit.rule_path(direction, rule.index),
                           "no pod that it is for declares a port '" + name + "' of the rule's protocol",
                           "name a port of the pods' containers, or give its number"});
    }
  }

  bool is_declared(const PortName& name, const PodSet& receivers) const {
    for (std::size_t i = 0; i < receivers.size(); ++i) {
      if (!receivers[i]) continue;
      const auto& ports = world_.pods()[i]->named_ports;
      const bool found = std::any_of(ports.begin(), ports.end(), [&](const model::NamedPort& port) {
        return port.name == name.name && port.protocol == name.protocol;
      });
      if (found) return true;
    }
    return false;
  }

  void check_service_ports(const LintUnit& unit, Direction direction, const Rule& rule, const PodSet& receivers) {
    for (std::size_t slot = 0; slot < 3; ++slot) {
      for (const PortSpan& span : rule.traffic.ported()[slot]) {
        if (span.first == span.last) check_port(unit, direction, rule, receivers, slot, span.first);
      }
    }
  }

  /// A single port that no service's pods listen on, but that clients of a service address.
  void check_port(const LintUnit& unit, Direction direction, const Rule& rule, const PodSet& receivers,
                  std::size_t slot, std::uint16_t number) {
    const LintService* service = nullptr;
    const LintService::Port* found = nullptr;
    for (const LintService& candidate : world_.inputs().services) {
      if (!is_behind(candidate, receivers)) continue;
      for (const LintService::Port& port : candidate.ports) {
        if (ported_slot(port.protocol) != static_cast<int>(slot)) continue;
        if (std::find(port.targets.begin(), port.targets.end(), number) != port.targets.end()) return;
        if (port.port != number || port.targets.empty()) continue;
        service = &candidate;
        found = &port;
      }
    }
    if (service == nullptr || is_container_port(receivers, slot, number)) return;
    findings_.push_back({Severity::kWarning, "service-port", unit.object, unit.rule_path(direction, rule.index),
                         std::string(protocol_word(slot)) + " " + std::to_string(number) + " is the port of service " +
                             service->namespace_name + "/" + service->name + ", whose pods listen on " +
                             std::to_string(found->targets.front()) + ": policies see the pods' port",
                         "write " + std::to_string(found->targets.front())});
  }

  bool is_container_port(const PodSet& receivers, std::size_t slot, std::uint16_t number) const {
    for (std::size_t i = 0; i < receivers.size(); ++i) {
      if (!receivers[i]) continue;
      const auto& ports = world_.pods()[i]->named_ports;
      const bool found = std::any_of(ports.begin(), ports.end(), [&](const model::NamedPort& port) {
        return port.port == number && ported_slot(port.protocol) == static_cast<int>(slot);
      });
      if (found) return true;
    }
    return false;
  }

  bool is_behind(const LintService& service, const PodSet& receivers) const {
    for (std::size_t i = 0; i < receivers.size(); ++i) {
      if (!receivers[i]) continue;
      for (const IpAddress& ip : world_.pods()[i]->ips) {
        if (std::find(service.addresses.begin(), service.addresses.end(), ip) != service.addresses.end()) return true;
      }
    }
    return false;
  }

  const LintWorld& world_;
  Findings& findings_;
};

/// Pods that answer the cluster's DNS queries.
std::vector<const model::Endpoint*> dns_pods(const LintWorld& world) {
  std::vector<const model::Endpoint*> found;
  for (const model::Endpoint* pod : world.pods()) {
    if (pod->ips.empty()) continue;
    if (pod->labels->find("k8s-app") == "kube-dns" ||
        pod->labels->find("dns.operator.openshift.io/daemonset-dns") == "default") {
      found.push_back(pod);
    }
  }
  return found;
}

/// The port that they answer on: by their declared UDP port, as some listen on another than 53.
std::uint16_t dns_port(const model::Endpoint& server) {
  for (const model::NamedPort& port : server.named_ports) {
    if (port.name == "dns" && port.protocol == model::kProtoUdp) return port.port;
  }
  return kDnsPort;
}

/// "NetworkPolicy shop/web" of a unit whose name a trace's entry tells; empty for profiles.
std::string object_of(const LintWorld& world, const std::string& entry) {
  const std::size_t name = entry.find('|', entry.find('|') + 1) + 1;
  const std::string policy = entry.substr(name, entry.find('|', name) - name);
  for (const LintUnit& unit : world.units()) {
    if (unit.policy.name == policy) return unit.object;
  }
  return {};
}

bool one_family(const model::Endpoint& a, const model::Endpoint& b) {
  return !a.ips.empty() && !b.ips.empty() && a.ips[0].is_v4() == b.ips[0].is_v4();
}

}  // namespace

void lint_traffic(const LintWorld& world, Findings& findings) {
  if (!world.pods().empty()) TrafficLint(world, findings).run();
}

Status lint_dns(const LintWorld& world, Findings& findings) {
  const auto servers = dns_pods(world);
  if (servers.empty()) return {};
  EngineOptions options;
  options.trace_names = TraceNames::kKind;
  TRY_ASSIGN(const auto engine, Engine::create(options, {world.inputs().policies, world.inputs().pods}));
  // By the object that denies, and the end.
  std::map<std::pair<std::string, bool>, PodSet> blocked;
  for (std::size_t i = 0; i < world.pods().size(); ++i) {
    const model::Endpoint& client = *world.pods()[i];
    std::string denies;
    bool egress = false, reaches = false;
    for (const model::Endpoint* server : servers) {
      if (server == &client || !one_family(client, *server)) continue;
      const Query query{&client, server, client.ips[0], server->ips[0], model::kProtoUdp, 0, dns_port(*server)};
      const Verdict verdict = engine->evaluate(query);
      reaches |= verdict.allowed();
      egress = verdict.egress.action == model::Action::kDeny;
      const SideVerdict& side = egress ? verdict.egress : verdict.ingress;
      if (!verdict.allowed() && side.enforced != nullptr && !side.enforced->entries.empty()) {
        denies = object_of(world, side.enforced->entries.back());
      }
    }
    if (reaches || denies.empty()) continue;
    blocked.try_emplace({denies, egress}, PodSet(world.pods().size(), false)).first->second[i] = true;
  }
  for (const auto& [key, clients] : blocked) {
    const auto& [object, egress] = key;
    findings.push_back({Severity::kWarning, "blocks-dns", object, egress ? "spec.egress" : "spec.ingress",
                        world.names(clients) + " may not ask the cluster's DNS (UDP " +
                            std::to_string(dns_port(*servers[0])) + " of " + servers[0]->namespace_name + "/" +
                            servers[0]->name + ")",
                        egress ? "allow UDP and TCP to that port of those pods" : "allow that port from all pods"});
  }
  return {};
}

}  // namespace weir::policy
