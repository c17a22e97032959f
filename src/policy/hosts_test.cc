// Host endpoints, and the nearest miss of denials.

#include <gtest/gtest.h>

#include <string>

#include "model/connection.h"
#include "policy/engine.h"
#include "policy/policy_test_world.h"

namespace weir::policy {
namespace {

using model::Action;
using model::RuleAction;
using Entries = std::vector<std::string>;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

/// Host endpoint `eth` with the label role=host, and traffic from outside to it.
class HostsTest : public ::testing::Test {
 protected:
  HostsTest() {
    model::HostEndpoint& host = world_.host_endpoints.emplace_back();
    host.name = "eth";
    host.labels = {{"role=host"}};
    host.expected_ips = {ip("192.0.2.1")};
    options_.trace_names = TraceNames::kKind;
  }
  model::CalicoPolicy& policy(const char* name, RuleAction action) {
    model::CalicoPolicy& result = world_.calico_policies.emplace_back();
    result.name = name;
    result.selector = model::Selector::parse("role == 'host'").value();
    result.ingress.resize(1);
    result.ingress[0].action = action;
    return result;
  }
  SideVerdict ask(HostStage stage, std::uint16_t port = 8'080, bool egress = false, const char* host = "eth") {
    engine_ = Engine::create(options_, world_.inputs()).value();
    return engine_->evaluate_host(host, stage, egress,
                                  {nullptr, nullptr, ip("203.0.113.9"), ip("192.0.2.1"), 6, 40'000, port});
  }

  World world_;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(HostsTest, AHostEndpointWithoutPolicyDropsAllButTheFailsafePorts) {
  EXPECT_EQ(ask(HostStage::kLocal).action, Action::kDeny);
  EXPECT_EQ(ask(HostStage::kLocal).enforced->entries, Entries{"0|__PROFILE__|pro:__PROFILE__|deny|-1"});
  EXPECT_FALSE(ask(HostStage::kLocal, 22).managed);
  EXPECT_TRUE(ask(HostStage::kLocal, 22, true).managed) << "SSH is let in, not out";
  EXPECT_FALSE(ask(HostStage::kLocal, 6'443, true).managed);
  options_.failsafe_ports = false;
  EXPECT_EQ(ask(HostStage::kLocal, 22).action, Action::kDeny);
  world_.host_endpoints[0].profiles = {"projectcalico-default-allow"};
  EXPECT_EQ(ask(HostStage::kLocal).action, Action::kAllow);
  EXPECT_FALSE(ask(HostStage::kLocal, 80, false, "unknown").managed);
}

TEST_F(HostsTest, NormalPoliciesAreForTheHostItselfAndForwardedTrafficPasses) {
  policy("p", RuleAction::kDeny);
  EXPECT_EQ(ask(HostStage::kLocal).enforced->entries, Entries{"0|default|gnp:p|deny|0"});
  EXPECT_FALSE(ask(HostStage::kForward).managed) << "no policy applies on forward";
  world_.calico_policies[0].apply_on_forward = true;
  EXPECT_EQ(ask(HostStage::kForward).enforced->entries, Entries{"0|default|gnp:p|deny|0"});
  EXPECT_FALSE(ask(HostStage::kForward, 80, true).managed) << "the other direction";
  world_.calico_policies[0].ingress.clear();
  EXPECT_EQ(ask(HostStage::kForward).enforced->entries, Entries{"0|default|gnp:p|deny|-1"});
}

TEST_F(HostsTest, WhatNoPreDnatOrUntrackedRuleDecidesGoesOn) {
  policy("pre", RuleAction::kDeny).pre_dnat = true;
  policy("raw", RuleAction::kAllow).do_not_track = true;
  EXPECT_EQ(ask(HostStage::kPreDnat).enforced->entries, Entries{"0|default|gnp:pre|deny|0"});
  EXPECT_EQ(ask(HostStage::kUntracked).enforced->entries, Entries{"0|default|gnp:raw|allow|0"});
  for (model::CalicoPolicy& one : world_.calico_policies) one.ingress.clear();
  EXPECT_FALSE(ask(HostStage::kPreDnat).managed) << "no end of tier here";
  EXPECT_FALSE(ask(HostStage::kUntracked).managed);
  EXPECT_EQ(ask(HostStage::kLocal).enforced->entries, Entries{"0|__PROFILE__|pro:__PROFILE__|deny|-1"});
}

TEST_F(HostsTest, HostPoliciesOfThoseKindsAreNeverAPods) {
  model::Endpoint* pod = world_.add_pod("red", "a", {"role=host"}, {"10.0.0.1"});
  policy("pre", RuleAction::kDeny).pre_dnat = true;
  policy("raw", RuleAction::kDeny).do_not_track = true;
  engine_ = Engine::create(options_, world_.inputs()).value();
  EXPECT_TRUE(engine_->evaluate({nullptr, pod, ip("203.0.113.9"), pod->ips[0], 6, 1, 80}).allowed());
}

TEST_F(HostsTest, AStagedHostPolicyIsPendingOnly) {
  policy("p", RuleAction::kDeny).staged = model::StagedAction::kSet;
  world_.calico_policies[0].apply_on_forward = true;
  const SideVerdict side = ask(HostStage::kForward);
  EXPECT_EQ(side.action, Action::kAllow);
  EXPECT_EQ(side.enforced, nullptr);
  EXPECT_EQ(side.pending->entries, Entries{"0|default|sgnp:p|deny|0"});
}

// The nearest miss.

class NearestMissTest : public ::testing::Test {
 protected:
  NearestMissTest() {
    web_ = world_.add_pod("shop", "web", {"app=web"}, {"10.0.0.1"});
    db_ = world_.add_pod("shop", "db", {"app=db"}, {"10.0.0.2"});
  }
  std::optional<NearestMiss> ask(std::uint16_t port, std::uint8_t protocol = 6) {
    engine_ = Engine::create({}, world_.inputs()).value();
    return engine_->nearest_miss({web_, db_, web_->ips[0], db_->ips[0], protocol, 40'000, port}, false);
  }
  static model::NetworkPolicyPeer pods(const char* app) {
    return {model::LabelSelector{{{"app", app}}, {}}, std::nullopt, std::nullopt};
  }

  World world_;
  const model::Endpoint *web_, *db_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(NearestMissTest, IsTheRuleOfWhichOneTermFailed) {
  model::NetworkPolicy& policy = world_.network_policies.emplace_back();
  policy.namespace_name = "shop";
  policy.name = "db";
  policy.ingress = {{{pods("lb")}, {{6, 80, "", {}}}}, {{pods("web")}, {{6, 5432, "", {}}}}};
  const auto miss = ask(5433);
  ASSERT_TRUE(miss.has_value());
  EXPECT_EQ(miss->policy, "shop/knp.default.db");
  EXPECT_EQ(miss->tier, "default");
  EXPECT_EQ(miss->rule, 1);
  EXPECT_EQ(miss->term, "ports");
  EXPECT_EQ(miss->wanted, "TCP 5432");
  EXPECT_EQ(miss->others, 0U);
  EXPECT_EQ(ask(5432, 17)->term, "protocol");
  EXPECT_EQ(ask(80)->rule, 0) << "of equals the first";
  EXPECT_EQ(ask(80)->term, "peer");
}

TEST_F(NearestMissTest, NamesTheTermOfACalicoRule) {
  model::CalicoPolicy& policy = world_.calico_policies.emplace_back();
  policy.namespace_name = "shop";
  policy.name = "db";
  model::CalicoRule& rule = policy.ingress.emplace_back();
  rule.protocol = model::kProtoTcp;
  rule.source.not_nets = {IpPrefix::parse("10.0.0.0/24").value()};
  rule.destination.ports = {{5'432, 5'432, ""}};
  const auto miss = ask(5432);
  ASSERT_TRUE(miss.has_value());
  EXPECT_EQ(miss->term, "source.notNets");
  EXPECT_EQ(miss->wanted, "not 10.0.0.0/24");
}

TEST_F(NearestMissTest, RulesBehindTheDenialAreNoneAndAllowedEndsHaveNone) {
  model::CalicoPolicy& policy = world_.calico_policies.emplace_back();
  policy.namespace_name = "shop";
  policy.name = "db";
  policy.ingress.resize(2);
  policy.ingress[0].action = RuleAction::kDeny;
  policy.ingress[1].protocol = model::kProtoUdp;
  EXPECT_FALSE(ask(80).has_value());
  world_.calico_policies.clear();
  EXPECT_FALSE(ask(80).has_value());
}

}  // namespace
}  // namespace weir::policy
