#pragma once
// size: the matching rules of all APIs side by side, to be read against their documents

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/connection.h"
#include "policy/engine.h"
#include "policy/internal/domains.h"
#include "policy/internal/http_match.h"

/// How the slow evaluator matches rules: every API as its documents say it, read from the objects for every question
/// anew. For test targets and benchmarks only.
namespace weir::policy {

class OracleMatch {
 public:
  OracleMatch(const EngineOptions& options, const EngineInputs& inputs) : options_(options), set_(inputs.policies) {
    for (const model::Endpoint* pod : inputs.pods) entities_.emplace(pod, make_entity(*pod));
  }

  static bool managed(const model::Endpoint* end) {
    return end != nullptr && end->type == model::EndpointType::kWorkload && !end->host_network;
  }

  /// Something with labels that owns an address.
  struct Entity {
    bool pod = false;
    /// Empty: in no namespace.
    std::string ns;
    model::LabelSet labels, ns_labels, account_labels;
    std::string account;
  };

  const model::WorkloadEndpoint* override_of(const model::Endpoint& pod) const {
    for (const auto& endpoint : set_.workload_endpoints) {
      if (endpoint->namespace_name == pod.namespace_name && endpoint->pod == pod.name) return endpoint.get();
    }
    return nullptr;
  }

  std::vector<std::string> profiles_of(const model::Endpoint& pod) const {
    if (const auto* endpoint = override_of(pod)) return endpoint->profiles;
    std::vector<std::string> names = {"kns." + pod.namespace_name};
    const std::string account = "ksa." + pod.namespace_name + "." + pod.service_account;
    if (profile(account) != nullptr) names.push_back(account);
    return names;
  }
  const model::Profile* profile(const std::string& name) const {
    for (const auto& one : set_.profiles) {
      if (one->name == name) return one.get();
    }
    return nullptr;
  }

  const Entity& entity_of(const model::Endpoint& pod) const { return entities_.at(&pod); }

  Entity make_entity(const model::Endpoint& pod) const {
    Entity entity;
    entity.pod = true;
    entity.ns = pod.namespace_name;
    entity.account = pod.service_account;
    const std::vector<std::string> profiles = profiles_of(pod);
    const auto has = [&](const std::string& name) {
      return override_of(pod) == nullptr || std::find(profiles.begin(), profiles.end(), name) != profiles.end();
    };
    if (has("kns." + entity.ns)) entity.ns_labels = namespace_labels(entity.ns);
    if (has("ksa." + entity.ns + "." + entity.account))
      entity.account_labels = account_labels(entity.ns, entity.account);
    std::vector<std::string> pairs;
    for (const std::string& pair : pod.labels->pairs) {
      if (!pair.starts_with("pcns.") && !pair.starts_with("pcsa.") && !pair.starts_with("projectcalico.org/")) {
        pairs.push_back(pair);
      }
    }
    pairs.push_back("projectcalico.org/namespace=" + entity.ns);
    pairs.push_back("projectcalico.org/orchestrator=k8s");
    pairs.push_back("projectcalico.org/serviceaccount=" + entity.account);
    for (const std::string& name : profiles) {
      if (const auto* one = profile(name)) {
        for (const std::string& pair : one->labels_to_apply.pairs) put(pairs, pair);
      }
    }
    for (const std::string& pair : entity.ns_labels.pairs) put(pairs, "pcns." + pair);
    for (const std::string& pair : entity.account_labels.pairs) put(pairs, "pcsa." + pair);
    std::sort(pairs.begin(), pairs.end());
    entity.labels.pairs = std::move(pairs);
    return entity;
  }

  // Kubernetes NetworkPolicy.

  bool selects(const model::NetworkPolicy& policy, const Entity& pod) const {
    return pod.ns == policy.namespace_name && policy.pod_selector.matches(pod.labels);
  }
  bool matches(const model::NetworkPolicy& policy, const model::NetworkPolicyRule& rule, const Query& query,
               bool egress) const {
    const model::Endpoint* peer = egress ? query.dest : query.source;
    const IpAddress& ip = egress ? query.dest_ip : query.source_ip;
    const bool peer_ok = rule.peers.empty() || std::any_of(rule.peers.begin(), rule.peers.end(), [&](const auto& item) {
                           if (item.ip_block) {
                             if (item.pod_selector || item.namespace_selector) return false;
                             return block_holds({item.ip_block->cidr}, peer, ip) && !in(item.ip_block->except, ip);
                           }
                           if (!managed(peer) || (!item.pod_selector && !item.namespace_selector)) return false;
                           const Entity& entity = entity_of(*peer);
                           if (item.pod_selector && !item.pod_selector->matches(entity.labels)) return false;
                           return item.namespace_selector ? item.namespace_selector->matches(entity.ns_labels)
                                                          : entity.ns == policy.namespace_name;
                         });
    if (!peer_ok) return false;
    return rule.ports.empty() || std::any_of(rule.ports.begin(), rule.ports.end(), [&](const auto& item) {
             if (item.protocol != query.protocol || !has_ports(item.protocol)) return false;
             if (!item.port_name.empty()) return declares(query.dest, item.port_name, query.protocol, query.dest_port);
             if (!item.port) return true;
             return query.dest_port >= *item.port && query.dest_port <= item.end_port.value_or(*item.port);
           });
  }

  // Admin policies.

  bool selects(const model::AdminPodSelector& selector, const Entity& pod) const {
    return pod.pod && selector.namespace_selector.matches(pod.ns_labels) && selector.pod_selector.matches(pod.labels);
  }
  static bool understood(const model::AdminRule& rule) {
    if (rule.malformed || rule.peers.empty()) return false;
    return std::all_of(rule.peers.begin(), rule.peers.end(), [&](const model::AdminPeer& peer) {
      const int parts = int{peer.pods.has_value()} + int{peer.nodes.has_value()} + int{!peer.networks.empty()} +
                        int{!peer.domain_names.empty()};
      return parts == 1 && (peer.domain_names.empty() || rule.action == model::Action::kAllow);
    });
  }
  bool matches(const model::AdminRule& rule, const Query& query, bool egress) const {
    const model::Endpoint* peer = egress ? query.dest : query.source;
    const IpAddress& ip = egress ? query.dest_ip : query.source_ip;
    const bool peer_ok = std::any_of(rule.peers.begin(), rule.peers.end(), [&](const model::AdminPeer& item) {
      if (item.pods) return managed(peer) && selects(*item.pods, entity_of(*peer));
      if (item.nodes) {
        return (options_.ip_block_matches_pods || !managed(peer)) &&
               std::any_of(set_.nodes.begin(), set_.nodes.end(), [&](const auto& node) {
                 return item.nodes->matches(node->labels) &&
                        std::find(node->addresses.begin(), node->addresses.end(), ip) != node->addresses.end();
               });
      }
      if (!item.networks.empty()) return block_holds(item.networks, peer, ip);
      return egress && named(item.domain_names, query);
    });
    if (!peer_ok) return false;
    return rule.ports.empty() || std::any_of(rule.ports.begin(), rule.ports.end(), [&](const model::AdminPort& item) {
             if (item.protocol != 0 && item.protocol != query.protocol) return false;
             if (!item.name.empty()) return declares(query.dest, item.name, query.protocol, query.dest_port);
             return query.dest_port >= item.first && query.dest_port <= item.last;
           });
  }

  // Calico.

  bool selects(const model::CalicoPolicy& policy, const Entity& entity) const {
    if (policy.namespace_name && entity.ns != *policy.namespace_name) return false;
    if (policy.namespace_selector && !in_namespace(*policy.namespace_selector, entity)) return false;
    if (policy.service_account_selector && !policy.service_account_selector->matches(entity.account_labels))
      return false;
    return policy.selector.matches(entity.labels);
  }
  bool matches(const std::optional<std::string>& ns, const model::CalicoRule& rule, const Query& query,
               bool egress) const {
    if (rule.malformed || (rule.protocol && *rule.protocol != query.protocol)) return false;
    if (rule.not_protocol && *rule.not_protocol == query.protocol) return false;
    if (rule.ip_version) {
      const IpAddress& far = egress ? query.dest_ip : query.source_ip;
      if ((*rule.ip_version == 4) != far.is_v4()) return false;
    }
    if (rule.icmp && !icmp_holds(*rule.icmp, query)) return false;
    if (rule.not_icmp && icmp_holds(*rule.not_icmp, query)) return false;
    if (!end_holds(ns, rule.source, query, true) || !end_holds(ns, rule.destination, query, false)) return false;
    return !rule.http || query.http == nullptr || http_matches(*rule.http, *query.http);
  }

 private:
  static void put(std::vector<std::string>& pairs, const std::string& pair) {
    const std::string key = pair.substr(0, pair.find('=') + 1);
    if (std::none_of(pairs.begin(), pairs.end(), [&](const auto& known) { return known.starts_with(key); })) {
      pairs.push_back(pair);
    }
  }
  model::LabelSet namespace_labels(const std::string& name) const {
    model::LabelSet labels{{"kubernetes.io/metadata.name=" + name}};
    for (const auto& info : set_.namespaces) {
      if (info->name == name) labels = info->labels;
    }
    put(labels.pairs, "projectcalico.org/name=" + name);
    std::sort(labels.pairs.begin(), labels.pairs.end());
    return labels;
  }
  model::LabelSet account_labels(const std::string& ns, const std::string& name) const {
    model::LabelSet labels;
    for (const auto& info : set_.service_accounts) {
      if (info->namespace_name == ns && info->name == name) labels = info->labels;
    }
    put(labels.pairs, "projectcalico.org/name=" + name);
    std::sort(labels.pairs.begin(), labels.pairs.end());
    return labels;
  }
  static bool in_namespace(const model::Selector& selector, const Entity& entity) {
    if (selector.is_all()) return !entity.ns.empty();
    if (selector.root().kind == model::Selector::Kind::kGlobal) return entity.ns.empty();
    return selector.matches(entity.ns_labels);
  }
  static bool in(const std::vector<IpPrefix>& prefixes, const IpAddress& ip) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const IpPrefix& prefix) { return prefix.contains(ip); });
  }
  bool block_holds(const std::vector<IpPrefix>& prefixes, const model::Endpoint* peer, const IpAddress& ip) const {
    return (options_.ip_block_matches_pods || !managed(peer)) && in(prefixes, ip);
  }
  static bool has_ports(std::uint8_t protocol) {
    return protocol == model::kProtoTcp || protocol == model::kProtoUdp || protocol == model::kProtoSctp;
  }
  static bool declares(const model::Endpoint* end, const std::string& name, std::uint8_t protocol, std::uint16_t port) {
    return managed(end) && has_ports(protocol) &&
           std::any_of(end->named_ports.begin(), end->named_ports.end(), [&](const model::NamedPort& one) {
             return one.name == name && one.protocol == protocol && one.port == port;
           });
  }
  static bool named(const std::vector<std::string>& patterns, const Query& query) {
    for (const std::string& pattern : patterns) {
      for (const std::string_view name : query.dest_names) {
        if (domain_matches(pattern, name)) return true;
      }
    }
    return false;
  }
  static bool icmp_holds(const model::IcmpMatch& match, const Query& query) {
    if (query.protocol != model::kProtoIcmp && query.protocol != model::kProtoIcmp6) return false;
    if (match.type && query.dest_port >> 8 != *match.type) return false;
    return !match.code || (query.dest_port & 0xFF) == *match.code;
  }
  static bool port_holds(const std::vector<model::PortMatch>& ports, const model::Endpoint* end, std::uint8_t protocol,
                         std::uint16_t port) {
    if (!has_ports(protocol)) return false;
    return std::any_of(ports.begin(), ports.end(), [&](const model::PortMatch& item) {
      if (!item.name.empty()) return declares(end, item.name, protocol, port);
      return port >= item.first && port <= item.last;
    });
  }

  /// Whoever owns the address; a destination also by the names it was an answer to.
  std::vector<Entity> owners(const model::Endpoint* end, const IpAddress& ip, const Query& query, bool source) const {
    std::vector<Entity> result;
    if (managed(end)) result.push_back(entity_of(*end));
    for (const auto& network_set : set_.network_sets) {
      if (!in(network_set->nets, ip) && (source || !named(network_set->domains, query))) continue;
      Entity entity;
      entity.ns = network_set->namespace_name;
      entity.labels = network_set->labels;
      if (!entity.ns.empty()) {
        entity.ns_labels = namespace_labels(entity.ns);
        entity.labels.pairs.push_back("projectcalico.org/namespace=" + entity.ns);
        for (const std::string& pair : entity.ns_labels.pairs) entity.labels.pairs.push_back("pcns." + pair);
        std::sort(entity.labels.pairs.begin(), entity.labels.pairs.end());
      }
      result.push_back(std::move(entity));
    }
    for (const auto& host : set_.host_endpoints) {
      if (std::find(host->expected_ips.begin(), host->expected_ips.end(), ip) == host->expected_ips.end()) continue;
      Entity entity;
      entity.labels = host->labels;
      result.push_back(std::move(entity));
    }
    return result;
  }

  bool service_holds(const std::optional<std::string>& ns, const model::ServiceMatch& match, const IpAddress& ip,
                     const Query& query, bool with_port) const {
    const std::string& where = match.namespace_name.empty() && ns ? *ns : match.namespace_name;
    for (const auto& service : set_.services) {
      if (service->name != match.name || service->namespace_name != where) continue;
      for (const auto& subset : service->subsets) {
        if (std::find(subset.addresses.begin(), subset.addresses.end(), ip) == subset.addresses.end()) continue;
        if (!with_port) return true;
        for (const auto& port : subset.ports) {
          if (port.protocol == query.protocol && port.port == query.dest_port) return true;
        }
      }
    }
    return false;
  }

  bool end_holds(const std::optional<std::string>& ns, const model::EntityRule& rule, const Query& query,
                 bool source) const {
    const model::Endpoint* end = source ? query.source : query.dest;
    const IpAddress& ip = source ? query.source_ip : query.dest_ip;
    const std::uint16_t port = source ? query.source_port : query.dest_port;
    const std::vector<Entity> entities = owners(end, ip, query, source);
    const bool limited =
        ns && !rule.namespace_selector && (rule.selector || rule.not_selector || rule.service_accounts);
    const auto positive = [&](const Entity& entity) {
      if (limited && entity.ns != *ns) return false;
      if (rule.namespace_selector && !in_namespace(*rule.namespace_selector, entity)) return false;
      if (rule.selector && !rule.selector->matches(entity.labels)) return false;
      if (!rule.service_accounts) return true;
      const auto& names = rule.service_accounts->names;
      if (!names.empty() && std::find(names.begin(), names.end(), entity.account) == names.end()) return false;
      return !rule.service_accounts->selector || rule.service_accounts->selector->matches(entity.account_labels);
    };
    const auto negative = [&](const Entity& entity) { return rule.not_selector->matches(entity.labels); };
    const bool asks = limited || rule.namespace_selector || rule.selector || rule.service_accounts;
    if (asks && std::none_of(entities.begin(), entities.end(), positive)) return false;
    if (rule.not_selector && std::any_of(entities.begin(), entities.end(), negative)) return false;
    if (!rule.nets.empty() && !in(rule.nets, ip)) return false;
    if (!rule.not_nets.empty() && in(rule.not_nets, ip)) return false;
    if (!rule.domains.empty() && (source || !named(rule.domains, query))) return false;
    if (!rule.ports.empty() && !port_holds(rule.ports, end, query.protocol, port)) return false;
    if (!rule.not_ports.empty() && port_holds(rule.not_ports, end, query.protocol, port)) return false;
    return !rule.service || service_holds(ns, *rule.service, ip, query, !source);
  }

  EngineOptions options_;
  const model::PolicySet& set_;
  std::map<const model::Endpoint*, Entity> entities_;
};

}  // namespace weir::policy
