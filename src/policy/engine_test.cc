#include "policy/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "model/connection.h"
#include "policy/policy_test_world.h"

namespace weir::policy {
namespace {

using model::Action;
using Entries = std::vector<std::string>;

/// Pods shop/web-0, shop/db-0, ops/tool-0 and one address outside.
class EngineTest : public ::testing::Test {
 protected:
  EngineTest() {
    world_.add_namespace("shop", {"team=shop"});
    world_.add_namespace("ops", {"team=ops"});
    web_ = world_.add_pod("shop", "web-0", {"app=web"}, {"10.0.0.1", "fd00::1"});
    db_ = world_.add_pod("shop", "db-0", {"app=db"}, {"10.0.0.2"});
    tool_ = world_.add_pod("ops", "tool-0", {"app=tool"}, {"10.0.1.1"});
  }

  model::NetworkPolicy& add_policy(const std::string& ns, const std::string& name) {
    model::NetworkPolicy& policy = world_.network_policies.emplace_back();
    policy.namespace_name = ns;
    policy.name = name;
    return policy;
  }

  Verdict ask(const model::Endpoint* source, const model::Endpoint* dest, std::uint16_t port = 80,
              std::uint8_t protocol = model::kProtoTcp) {
    if (engine_ == nullptr) {
      auto created = Engine::create(options_, world_.inputs());
      EXPECT_TRUE(created.ok());
      engine_ = std::move(created).value();
    }
    const IpAddress outside = IpAddress::parse("203.0.113.9").value();
    return engine_->evaluate({source, dest, source != nullptr ? source->ips[0] : outside,
                              dest != nullptr ? dest->ips[0] : outside, protocol, 40'000, port});
  }

  World world_;
  model::Endpoint *web_ = nullptr, *db_ = nullptr, *tool_ = nullptr;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

model::NetworkPolicyPeer pods_with(const std::string& key, const std::string& value) {
  return {model::LabelSelector{{{key, value}}, {}}, std::nullopt, std::nullopt};
}

TEST_F(EngineTest, WithoutPoliciesTheNamespaceProfileAllows) {
  const Verdict verdict = ask(web_, tool_);
  EXPECT_TRUE(verdict.allowed());
  EXPECT_EQ(verdict.egress.enforced->entries, Entries{"0|__PROFILE__|__PROFILE__.kns.shop|allow|0"});
  EXPECT_EQ(verdict.ingress.enforced->entries, Entries{"0|__PROFILE__|__PROFILE__.kns.ops|allow|0"});
}

TEST_F(EngineTest, TracesHaveTheKindFormIfAsked) {
  options_.trace_names = TraceNames::kKind;
  add_policy("shop", "web").ingress = {{}};
  const Verdict verdict = ask(tool_, web_);
  EXPECT_EQ(verdict.egress.enforced->entries, Entries{"0|__PROFILE__|pro:kns.ops|allow|0"});
  EXPECT_EQ(verdict.ingress.enforced->entries, Entries{"0|default|knp:shop/web|allow|0"});
}

TEST_F(EngineTest, DefaultDenyNamesTheFirstPolicyThatSelectsThePodInThatDirection) {
  add_policy("shop", "c").pod_selector.match_labels = {{"app", "web"}};
  add_policy("shop", "b").pod_selector.match_labels = {{"app", "web"}};
  add_policy("shop", "a").pod_selector.match_labels = {{"app", "db"}};
  model::NetworkPolicy& only_egress = add_policy("shop", "a-egress");
  only_egress.applies_ingress = false;
  only_egress.applies_egress = true;
  const Verdict verdict = ask(tool_, web_);
  EXPECT_FALSE(verdict.allowed());
  EXPECT_EQ(verdict.ingress.enforced->entries, Entries{"0|default|shop/knp.default.b|deny|-1"});
  EXPECT_EQ(ask(web_, tool_).egress.enforced->entries, Entries{"0|default|shop/knp.default.a-egress|deny|-1"});
}

TEST_F(EngineTest, OfSeveralRulesThatAllowTheFirstOfTheFirstPolicyByNameIsNamed) {
  model::NetworkPolicy& second = add_policy("shop", "b");
  second.ingress = {{}};
  model::NetworkPolicy& first = add_policy("shop", "a");
  first.ingress = {{{pods_with("app", "nobody")}, {}}, {{}, {{6, 80, "", {}}}}, {}};
  EXPECT_EQ(ask(tool_, web_, 80).ingress.enforced->entries, Entries{"0|default|shop/knp.default.a|allow|1"});
  EXPECT_EQ(ask(tool_, web_, 81).ingress.enforced->entries, Entries{"0|default|shop/knp.default.a|allow|2"});
}

TEST_F(EngineTest, PoliciesAreOrderedByNameAndNamespaceAsOneText) {
  add_policy("shop", "web");
  add_policy("shop", "web-2");
  EXPECT_EQ(ask(tool_, web_).ingress.enforced->entries, Entries{"0|default|shop/knp.default.web-2|deny|-1"});
}

TEST_F(EngineTest, EqualTracesHaveEqualPointers) {
  model::NetworkPolicy& policy = add_policy("shop", "open");
  policy.applies_egress = true;
  policy.ingress = {{}};
  policy.egress = {{}};
  const Verdict verdict = ask(web_, db_, 80);
  EXPECT_EQ(verdict.egress.enforced, verdict.ingress.enforced) << "rule 0 of both directions reads the same";
  EXPECT_EQ(verdict.egress.enforced, ask(db_, web_, 81).egress.enforced);
  EXPECT_EQ(verdict.egress.enforced, verdict.egress.pending);
  EXPECT_EQ(engine_->stats().traces, 1U);
}

TEST_F(EngineTest, AnEndThatIsNoManagedPodAllowsAndHasNoTrace) {
  add_policy("shop", "deny").applies_egress = true;
  db_->host_network = true;
  const Verdict outside = ask(nullptr, web_);
  EXPECT_FALSE(outside.egress.managed);
  EXPECT_EQ(outside.egress.enforced, nullptr);
  EXPECT_EQ(outside.egress.action, Action::kAllow);
  EXPECT_EQ(outside.ingress.action, Action::kDeny);
  EXPECT_FALSE(ask(web_, db_).ingress.managed);
  EXPECT_TRUE(ask(nullptr, nullptr).allowed());
  model::Endpoint node;
  node.type = model::EndpointType::kHost;
  node.ips = {IpAddress::v4(0x0A010101)};
  EXPECT_FALSE(ask(&node, tool_).egress.managed);
}

TEST_F(EngineTest, APodThatTheEngineWasNotGivenIsAPlainAddress) {
  model::Endpoint stranger = *web_;
  add_policy("shop", "deny");
  EXPECT_FALSE(ask(tool_, &stranger).ingress.managed);
  EXPECT_TRUE(ask(tool_, web_).ingress.managed);
}

TEST_F(EngineTest, APodThatTalksToItselfIsNeverSubject) {
  add_policy("shop", "deny").applies_egress = true;
  EXPECT_TRUE(ask(web_, web_).allowed());
  EXPECT_FALSE(ask(web_, web_).ingress.managed);
}

TEST_F(EngineTest, HostNetworkPodsMatchNoSelectorButTheirNodesAddressMatchesBlocks) {
  model::NetworkPolicy& policy = add_policy("shop", "p");
  policy.ingress = {{{{std::nullopt, model::LabelSelector{}, std::nullopt}}, {}}};
  tool_->host_network = true;
  EXPECT_EQ(ask(tool_, web_).ingress.action, Action::kDeny);
  engine_.reset();
  policy.ingress[0].peers = {{std::nullopt, std::nullopt, model::IpBlock{IpPrefix::parse("10.0.1.0/24").value(), {}}}};
  EXPECT_EQ(ask(tool_, web_).ingress.action, Action::kAllow);
}

TEST_F(EngineTest, BlocksMatchPodAddressesUnlessSwitchedOff) {
  model::NetworkPolicy& policy = add_policy("shop", "p");
  policy.ingress = {{{{std::nullopt, std::nullopt, model::IpBlock{IpPrefix::parse("10.0.0.0/8").value(), {}}}}, {}}};
  EXPECT_EQ(ask(tool_, web_).ingress.action, Action::kAllow);
  engine_.reset();
  options_.ip_block_matches_pods = false;
  EXPECT_EQ(ask(tool_, web_).ingress.action, Action::kDeny);
}

TEST_F(EngineTest, PortsExcludeIcmpAndTheirAbsenceIncludesIt) {
  add_policy("shop", "p").ingress = {{{}, {{6, {}, "", {}}, {17, {}, "", {}}, {132, {}, "", {}}}}};
  EXPECT_EQ(ask(tool_, web_, 8 << 8, model::kProtoIcmp).ingress.action, Action::kDeny);
  EXPECT_EQ(ask(tool_, web_, 9, model::kProtoSctp).ingress.action, Action::kAllow);
  EXPECT_EQ(ask(tool_, db_, 0, 47).ingress.action, Action::kDeny);
  engine_.reset();
  world_.network_policies[0].ingress[0].ports.clear();
  EXPECT_EQ(ask(tool_, web_, 8 << 8, model::kProtoIcmp).ingress.action, Action::kAllow);
  EXPECT_EQ(ask(tool_, web_, 0, 47).ingress.action, Action::kAllow);
}

TEST_F(EngineTest, NamedPortsResolveAtTheDestinationByNameAndProtocol) {
  db_->named_ports = {{"api", 5432, model::kProtoTcp}};
  tool_->named_ports = {{"api", 9000, model::kProtoTcp}, {"api", 9001, model::kProtoUdp}};
  model::NetworkPolicy& policy = add_policy("shop", "out");
  policy.applies_ingress = false;
  policy.applies_egress = true;
  policy.egress = {{{}, {{6, {}, "api", {}}}}};
  EXPECT_EQ(ask(web_, db_, 5432).egress.action, Action::kAllow);
  EXPECT_EQ(ask(web_, db_, 9000).egress.action, Action::kDeny);
  EXPECT_EQ(ask(web_, tool_, 9000).egress.action, Action::kAllow);
  EXPECT_EQ(ask(web_, tool_, 9001).egress.action, Action::kDeny);
  EXPECT_EQ(ask(web_, tool_, 9001, model::kProtoUdp).egress.action, Action::kDeny);
  EXPECT_EQ(ask(web_, tool_, 9000, model::kProtoUdp).egress.action, Action::kDeny);
  EXPECT_EQ(ask(web_, nullptr, 5432).egress.action, Action::kDeny) << "an address declares no ports";
}

TEST_F(EngineTest, EachFamilyHasItsOwnBlocks) {
  add_policy("shop", "p").ingress = {
      {{{std::nullopt, std::nullopt, model::IpBlock{IpPrefix::parse("0.0.0.0/0").value(), {}}}}, {}}};
  EXPECT_EQ(ask(nullptr, web_).ingress.action, Action::kAllow);
  const Query v6{nullptr, web_, IpAddress::parse("2001:db8::9").value(), web_->ips[1], 6, 40'000, 80};
  EXPECT_EQ(engine_->evaluate(v6).ingress.action, Action::kDeny);
}

TEST_F(EngineTest, PodsThatPoliciesCannotTellApartShareAnIdentityAndItsCachedVerdicts) {
  for (int i = 0; i < 20; ++i) {
    world_.add_pod("shop", "web-" + std::to_string(i + 1), {"app=web", "pod=" + std::to_string(i)},
                   {"10.0.2." + std::to_string(i)});
  }
  add_policy("shop", "p").pod_selector.match_labels = {{"app", "web"}};
  for (model::Endpoint& pod : world_.pods()) ask(tool_, &pod, 80);
  // tool, web (21 pods) and db; tool to itself asks nothing.
  EXPECT_EQ(engine_->stats().identities, 3U);
  EXPECT_EQ(engine_->stats().cache_misses, 2U);
  EXPECT_EQ(engine_->stats().cache_hits, 20U);
}

TEST_F(EngineTest, PortsThatNoRuleTellsApartShareACachedVerdict) {
  add_policy("shop", "p").ingress = {{{}, {{6, 80, "", 89}}}};
  for (std::uint32_t port = 1; port < 65'536; ++port) {
    const bool want = port >= 80 && port <= 89;
    ASSERT_EQ(ask(tool_, web_, static_cast<std::uint16_t>(port)).allowed(), want) << port;
  }
  EXPECT_EQ(engine_->stats().cache_misses, 3U);
}

TEST_F(EngineTest, APodIndexIsNeededAndOnlyUsedOnce) {
  db_->pod_index = web_->pod_index;
  const auto twice = Engine::create({}, world_.inputs());
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().message, "policy: shop/db-0 has the pod index of web-0");
  db_->pod_index = -1;
  EXPECT_FALSE(Engine::create({}, world_.inputs()).ok());
}

}  // namespace
}  // namespace weir::policy
