// Cilium's policies, whose order means nothing, against an evaluator that says what Cilium's documents say: any denial
// denies; what is left is allowed if some policy allows it, or if none isolates the pod.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "policy/differential.h"
#include "policy/internal/domains.h"

namespace weir::policy {
namespace {

using model::CiliumEntity;
using model::CiliumPolicy;
using model::CiliumRule;

class CiliumOracle {
 public:
  explicit CiliumOracle(const World& world) : world_(world) {}

  bool allows(const Query& query, bool egress) const {
    const model::Endpoint* subject = egress ? query.source : query.dest;
    if (!OracleMatch::managed(subject)) return true;
    bool isolated = false, allowed = false;
    for (const CiliumPolicy& policy : world_.cilium_policies) {
      if (policy.namespace_name && *policy.namespace_name != subject->namespace_name) continue;
      if (!policy.endpoint_selector->matches(labels_of(*subject))) continue;
      const auto& rules = egress ? policy.egress : policy.ingress;
      const auto& wanted = egress ? policy.default_deny_egress : policy.default_deny_ingress;
      isolated |= wanted.value_or(rules && !rules->empty());
      if (!rules) continue;
      for (const CiliumRule& rule : *rules) {
        if (!matches(policy, rule, query, egress)) continue;
        if (rule.deny) return false;
        allowed = true;
      }
    }
    for (const model::NetworkPolicy& policy : world_.network_policies) {
      if (policy.namespace_name != subject->namespace_name) continue;
      isolated |= egress ? policy.applies_egress : policy.applies_ingress;
    }
    return allowed || !isolated;
  }

 private:
  /// As Cilium sees a pod.
  model::LabelSet labels_of(const model::Endpoint& pod) const {
    model::LabelSet labels = *pod.labels;
    labels.pairs.push_back("io.kubernetes.pod.namespace=" + pod.namespace_name);
    for (const model::NamespaceInfo& info : world_.namespaces) {
      if (info.name != pod.namespace_name) continue;
      for (const std::string& pair : info.labels.pairs)
        labels.pairs.push_back("io.cilium.k8s.namespace.labels." + pair);
    }
    std::sort(labels.pairs.begin(), labels.pairs.end());
    return labels;
  }
  bool is_node(const IpAddress& ip) const {
    return std::any_of(world_.nodes.begin(), world_.nodes.end(),
                       [&](const auto& node) { return node.addresses[0] == ip; });
  }
  static bool speaks_of_namespaces(const model::LabelSelector& selector) {
    const auto about = [](const std::string& key) {
      return key == "io.kubernetes.pod.namespace" || key.starts_with("io.cilium.k8s.namespace.labels.");
    };
    return std::any_of(selector.match_labels.begin(), selector.match_labels.end(),
                       [&](const auto& pair) { return about(pair.first); }) ||
           std::any_of(selector.match_expressions.begin(), selector.match_expressions.end(),
                       [&](const auto& requirement) { return about(requirement.key); });
  }
  bool entity_holds(CiliumEntity entity, const model::Endpoint* peer, const IpAddress& ip) const {
    const bool pod = OracleMatch::managed(peer), node = !pod && is_node(ip);
    switch (entity) {
      case CiliumEntity::kAll:
        return true;
      case CiliumEntity::kWorld:
        return !pod && !node;
      case CiliumEntity::kWorldV4:
        return !pod && !node && ip.is_v4();
      case CiliumEntity::kWorldV6:
        return !pod && !node && !ip.is_v4();
      case CiliumEntity::kCluster:
        return pod || node;
      case CiliumEntity::kHost:
      case CiliumEntity::kRemoteNode:
        return node;
      default:
        return false;
    }
  }
  bool peer_holds(const CiliumPolicy& policy, const CiliumRule& rule, const Query& query, bool egress) const {
    const model::Endpoint* peer = egress ? query.dest : query.source;
    const IpAddress& ip = egress ? query.dest_ip : query.source_ip;
    const bool pod = OracleMatch::managed(peer);
    if (!rule.endpoints && !rule.cidrs && !rule.entities && !rule.fqdns) return true;
    if (rule.endpoints && pod) {
      for (const model::LabelSelector& selector : *rule.endpoints) {
        const bool own = policy.namespace_name && !speaks_of_namespaces(selector);
        if (own && peer->namespace_name != *policy.namespace_name) continue;
        if (selector.matches(labels_of(*peer))) return true;
      }
    }
    if (rule.cidrs && !pod && !is_node(ip)) {
      for (const model::IpBlock& block : *rule.cidrs) {
        const auto holds = [&](const IpPrefix& prefix) { return prefix.contains(ip); };
        if (holds(block.cidr) && std::none_of(block.except.begin(), block.except.end(), holds)) return true;
      }
    }
    if (rule.entities) {
      for (const CiliumEntity entity : *rule.entities) {
        if (entity_holds(entity, peer, ip)) return true;
      }
    }
    if (!rule.fqdns || !egress) return false;
    for (const model::CiliumFqdn& name : *rule.fqdns) {
      for (const std::string_view known : query.dest_names) {
        if (domain_matches(name.match_name.empty() ? "~" + name.match_pattern : name.match_name, known)) return true;
      }
    }
    return false;
  }
  bool matches(const CiliumPolicy& policy, const CiliumRule& rule, const Query& query, bool egress) const {
    if (rule.malformed) return rule.deny;
    if (rule.empty || !peer_holds(policy, rule, query, egress)) return false;
    if (rule.ports.empty() && rule.icmps.empty()) return true;
    const bool ports = query.protocol == 6 || query.protocol == 17 || query.protocol == 132;
    for (const model::CiliumPort& port : rule.ports) {
      if (!ports || (port.protocol != 0 && port.protocol != query.protocol)) continue;
      if (query.dest_port >= port.first && query.dest_port <= port.last) return true;
    }
    return std::any_of(rule.icmps.begin(), rule.icmps.end(), [&](const model::CiliumIcmp& icmp) {
      return query.protocol == (icmp.v6 ? 58 : 1) && query.dest_port >> 8 == icmp.type;
    });
  }

  const World& world_;
};

class RandomCilium {
 public:
  RandomCilium(std::uint64_t seed, World& world) : dice_(seed), world_(world) {
    for (const char* ns : {"a", "b"}) world_.add_namespace(ns, {"team=" + letter()});
    for (int i = 0; i < 6; ++i) {
      world_.add_pod(letter(), "p" + std::to_string(i), {"app=" + letter()}, {"10.0.0." + std::to_string(i)});
    }
    world_.nodes.push_back({"n", {}, {IpAddress::parse("10.9.0.1").value()}});
    for (std::size_t i = 1 + dice_.roll(4); i > 0; --i) add_policy(i);
    if (dice_.one_in(3)) {
      model::NetworkPolicy closed;
      closed.namespace_name = "a";
      closed.name = "closed";
      world_.network_policies.push_back(closed);
    }
  }
  Dice& dice() { return dice_; }

 private:
  std::string letter() { return dice_.one_in(2) ? "a" : "b"; }
  model::LabelSelector selector() {
    model::LabelSelector result;
    if (dice_.one_in(2)) result.match_labels.emplace_back("app", letter());
    if (dice_.one_in(4)) result.match_labels.emplace_back("io.kubernetes.pod.namespace", letter());
    if (dice_.one_in(5)) {
      result.match_expressions.push_back({"io.cilium.k8s.namespace.labels.team",
                                          static_cast<model::LabelSelector::Operator>(dice_.roll(2)),
                                          {letter()}});
    }
    return result;
  }
  CiliumRule rule(bool deny) {
    CiliumRule result;
    result.deny = deny;
    result.empty = dice_.one_in(12);
    result.malformed = dice_.one_in(15);
    if (dice_.one_in(2)) {
      result.endpoints.emplace();
      for (std::size_t i = dice_.roll(3); i > 0; --i) result.endpoints->push_back(selector());
    }
    if (dice_.one_in(4)) {
      const char* kBlocks[] = {"0.0.0.0/0", "10.0.0.0/8", "203.0.113.0/24"};
      result.cidrs = {
          model::IpBlock{IpPrefix::parse(kBlocks[dice_.roll(3)]).value(), {IpPrefix::parse("203.0.113.9/32").value()}}};
    }
    if (dice_.one_in(4)) {
      result.entities.emplace();
      for (std::size_t i = dice_.roll(3); i > 0; --i)
        result.entities->push_back(static_cast<CiliumEntity>(dice_.roll(7)));
    }
    if (!deny && dice_.one_in(5)) result.fqdns = {model::CiliumFqdn{"", dice_.one_in(2) ? "*.example.org" : "*"}};
    if (dice_.one_in(3)) result.ports.push_back({static_cast<std::uint8_t>(dice_.one_in(2) ? 0 : 6), 80, 81, ""});
    if (dice_.one_in(6)) result.icmps.push_back({false, 8});
    return result;
  }
  void add_policy(std::size_t number) {
    CiliumPolicy policy;
    if (!dice_.one_in(3)) policy.namespace_name = letter();
    policy.name = "c" + std::to_string(number);
    policy.endpoint_selector = selector();
    for (auto* rules : {&policy.ingress, &policy.egress}) {
      if (dice_.one_in(3)) continue;
      rules->emplace();
      for (std::size_t i = dice_.roll(3); i > 0; --i) (*rules)->push_back(rule(false));
      for (std::size_t i = dice_.roll(2); i > 0; --i) (*rules)->push_back(rule(true));
    }
    if (dice_.one_in(5)) policy.default_deny_ingress = dice_.one_in(2);
    if (dice_.one_in(5)) policy.default_deny_egress = dice_.one_in(2);
    world_.cilium_policies.push_back(std::move(policy));
  }

  Dice dice_;
  World& world_;
};

TEST(DifferentialCilium, RandomWorldsAgreeWithWhatTheDocumentsSay) {
  constexpr std::string_view kNames[] = {"www.example.org"};
  for (std::uint64_t seed = 1; seed <= 300 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world;
    RandomCilium random(seed, world);
    auto engine = Engine::create({}, world.inputs());
    ASSERT_TRUE(engine.ok()) << engine.error().message;
    const CiliumOracle oracle(world);
    Questions(world, {"203.0.113.9", "203.0.113.10", "10.9.0.1", "10.0.7.7"}).for_each(kServices, [&](Query query) {
      if (query.source != nullptr && query.source == query.dest) return;
      if (random.dice().one_in(2)) query.dest_names = kNames;
      const Verdict got = engine.value()->evaluate(query);
      EXPECT_EQ(got.egress.action == model::Action::kAllow, oracle.allows(query, true))
          << describe(query) << " " << text(got.egress);
      EXPECT_EQ(got.ingress.action == model::Action::kAllow, oracle.allows(query, false))
          << describe(query) << " " << text(got.ingress);
    });
  }
}

}  // namespace
}  // namespace weir::policy
