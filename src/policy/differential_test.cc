// The engine against the slow evaluator: all small worlds of a grammar, and random larger ones.

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "model/connection.h"
#include "policy/differential.h"

namespace weir::policy {
namespace {

using Op = model::LabelSelector::Operator;

model::LabelSelector random_selector(Dice& dice, const std::vector<std::string>& keys) {
  model::LabelSelector selector;
  for (std::size_t i = dice.roll(3); i > 0; --i) {
    if (dice.one_in(2)) {
      selector.match_labels.emplace_back(dice.pick(keys), std::string(1, static_cast<char>('a' + dice.roll(3))));
      continue;
    }
    model::LabelSelector::Requirement requirement{dice.pick(keys), static_cast<Op>(dice.roll(4)), {}};
    if (requirement.op == Op::kIn || requirement.op == Op::kNotIn) {
      for (std::size_t n = dice.roll(3); n > 0; --n) {
        requirement.values.emplace_back(1, static_cast<char>('a' + dice.roll(3)));
      }
    }
    selector.match_expressions.push_back(std::move(requirement));
  }
  return selector;
}

const std::vector<std::string> kPodKeys = {"app", "tier", "app-x"};
const std::vector<std::string> kNamespaceKeys = {"team", "env", "kubernetes.io/metadata.name"};
const std::vector<std::string> kBlocks = {"0.0.0.0/0",      "10.0.0.0/8", "10.0.1.0/24", "10.0.1.2/32",
                                          "203.0.113.0/24", "::/0",       "fd00::/8",    "fd00:0:0:1::/64",
                                          "2001:db8::/32",  "10.0.0.0/31"};
const std::vector<std::string> kPortNames = {"http", "dns", "ghost"};

model::NetworkPolicyPeer random_peer(Dice& dice) {
  model::NetworkPolicyPeer peer;
  if (dice.one_in(12)) return peer;
  if (dice.one_in(3)) {
    peer.ip_block = model::IpBlock{IpPrefix::parse(dice.pick(kBlocks)).value(), {}};
    for (std::size_t i = dice.roll(3); i > 0; --i) {
      peer.ip_block->except.push_back(IpPrefix::parse(dice.pick(kBlocks)).value());
    }
    if (!dice.one_in(10)) return peer;
  }
  if (!dice.one_in(3)) peer.pod_selector = random_selector(dice, kPodKeys);
  if (dice.one_in(2)) peer.namespace_selector = random_selector(dice, kNamespaceKeys);
  return peer;
}

model::NetworkPolicyPort random_port(Dice& dice) {
  constexpr std::uint8_t kProtocols[] = {6, 6, 6, 17, 132, 1};
  model::NetworkPolicyPort port;
  port.protocol = kProtocols[dice.roll(6)];
  switch (dice.roll(4)) {
    case 0:
      break;
    case 1:
      port.port_name = dice.pick(kPortNames);
      break;
    case 2:
      port.port = kServices[dice.roll(7)].second;
      break;
    default:
      port.port = static_cast<std::uint16_t>(dice.roll(100));
      port.end_port = static_cast<std::uint16_t>(dice.one_in(4) ? 65'535 : dice.roll(9'000));
  }
  return port;
}

std::vector<model::NetworkPolicyRule> random_rules(Dice& dice) {
  std::vector<model::NetworkPolicyRule> rules(dice.roll(4));
  for (model::NetworkPolicyRule& rule : rules) {
    for (std::size_t i = dice.roll(4); i > 0; --i) rule.peers.push_back(random_peer(dice));
    for (std::size_t i = dice.roll(4); i > 0; --i) rule.ports.push_back(random_port(dice));
  }
  return rules;
}

std::vector<std::string> random_labels(Dice& dice, const std::vector<std::string>& keys) {
  std::vector<std::string> labels;
  for (const std::string& key : keys) {
    if (!dice.one_in(3)) labels.push_back(key + "=" + static_cast<char>('a' + dice.roll(3)));
  }
  return labels;
}

World random_world(Dice& dice) {
  World world;
  for (const char* name : {"a", "b", "c"}) {
    // Some namespaces have no object of their own.
    if (!dice.one_in(5)) world.add_namespace(name, random_labels(dice, {"team", "env"}));
  }
  for (std::size_t i = 0; i < 8; ++i) {
    const std::string number = std::to_string(i);
    std::vector<std::string> ips = {"10.0." + std::to_string(i % 3) + "." + number};
    if (dice.one_in(2)) ips.push_back("fd00:0:0:" + std::to_string(i % 3) + "::" + number);
    model::Endpoint* pod =
        world.add_pod(dice.pick<std::string>({"a", "b", "c"}), "p" + number, random_labels(dice, kPodKeys), ips);
    pod->host_network = dice.one_in(8);
    for (std::size_t ports = dice.roll(4); ports > 0; --ports) {
      const std::uint16_t port = kServices[dice.roll(7)].second;
      pod->named_ports.push_back({kPortNames[dice.roll(2)], port, static_cast<std::uint8_t>(dice.one_in(2) ? 6 : 17)});
    }
  }
  for (std::size_t i = dice.roll(9); i > 0; --i) {
    model::NetworkPolicy policy;
    policy.namespace_name = dice.pick<std::string>({"a", "b", "c"});
    policy.name = std::string(1, static_cast<char>('a' + dice.roll(26))) + std::to_string(i);
    policy.pod_selector = random_selector(dice, kPodKeys);
    policy.applies_ingress = !dice.one_in(3);
    policy.applies_egress = dice.one_in(2);
    policy.ingress = random_rules(dice);
    policy.egress = random_rules(dice);
    world.network_policies.push_back(std::move(policy));
  }
  return world;
}

TEST(Differential, RandomWorldsAgreeWithTheSlowEvaluator) {
  for (std::uint64_t seed = 1; seed <= 150 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    World world = random_world(dice);
    const Questions questions(world, {"203.0.113.9", "10.0.1.2", "8.8.8.8", "2001:db8::7", "fd00:0:0:1::9"});
    EngineOptions options;
    options.trace_names = dice.one_in(2) ? TraceNames::kKind : TraceNames::kDocumented;
    options.ip_block_matches_pods = !dice.one_in(3);
    // A tiny cache evicts all the time; none at all must not change an answer either.
    constexpr std::uint32_t kCacheSizes[] = {65'536, 7, 0};
    options.cache_entries = kCacheSizes[dice.roll(3)];
    expect_agreement(world, questions, options);
  }
}

/// Two namespaces of two pods each.
World small_world() {
  World world;
  world.add_namespace("a", {"team=a"});
  world.add_namespace("b", {"team=b"});
  for (const char* ns : {"a", "b"}) {
    for (const char* app : {"a", "b"}) {
      const std::string ip = std::string("10.0.") + (*ns == 'a' ? "0." : "1.") + (*app == 'a' ? "1" : "2");
      model::Endpoint* pod = world.add_pod(ns, app, {std::string("app=") + app}, {ip});
      pod->named_ports.push_back({"http", static_cast<std::uint16_t>(*app == 'a' ? 80 : 8080), 6});
    }
  }
  return world;
}

std::vector<std::optional<model::LabelSelector>> selectors(const char* key) {
  return {std::nullopt, model::LabelSelector{}, model::LabelSelector{{{key, "a"}}, {}},
          model::LabelSelector{{}, {{key, Op::kNotIn, {"a"}}}}, model::LabelSelector{{}, {{"none", Op::kExists, {}}}}};
}

std::vector<std::vector<model::NetworkPolicyPeer>> peer_lists() {
  std::vector<std::vector<model::NetworkPolicyPeer>> lists = {{}};
  std::vector<model::NetworkPolicyPeer> items;
  for (const auto& pods : selectors("app")) {
    for (const auto& namespaces : selectors("team")) items.push_back({pods, namespaces, std::nullopt});
  }
  const IpPrefix inside = IpPrefix::parse("10.0.0.0/24").value();
  items.push_back({std::nullopt, std::nullopt, model::IpBlock{IpPrefix::parse("0.0.0.0/0").value(), {inside}}});
  items.push_back({std::nullopt, std::nullopt, model::IpBlock{inside, {IpPrefix::parse("10.0.0.2").value()}}});
  for (const auto& item : items) lists.push_back({item});
  for (std::size_t i = 0; i < items.size(); ++i) lists.push_back({items[i], items[(i * 7 + 3) % items.size()]});
  return lists;
}

std::vector<std::vector<model::NetworkPolicyPort>> port_lists() {
  return {{},
          {{6, std::nullopt, "", std::nullopt}},
          {{6, 80, "", std::nullopt}},
          {{17, 80, "", std::nullopt}},
          {{6, 79, "", 81}},
          {{6, std::nullopt, "http", std::nullopt}},
          {{17, std::nullopt, "http", std::nullopt}},
          {{132, std::nullopt, "", std::nullopt}, {6, 8080, "", std::nullopt}}};
}

TEST(Differential, EveryOneRulePolicyOfASmallWorldAgrees) {
  World world = small_world();
  const Questions questions(world, {"203.0.113.9"});
  for (const auto& peers : peer_lists()) {
    for (const auto& ports : port_lists()) {
      world.network_policies.clear();
      for (const bool egress : {false, true}) {
        model::NetworkPolicy policy;
        policy.namespace_name = "a";
        policy.name = egress ? "out" : "in";
        policy.pod_selector.match_labels = {{"app", "a"}};
        policy.applies_ingress = !egress;
        policy.applies_egress = egress;
        (egress ? policy.egress : policy.ingress) = {{peers, ports}};
        world.network_policies.push_back(std::move(policy));
      }
      expect_agreement(world, questions, {});
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
  }
}

/// What must hold whatever the answer is.
TEST(Differential, OrderOfObjectsNeverChangesAnAnswer) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    World world = random_world(dice);
    EngineInputs shuffled = world.inputs();
    std::reverse(shuffled.policies.network_policies.begin(), shuffled.policies.network_policies.end());
    std::reverse(shuffled.policies.namespaces.begin(), shuffled.policies.namespaces.end());
    std::reverse(shuffled.pods.begin(), shuffled.pods.end());
    auto one = Engine::create({}, world.inputs());
    auto other = Engine::create({}, shuffled);
    ASSERT_TRUE(one.ok() && other.ok());
    Questions(world, {"203.0.113.9"}).for_each(kServices, [&](const Query& query) {
      const Verdict a = one.value()->evaluate(query), b = other.value()->evaluate(query);
      EXPECT_EQ(text(a.egress) + text(a.ingress), text(b.egress) + text(b.ingress)) << describe(query);
    });
  }
}

}  // namespace
}  // namespace weir::policy
