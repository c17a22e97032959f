#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "model/connection.h"
#include "model/policy_trace.h"
#include "policy/engine.h"

/// The slow, obvious evaluator that the engine must agree with: reads the objects as they are, for every question anew.
/// For test targets and benchmarks only.
namespace weir::policy {

class Oracle {
 public:
  struct Side {
    bool managed = false;
    model::Action action = model::Action::kAllow;
    std::vector<std::string> trace;
  };
  struct Answer {
    Side egress, ingress;
  };

  /// `inputs` must outlive this.
  Oracle(const EngineOptions& options, const EngineInputs& inputs) : options_(options), inputs_(inputs) {
    for (const model::NetworkPolicy& policy : inputs.network_policies) ordered_.push_back(&policy);
    std::sort(ordered_.begin(), ordered_.end(), [](const auto* a, const auto* b) {
      return a->name + "/" + a->namespace_name < b->name + "/" + b->namespace_name;
    });
  }

  Answer evaluate(const Query& query) const {
    if (managed(query.source) && query.source == query.dest) return {};
    return {side(query, query.source, true), side(query, query.dest, false)};
  }

 private:
  static bool managed(const model::Endpoint* end) {
    return end != nullptr && end->type == model::EndpointType::kWorkload && !end->host_network;
  }

  Side side(const Query& query, const model::Endpoint* subject, bool egress) const {
    if (!managed(subject)) return {};
    const bool kind = options_.trace_names == TraceNames::kKind;
    std::string first_applicable;
    for (const model::NetworkPolicy* policy : ordered_) {
      if (policy->namespace_name != subject->namespace_name || !policy->pod_selector.matches(*subject->labels))
        continue;
      if (egress ? !policy->applies_egress : !policy->applies_ingress) continue;
      const std::string name = kind ? "knp:" + policy->namespace_name + "/" + policy->name
                                    : policy->namespace_name + "/knp.default." + policy->name;
      if (first_applicable.empty()) first_applicable = name;
      const auto& rules = egress ? policy->egress : policy->ingress;
      for (std::size_t i = 0; i < rules.size(); ++i) {
        if (peer_matches(query, *policy, rules[i], egress) && port_matches(query, rules[i])) {
          return {true, model::Action::kAllow, {"0|default|" + name + "|allow|" + std::to_string(i)}};
        }
      }
    }
    if (!first_applicable.empty()) {
      return {true, model::Action::kDeny, {"0|default|" + first_applicable + "|deny|-1"}};
    }
    const std::string profile = (kind ? "pro:kns." : "__PROFILE__.kns.") + subject->namespace_name;
    return {true, model::Action::kAllow, {"0|__PROFILE__|" + profile + "|allow|0"}};
  }

  bool peer_matches(const Query& query, const model::NetworkPolicy& policy, const model::NetworkPolicyRule& rule,
                    bool egress) const {
    const model::Endpoint* peer = egress ? query.dest : query.source;
    const IpAddress& ip = egress ? query.dest_ip : query.source_ip;
    if (rule.peers.empty()) return true;
    return std::any_of(rule.peers.begin(), rule.peers.end(), [&](const model::NetworkPolicyPeer& item) {
      if (item.ip_block) {
        if (item.pod_selector || item.namespace_selector) return false;
        if (managed(peer) && !options_.ip_block_matches_pods) return false;
        const auto holds = [&](const IpPrefix& prefix) { return prefix.contains(ip); };
        return holds(item.ip_block->cidr) &&
               std::none_of(item.ip_block->except.begin(), item.ip_block->except.end(), holds);
      }
      if (!managed(peer) || (!item.pod_selector && !item.namespace_selector)) return false;
      if (item.pod_selector && !item.pod_selector->matches(*peer->labels)) return false;
      if (!item.namespace_selector) return peer->namespace_name == policy.namespace_name;
      return item.namespace_selector->matches(namespace_labels(peer->namespace_name));
    });
  }

  model::LabelSet namespace_labels(const std::string& name) const {
    for (const model::NamespaceInfo& info : inputs_.namespaces) {
      if (info.name == name) return info.labels;
    }
    return {{"kubernetes.io/metadata.name=" + name}};
  }

  static bool port_matches(const Query& query, const model::NetworkPolicyRule& rule) {
    if (rule.ports.empty()) return true;
    return std::any_of(rule.ports.begin(), rule.ports.end(), [&](const model::NetworkPolicyPort& item) {
      if (item.protocol != query.protocol) return false;
      if (item.protocol != model::kProtoTcp && item.protocol != model::kProtoUdp &&
          item.protocol != model::kProtoSctp) {
        return false;
      }
      if (!item.port_name.empty()) {
        return managed(query.dest) &&
               std::any_of(query.dest->named_ports.begin(), query.dest->named_ports.end(), [&](const auto& declared) {
                 return declared.name == item.port_name && declared.protocol == item.protocol &&
                        declared.port == query.dest_port;
               });
      }
      if (!item.port) return true;
      return query.dest_port >= *item.port && query.dest_port <= item.end_port.value_or(*item.port);
    });
  }

  EngineOptions options_;
  const EngineInputs& inputs_;
  std::vector<const model::NetworkPolicy*> ordered_;
};

}  // namespace weir::policy
