#pragma once
// size: a generator for each object of every API

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "model/connection.h"
#include "policy/policy_test_world.h"

/// Random clusters with objects of every API, small words, many collisions. For test targets only.
namespace weir::policy {

class RandomWorld {
 public:
  RandomWorld(std::uint64_t seed, World& world) : dice_(seed), world_(world) {}

  void fill() {
    for (const char* ns : {"a", "b", "c"}) {
      if (!dice_.one_in(4)) world_.add_namespace(ns, labels({"team", "env"}));
    }
    for (const char* ns : {"a", "b", "c"}) {
      for (const char* name : {"default", "robot"}) {
        if (!dice_.one_in(3)) world_.service_accounts.push_back({ns, name, {labels({"role", "team"})}});
      }
    }
    for (int i = 0; i < 9; ++i) add_pod(i);
    for (int i = 0; i < 2; ++i) {
      world_.nodes.push_back({"n" + std::to_string(i), {labels({"zone"})}, {ip("10.9.0." + std::to_string(i))}});
    }
    for (std::size_t i = dice_.roll(4); i > 0; --i) add_network_set(i);
    if (dice_.one_in(3)) {
      model::HostEndpoint host;
      host.name = "h";
      host.labels = {labels({"app", "tier"})};
      host.expected_ips = {ip("10.9.0.0")};
      world_.host_endpoints.push_back(host);
    }
    for (const char* name : {"t1", "t2"}) {
      if (dice_.one_in(3)) continue;
      model::Tier tier{name, {}, dice_.one_in(2) ? model::Action::kPass : model::Action::kDeny};
      if (!dice_.one_in(3)) tier.order = static_cast<double>(dice_.roll(3)) * 900'000;
      world_.tiers.push_back(tier);
    }
    add_profiles();
    add_services();
    for (std::size_t i = dice_.roll(5); i > 0; --i) add_network_policy(i);
    for (std::size_t i = dice_.roll(7); i > 0; --i) add_calico_policy(i);
    for (std::size_t i = dice_.roll(4); i > 0; --i) add_admin_policy(i);
  }

  /// One object comes, goes or changes.
  void change_something() {
    switch (dice_.roll(9)) {
      case 0:
        return add_network_policy(100 + dice_.roll(50));
      case 1:
        return add_calico_policy(100 + dice_.roll(50));
      case 2:
        return add_admin_policy(100 + dice_.roll(50));
      case 3:
        return drop_one(world_.calico_policies);
      case 4:
        return drop_one(world_.network_policies);
      case 5:
        if (!world_.namespaces.empty()) dice_.pick_one(world_.namespaces).labels = {labels({"team", "env"})};
        return;
      case 6:
        return add_pod(static_cast<int>(world_.pod_count()));
      case 7:
        world_.network_sets.clear();
        return add_network_set(dice_.roll(9));
      default:
        if (!world_.service_accounts.empty()) dice_.pick_one(world_.service_accounts).labels = {labels({"role"})};
    }
  }

  Dice& dice() { return dice_; }

 private:
  static IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }
  static IpPrefix prefix(const std::string& text) { return IpPrefix::parse(text).value(); }
  std::string letter() { return std::string(1, static_cast<char>('a' + dice_.roll(3))); }
  template <typename T>
  T pick_of(const std::vector<T>& from) {
    return from[dice_.roll(from.size())];
  }
  template <typename T>
  void drop_one(std::vector<T>& from) {
    if (!from.empty()) from.erase(from.begin() + static_cast<std::ptrdiff_t>(dice_.roll(from.size())));
  }

  std::vector<std::string> labels(const std::vector<std::string>& keys) {
    std::vector<std::string> pairs;
    for (const std::string& key : keys) {
      if (!dice_.one_in(3)) pairs.push_back(key + "=" + letter());
    }
    std::sort(pairs.begin(), pairs.end());
    return pairs;
  }

  void add_pod(int number) {
    const std::string ns = letter();
    const std::string n = std::to_string(number);
    std::vector<std::string> ips = {"10.0." + std::to_string(number % 3) + "." + n};
    if (dice_.one_in(3)) ips.push_back("fd00:0:0:1::" + n);
    model::Endpoint* pod = world_.add_pod(ns, "p" + n, labels({"app", "tier", "pcns.team"}), ips);
    pod->service_account = dice_.one_in(2) ? "default" : "robot";
    pod->node = dice_.one_in(2) ? "n0" : "n1";
    if (dice_.one_in(8)) pod->host_network = true;
    for (std::size_t i = dice_.roll(3); i > 0; --i) {
      pod->named_ports.push_back({dice_.one_in(2) ? "http" : "dns", static_cast<std::uint16_t>(80 + dice_.roll(2)),
                                  static_cast<std::uint8_t>(dice_.one_in(2) ? 6 : 17)});
    }
    if (dice_.one_in(6)) {
      model::WorkloadEndpoint endpoint{ns, "p" + n, {}};
      for (const std::string& name : {"kns." + ns, "ksa." + ns + ".robot", std::string("own"), std::string("ghost")}) {
        if (dice_.one_in(2)) endpoint.profiles.push_back(name);
      }
      world_.workload_endpoints.push_back(endpoint);
    }
  }

  void add_profiles() {
    for (const char* name : {"own", "ksa.a.robot"}) {
      if (dice_.one_in(2)) continue;
      model::Profile profile;
      profile.name = name;
      profile.labels_to_apply = {labels({"tier", "rank", "zone"})};
      profile.ingress = calico_rules();
      profile.egress = calico_rules();
      world_.profiles.push_back(profile);
    }
  }

  void add_services() {
    for (const char* name : {"s1", "s2"}) {
      model::ServiceEndpoints service;
      service.namespace_name = letter();
      service.name = name;
      for (std::size_t i = dice_.roll(3); i > 0; --i) {
        model::ServiceEndpoints::Subset subset;
        for (int n = 0; n < 9; ++n) {
          if (dice_.one_in(3))
            subset.addresses.push_back(ip("10.0." + std::to_string(n % 3) + "." + std::to_string(n)));
        }
        subset.ports.push_back({model::kProtoTcp, static_cast<std::uint16_t>(80 + dice_.roll(2))});
        service.subsets.push_back(subset);
      }
      world_.services.push_back(service);
    }
  }

  void add_network_set(std::size_t number) {
    model::NetworkSetInfo set;
    set.namespace_name = dice_.one_in(2) ? "" : letter();
    set.name = "set" + std::to_string(number);
    set.labels = {labels({"app", "tier", "zone"})};
    for (std::size_t i = dice_.roll(3); i > 0; --i) set.nets.push_back(block());
    if (dice_.one_in(3)) set.domains.push_back(domain());
    world_.network_sets.push_back(set);
  }

  IpPrefix block() {
    return prefix(pick_of<std::string>({"0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24", "10.0.2.5/32", "203.0.113.0/24",
                                        "::/0", "fd00::/16", "fd00:0:0:1::4/126", "10.9.0.0/31"}));
  }
  std::string domain() { return pick_of<std::string>({"example.org", "*.example.org", "www.example.com"}); }

  std::string comparison(const std::vector<std::string>& keys) {
    const std::string key = dice_.pick(keys);
    switch (dice_.roll(8)) {
      case 0:
        return key + " == '" + letter() + "'";
      case 1:
        return key + " != '" + letter() + "'";
      case 2:
        return "has(" + key + ")";
      case 3:
        return "!has(" + key + ")";
      case 4:
        return key + " in {'" + letter() + "','" + letter() + "'}";
      case 5:
        return key + " not in {'" + letter() + "'}";
      case 6:
        return key + " starts with '" + letter() + "'";
      default:
        return "all()";
    }
  }
  model::Selector selector(const std::vector<std::string>& keys) {
    std::string text = comparison(keys);
    if (dice_.one_in(3)) text += (dice_.one_in(2) ? " && " : " || ") + comparison(keys);
    if (dice_.one_in(6)) text = "!(" + text + ")";
    return model::Selector::parse(text).value();
  }
  model::Selector entity_selector() {
    return selector({"app", "tier", "zone", "projectcalico.org/namespace", "projectcalico.org/serviceaccount",
                     "pcns.team", "pcsa.role"});
  }
  model::Selector namespace_selector() {
    if (dice_.one_in(4)) return model::Selector::parse(dice_.one_in(2) ? "all()" : "global()").value();
    return selector({"team", "env", "kubernetes.io/metadata.name", "projectcalico.org/name"});
  }

  std::vector<model::PortMatch> ports() {
    std::vector<model::PortMatch> result(1 + dice_.roll(2));
    for (model::PortMatch& port : result) {
      port.first = static_cast<std::uint16_t>(79 + dice_.roll(3));
      port.last = static_cast<std::uint16_t>(port.first + dice_.roll(2));
      if (dice_.one_in(3)) port.name = dice_.one_in(2) ? "http" : "dns";
    }
    return result;
  }

  void fill_end(model::EntityRule& end, bool dest) {
    if (dice_.one_in(3)) end.selector = entity_selector();
    if (dice_.one_in(6)) end.not_selector = entity_selector();
    if (dice_.one_in(5)) end.namespace_selector = namespace_selector();
    if (dice_.one_in(5)) end.nets = {block()};
    if (dice_.one_in(6)) end.not_nets = {block()};
    if (dice_.one_in(5)) end.ports = ports();
    if (dice_.one_in(7)) end.not_ports = ports();
    if (dice_.one_in(7)) {
      end.service_accounts.emplace();
      if (dice_.one_in(2)) end.service_accounts->names = {"robot"};
      if (dice_.one_in(2)) end.service_accounts->selector = selector({"role", "team"});
    }
    if (dest && dice_.one_in(8)) end.domains = {domain()};
    if (dice_.one_in(10)) end.service = model::ServiceMatch{dice_.one_in(2) ? "" : letter(), "s1"};
  }

  std::vector<model::CalicoRule> calico_rules() {
    std::vector<model::CalicoRule> rules(dice_.roll(4));
    for (model::CalicoRule& rule : rules) {
      rule.action = static_cast<model::RuleAction>(dice_.roll(4));
      const auto protocol = [&] { return pick_of<std::uint8_t>({6, 17, 1, 58, 132, 47}); };
      if (dice_.one_in(3)) rule.protocol = protocol();
      if (dice_.one_in(8)) rule.not_protocol = protocol();
      const auto icmp = [&] {
        model::IcmpMatch match;
        if (!dice_.one_in(4)) match.type = static_cast<std::uint8_t>(dice_.one_in(2) ? 8 : 128);
        if (match.type && dice_.one_in(2)) match.code = static_cast<std::uint8_t>(dice_.roll(2));
        return match;
      };
      if (dice_.one_in(8)) rule.icmp = icmp();
      if (dice_.one_in(8)) rule.not_icmp = icmp();
      if (dice_.one_in(8)) rule.ip_version = static_cast<std::uint8_t>(dice_.one_in(2) ? 4 : 6);
      if (!dice_.one_in(3)) fill_end(rule.source, false);
      if (!dice_.one_in(3)) fill_end(rule.destination, true);
      if (dice_.one_in(10)) rule.http = model::HttpMatch{{"GET"}, {{"/pub", true}}};
      if (dice_.one_in(20)) rule.malformed = true;
    }
    return rules;
  }

  model::StagedAction staged() {
    return dice_.one_in(3) ? static_cast<model::StagedAction>(1 + dice_.roll(4)) : model::StagedAction::kNone;
  }

  void add_calico_policy(std::size_t number) {
    model::CalicoPolicy policy;
    if (dice_.one_in(2)) policy.namespace_name = letter();
    // Few names, so that staged ones meet enforced ones.
    policy.name = std::string(dice_.one_in(4) ? "t1." : "") + "c" + std::to_string(number / 2);
    policy.tier = pick_of<std::string>({"default", "t1", "t2", "ghost", "kube-admin"});
    if (!dice_.one_in(3)) policy.order = static_cast<double>(dice_.roll(3)) * 1'000 - 500;
    policy.selector = entity_selector();
    if (dice_.one_in(4)) policy.service_account_selector = selector({"role", "team"});
    if (!policy.namespace_name && dice_.one_in(3)) policy.namespace_selector = namespace_selector();
    policy.applies_ingress = !dice_.one_in(3);
    policy.applies_egress = dice_.one_in(2);
    policy.ingress = calico_rules();
    policy.egress = calico_rules();
    if (dice_.one_in(15)) policy.pre_dnat = true;
    policy.staged = staged();
    for (const model::CalicoPolicy& other : world_.calico_policies) {
      const bool both_staged =
          (other.staged == model::StagedAction::kNone) == (policy.staged == model::StagedAction::kNone);
      if (both_staged && other.name == policy.name && other.namespace_name == policy.namespace_name) return;
    }
    world_.calico_policies.push_back(std::move(policy));
  }

  model::LabelSelector label_selector(const std::vector<std::string>& keys) {
    model::LabelSelector result;
    if (dice_.one_in(2)) result.match_labels.emplace_back(dice_.pick(keys), letter());
    if (dice_.one_in(3)) {
      result.match_expressions.push_back(
          {dice_.pick(keys), static_cast<model::LabelSelector::Operator>(dice_.roll(4)), {letter()}});
    }
    return result;
  }

  void add_network_policy(std::size_t number) {
    model::NetworkPolicy policy;
    policy.namespace_name = letter();
    policy.name = "k" + std::to_string(number / 2);
    policy.pod_selector = label_selector({"app", "tier"});
    policy.applies_egress = dice_.one_in(2);
    policy.staged = staged();
    for (auto* rules : {&policy.ingress, &policy.egress}) {
      rules->resize(dice_.roll(3));
      for (model::NetworkPolicyRule& rule : *rules) {
        for (std::size_t i = dice_.roll(3); i > 0; --i) {
          model::NetworkPolicyPeer& peer = rule.peers.emplace_back();
          if (dice_.one_in(3)) {
            peer.ip_block = model::IpBlock{block(), {block()}};
            continue;
          }
          if (dice_.one_in(2)) peer.pod_selector = label_selector({"app", "tier"});
          if (dice_.one_in(2)) peer.namespace_selector = label_selector({"team", "env"});
        }
        if (dice_.one_in(2)) rule.ports.push_back({static_cast<std::uint8_t>(dice_.one_in(2) ? 6 : 17), 80, "", 81});
      }
    }
    for (const model::NetworkPolicy& other : world_.network_policies) {
      const bool both_staged =
          (other.staged == model::StagedAction::kNone) == (policy.staged == model::StagedAction::kNone);
      if (both_staged && other.name == policy.name && other.namespace_name == policy.namespace_name) return;
    }
    world_.network_policies.push_back(std::move(policy));
  }

  model::AdminPodSelector admin_selector() {
    return {label_selector({"team", "env"}), label_selector({"app", "tier"})};
  }

  void add_admin_policy(std::size_t number) {
    model::AdminPolicy policy;
    policy.kind = static_cast<model::AdminPolicy::Kind>(dice_.roll(3));
    policy.baseline = policy.kind == model::AdminPolicy::Kind::kBaseline || dice_.one_in(3);
    policy.name = "a" + std::to_string(number) + std::to_string(static_cast<int>(policy.kind));
    policy.priority = static_cast<std::int32_t>(dice_.roll(3));
    policy.subject = admin_selector();
    for (auto* rules : {&policy.ingress, &policy.egress}) {
      rules->resize(dice_.roll(3));
      for (model::AdminRule& rule : *rules) {
        rule.action = static_cast<model::Action>(dice_.roll(3));
        rule.malformed = dice_.one_in(12);
        rule.peers.resize(dice_.one_in(12) ? 0 : 1 + dice_.roll(2));
        for (model::AdminPeer& peer : rule.peers) {
          const std::size_t kind = dice_.roll(8);
          if (kind < 4) peer.pods = admin_selector();
          if (kind == 4) peer.nodes = label_selector({"zone"});
          if (kind == 5) peer.networks = {block(), block()};
          if (kind == 6) peer.domain_names = {domain()};
        }
        for (std::size_t i = dice_.roll(3); i > 0; --i) {
          model::AdminPort& port = rule.ports.emplace_back();
          port.protocol = pick_of<std::uint8_t>({6, 17, 132});
          if (dice_.one_in(2)) port.first = 80, port.last = 81;
          if (dice_.one_in(4)) {
            port.name = "http";
            if (dice_.one_in(2)) port.protocol = 0;
          }
        }
      }
    }
    if (dice_.one_in(15)) policy.malformed = true;
    for (const model::AdminPolicy& other : world_.admin_policies) {
      if (other.name == policy.name) return;
    }
    world_.admin_policies.push_back(std::move(policy));
  }

  Dice dice_;
  World& world_;
};

}  // namespace weir::policy
