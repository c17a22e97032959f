// What each API's documents say, one fact a test. The shared cases and the differential tests cover the breadth.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "model/connection.h"
#include "policy/engine.h"
#include "policy/policy_test_world.h"

namespace weir::policy {
namespace {

using model::Action;
using model::CalicoPolicy;
using model::CalicoRule;
using model::RuleAction;
using model::StagedAction;
using Entries = std::vector<std::string>;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }
IpPrefix prefix(const char* text) { return IpPrefix::parse(text).value(); }
model::Selector selector(const char* text) { return model::Selector::parse(text).value(); }

CalicoRule rule(RuleAction action) {
  CalicoRule result;
  result.action = action;
  return result;
}
CalicoRule from(const char* text, RuleAction action = RuleAction::kAllow) {
  CalicoRule result = rule(action);
  result.source.selector = selector(text);
  return result;
}
model::PortMatch port(std::uint16_t first, std::uint16_t last) { return {first, last, ""}; }
model::PortMatch port(std::uint16_t number) { return {number, number, ""}; }
model::PortMatch port(const char* name) { return {0, 0, name}; }

/// Pods red/a, red/b, blue/c, one address outside; policies for red/a's ingress.
class ApisTest : public ::testing::Test {
 protected:
  ApisTest() {
    world_.add_namespace("red", {"team=red"});
    world_.add_namespace("blue", {"team=blue"});
    a_ = world_.add_pod("red", "a", {"app=a"}, {"10.0.0.1", "fd00::1"});
    b_ = world_.add_pod("red", "b", {"app=b", "tier=x"}, {"10.0.0.2", "fd00::2"});
    c_ = world_.add_pod("blue", "c", {"app=c"}, {"10.0.1.1"});
    for (model::Endpoint* pod : {a_, b_, c_}) pod->service_account = "default";
    options_.trace_names = TraceNames::kKind;
  }

  /// Of namespace red for pod a, or global if `ns` is null.
  CalicoPolicy& policy(const char* name, std::vector<CalicoRule> ingress, const char* ns = "red") {
    CalicoPolicy& result = world_.calico_policies.emplace_back();
    if (ns != nullptr) result.namespace_name = ns;
    result.name = name;
    result.selector = selector("app == 'a'");
    result.ingress = std::move(ingress);
    return result;
  }
  void tier(const char* name, std::optional<double> order, Action default_action = Action::kDeny) {
    world_.tiers.push_back({name, order, default_action});
  }

  Query query(const model::Endpoint* source, const model::Endpoint* dest, std::uint16_t port = 80,
              std::uint8_t protocol = 6) const {
    Query result{source, dest, ip("203.0.113.9"), ip("203.0.113.9"), protocol, 40'000, port};
    if (source != nullptr) result.source_ip = source->ips[0];
    if (dest != nullptr) result.dest_ip = dest->ips[0];
    return result;
  }
  Verdict ask(const Query& query) {
    engine_ = Engine::create(options_, world_.inputs()).value();
    return engine_->evaluate(query);
  }
  bool allows(const model::Endpoint* source, std::uint16_t port = 80, std::uint8_t protocol = 6) {
    return ask(query(source, a_, port, protocol)).allowed();
  }
  Entries ingress(const model::Endpoint* source, std::uint16_t port = 80) {
    return ask(query(source, a_, port)).ingress.enforced->entries;
  }
  Entries pending(const model::Endpoint* source, std::uint16_t port = 80) {
    return ask(query(source, a_, port)).ingress.pending->entries;
  }

  World world_;
  model::Endpoint *a_ = nullptr, *b_ = nullptr, *c_ = nullptr;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

// Tiers.

TEST_F(ApisTest, TiersGoByOrderThenNameAndThoseWithoutOrderLast) {
  tier("late", {}, Action::kPass);
  tier("b", 5, Action::kPass);
  tier("a", 5, Action::kPass);
  for (const char* name : {"late", "b", "a"}) policy(name, {}).tier = name;
  policy("p", {rule(RuleAction::kPass)});
  EXPECT_EQ(ingress(b_), (Entries{"0|a|np:red/a|pass|-1", "1|b|np:red/b|pass|-1", "2|default|np:red/p|pass|0",
                                  "3|late|np:red/late|pass|-1", "4|__PROFILE__|pro:kns.red|allow|0"}));
}

TEST_F(ApisTest, ATierWithoutAnApplicablePolicyLeavesNoTrace) {
  tier("t", 1);
  CalicoPolicy& other = policy("p", {});
  other.tier = "t";
  other.applies_ingress = false;
  other.applies_egress = true;
  EXPECT_EQ(ingress(b_), Entries{"0|__PROFILE__|pro:kns.red|allow|0"}) << "an egress policy isolates no ingress";
}

TEST_F(ApisTest, LogGoesOnAndALogOnlyPolicyEndsInTheTiersDefault) {
  policy("p", {rule(RuleAction::kLog)});
  EXPECT_EQ(ingress(b_), Entries{"0|default|np:red/p|deny|-1"});
  world_.calico_policies[0].ingress.push_back(rule(RuleAction::kAllow));
  EXPECT_EQ(ingress(b_), Entries{"0|default|np:red/p|allow|1"}) << "rules keep their numbers";
}

TEST_F(ApisTest, PoliciesGoByOrderAndThoseWithoutOneLast) {
  policy("a", {rule(RuleAction::kDeny)});
  policy("z", {rule(RuleAction::kAllow)}).order = -1.5;
  EXPECT_EQ(ingress(b_), Entries{"0|default|np:red/z|allow|0"});
}

TEST_F(ApisTest, EndOfTierNamesTheFirstPolicyThatSelectsThePod) {
  policy("b", {});
  policy("a", {}).selector = selector("app == 'nobody'");
  policy("c", {});
  EXPECT_EQ(ingress(b_), Entries{"0|default|np:red/b|deny|-1"});
}

TEST_F(ApisTest, DocumentedNamesSayTierKindAndStage) {
  options_.trace_names = TraceNames::kDocumented;
  tier("t", 1, Action::kPass);
  policy("t.named", {}).tier = "t";
  policy("g", {rule(RuleAction::kPass)}, nullptr);
  EXPECT_EQ(ingress(b_), (Entries{"0|t|red/t.named|pass|-1", "1|default|default.g|pass|0",
                                  "2|__PROFILE__|__PROFILE__.kns.red|allow|0"}));
  policy("s", {rule(RuleAction::kDeny)}).staged = StagedAction::kSet;
  world_.calico_policies.back().order = 1;
  EXPECT_EQ(pending(b_).back(), "1|default|red/default.staged:s|deny|0");
}

// Staged policies.

TEST_F(ApisTest, AStagedPolicyChangesOnlyWhatIsPending) {
  policy("p", {rule(RuleAction::kDeny)}).staged = StagedAction::kSet;
  EXPECT_EQ(ingress(b_), Entries{"0|__PROFILE__|pro:kns.red|allow|0"});
  EXPECT_EQ(pending(b_), Entries{"0|default|snp:red/p|deny|0"});
  EXPECT_FALSE(engine_->evaluate(query(b_, a_)).pending_allowed());
}

TEST_F(ApisTest, SetReplacesTheEnforcedPolicyOfItsKindNamespaceAndName) {
  policy("p", {rule(RuleAction::kAllow)});
  policy("p", {rule(RuleAction::kDeny)}).staged = StagedAction::kSet;
  policy("p", {rule(RuleAction::kAllow)}, nullptr).selector = selector("app == 'none'");
  EXPECT_EQ(ingress(b_), Entries{"0|default|np:red/p|allow|0"});
  EXPECT_EQ(pending(b_), Entries{"0|default|snp:red/p|deny|0"});
  options_.calico_compatible = true;
  EXPECT_EQ(pending(b_), Entries{"0|default|np:red/p|allow|0"}) << "Calico puts it behind its original";
}

TEST_F(ApisTest, DeleteRemovesThePolicyAndLearnAndIgnoreDoNothing) {
  policy("p", {rule(RuleAction::kDeny)});
  policy("p", {}).staged = StagedAction::kDelete;
  EXPECT_EQ(pending(b_), Entries{"0|__PROFILE__|pro:kns.red|allow|0"});
  options_.calico_compatible = true;
  EXPECT_EQ(pending(b_), Entries{"0|default|np:red/p|deny|0"});
  for (const StagedAction action : {StagedAction::kLearn, StagedAction::kIgnore}) {
    options_.calico_compatible = false;
    world_.calico_policies[1].staged = action;
    EXPECT_EQ(pending(b_), Entries{"0|default|np:red/p|deny|0"});
  }
}

TEST_F(ApisTest, AStagedKubernetesPolicyIsPendingToo) {
  model::NetworkPolicy staged;
  staged.namespace_name = "red";
  staged.name = "deny";
  staged.staged = StagedAction::kSet;
  world_.network_policies.push_back(staged);
  EXPECT_EQ(pending(b_), Entries{"0|default|sknp:red/deny|deny|-1"});
  EXPECT_TRUE(allows(b_));
}

// Facts of semantics.md, section 12.

TEST_F(ApisTest, E1_EachEndHasTheTraceOfItsOwnPoliciesAndAStrangerNone) {
  policy("deny", {rule(RuleAction::kDeny)});
  CalicoPolicy& out = policy("out", {});
  out.selector = selector("app == 'b'");
  out.applies_ingress = false;
  out.applies_egress = true;
  out.egress = {rule(RuleAction::kAllow)};
  const Verdict verdict = ask(query(b_, a_));
  EXPECT_EQ(verdict.ingress.pending->entries, Entries{"0|default|np:red/deny|deny|0"});
  EXPECT_EQ(verdict.egress.pending->entries, Entries{"0|default|np:red/out|allow|0"});
  EXPECT_EQ(ask(query(b_, nullptr)).ingress.pending, nullptr);
}

TEST_F(ApisTest, E4_AnUpdateThatFailsLeavesTheTracesThatWereGivenOut) {
  policy("deny", {rule(RuleAction::kDeny)});
  const model::PolicyTrace* trace = ask(query(b_, a_)).ingress.enforced;
  EngineInputs bad = world_.inputs();
  bad.pods.push_back(bad.pods[0]);
  EXPECT_FALSE(engine_->update(bad).ok());
  EXPECT_EQ(trace->entries, Entries{"0|default|np:red/deny|deny|0"});
  ASSERT_TRUE(engine_->update(world_.inputs()).ok());
  EXPECT_EQ(engine_->evaluate(query(b_, a_)).ingress.enforced, trace);
}

TEST(TraceStore, E13_EqualityOfTracesIsOrderSensitive) {
  TraceStore store;
  const auto* one = store.intern({{"0|a|p|pass|0", "1|b|q|allow|0"}, Action::kAllow});
  const auto* other = store.intern({{"1|b|q|allow|0", "0|a|p|pass|0"}, Action::kAllow});
  EXPECT_NE(one, other);
  EXPECT_EQ(one, store.intern({{"0|a|p|pass|0", "1|b|q|allow|0"}, Action::kAllow}));
}

// Whom a Calico rule means.

TEST_F(ApisTest, ASelectorOfANamespacedPolicyMeansItsNamespaceOnly) {
  policy("p", {from("app in {'b', 'c'}")});
  EXPECT_TRUE(allows(b_));
  EXPECT_FALSE(allows(c_));
  world_.calico_policies[0].ingress[0].source.namespace_selector = selector("team == 'blue'");
  EXPECT_TRUE(allows(c_));
  EXPECT_FALSE(allows(b_));
}

TEST_F(ApisTest, NotSelectorAloneInANamespacedPolicyStillMeansItsNamespace) {
  CalicoRule others = rule(RuleAction::kAllow);
  others.source.not_selector = selector("app == 'x'");
  policy("p", {others});
  EXPECT_TRUE(allows(b_));
  EXPECT_FALSE(allows(c_));
  EXPECT_FALSE(allows(nullptr));
  world_.calico_policies[0].namespace_name.reset();
  EXPECT_TRUE(allows(c_));
  EXPECT_TRUE(allows(nullptr)) << "in a global policy strangers are none of those";
}

TEST_F(ApisTest, ANegatedSelectorMeansKnownEndpointsOnly) {
  policy("p", {from("!has(tier)")}, nullptr);
  EXPECT_TRUE(allows(c_));
  EXPECT_FALSE(allows(b_));
  EXPECT_FALSE(allows(nullptr));
}

TEST_F(ApisTest, NamespaceSelectorAllIsWhoIsInANamespaceAndGlobalWhoIsNot) {
  world_.network_sets.push_back({"", "global", {}, {prefix("203.0.113.0/24")}, {}});
  world_.network_sets.push_back({"blue", "own", {}, {prefix("198.51.100.0/24")}, {}});
  CalicoRule entity = rule(RuleAction::kAllow);
  Query office = query(nullptr, a_);
  office.source_ip = ip("198.51.100.7");
  entity.source.namespace_selector = selector("all()");
  policy("p", {entity});
  EXPECT_TRUE(allows(c_));
  EXPECT_FALSE(allows(nullptr));
  EXPECT_TRUE(ask(office).allowed()) << "a set of a namespace is in it";
  world_.calico_policies[0].ingress[0].source.namespace_selector = selector("global()");
  EXPECT_FALSE(allows(c_));
  EXPECT_TRUE(allows(nullptr));
  EXPECT_FALSE(ask(office).allowed());
}

TEST_F(ApisTest, OfSeveralOwnersOfAnAddressAnyMayMatchAndNoneMayBeExcluded) {
  world_.network_sets.push_back({"", "one", {{"zone=1"}}, {prefix("203.0.113.0/24")}, {}});
  world_.network_sets.push_back({"", "two", {{"zone=2"}}, {prefix("203.0.113.9/32")}, {}});
  policy("p", {from("zone == '1'")}, nullptr);
  EXPECT_TRUE(allows(nullptr));
  world_.calico_policies[0].ingress[0].source.not_selector = selector("zone == '2'");
  EXPECT_FALSE(allows(nullptr));
}

TEST_F(ApisTest, ANetworkSetThatChangesAllTheTimeLeavesNoLastingGarbage) {
  world_.network_sets.push_back({"", "feed", {{"zone=1"}}, {prefix("203.0.113.0/24")}, {}});
  policy("p", {from("zone == '1'")}, nullptr);
  EXPECT_TRUE(allows(nullptr));
  for (std::uint32_t i = 0; i < 1'300; ++i) {
    world_.network_sets[0].nets = {{IpAddress::v4(0x0B000000 + i), 128}};
    ASSERT_TRUE(engine_->update(world_.inputs()).ok());
  }
  EXPECT_LT(engine_->stats().ip_classes, 700U);
  Query one = query(nullptr, a_);
  EXPECT_FALSE(engine_->evaluate(one).allowed());
  one.source_ip = IpAddress::v4(0x0B000000 + 1'299);
  EXPECT_TRUE(engine_->evaluate(one).allowed());
}

TEST_F(ApisTest, NetworkSetsHoldPodsAddressesToo) {
  world_.network_sets.push_back({"", "pods", {{"zone=1"}}, {prefix("10.0.1.0/24")}, {}});
  policy("p", {from("zone == '1'")}, nullptr);
  EXPECT_TRUE(allows(c_));
  EXPECT_FALSE(allows(b_));
}

TEST_F(ApisTest, ServiceAccountsAreMeantByNameAndByTheirLabels) {
  c_->service_account = "robot";
  world_.service_accounts.push_back({"blue", "robot", {{"role=bot"}}});
  CalicoRule robots = rule(RuleAction::kAllow);
  robots.source.service_accounts.emplace().names = {"robot"};
  policy("p", {robots}, nullptr);
  EXPECT_TRUE(allows(c_));
  EXPECT_FALSE(allows(b_));
  world_.calico_policies[0].ingress[0].source.service_accounts = {{}, selector("role == 'bot'")};
  EXPECT_TRUE(allows(c_));
  EXPECT_FALSE(allows(b_));
  world_.calico_policies[0].namespace_name = "red";
  EXPECT_FALSE(allows(c_)) << "a namespaced policy means its own accounts";
}

TEST_F(ApisTest, APodSeesTheLabelsOfItsNamespaceAndItsOwnOfThatPrefixAreDropped) {
  policy("p", {from("pcns.team == 'blue'")}, nullptr);
  EXPECT_TRUE(allows(c_));
  const model::LabelSet forged{{"app=b", "pcns.team=blue"}};
  b_->labels = &forged;
  EXPECT_FALSE(allows(b_));
}

// What a Calico rule means beside its peers.

TEST_F(ApisTest, NotPortsExcludeNumbersRangesAndNames) {
  a_->named_ports = {{"web", 8080, 6}};
  CalicoRule others = rule(RuleAction::kAllow);
  others.protocol = model::kProtoTcp;
  others.destination.not_ports = {port(22), port(1'000, 2'000), port("web")};
  policy("p", {others});
  for (const std::uint16_t number : std::initializer_list<std::uint16_t>{22, 1'000, 1'500, 2'000, 8'080})
    EXPECT_FALSE(allows(b_, number)) << number;
  for (const std::uint16_t number : std::initializer_list<std::uint16_t>{21, 23, 999, 2'001, 8'081})
    EXPECT_TRUE(allows(b_, number)) << number;
}

TEST_F(ApisTest, SourcePortsDecideAlsoFromTheCache) {
  CalicoRule low = rule(RuleAction::kAllow);
  low.protocol = model::kProtoTcp;
  low.source.ports = {port(1, 1'023)};
  policy("p", {low});
  Query one = query(b_, a_);
  one.source_port = 80;
  EXPECT_TRUE(ask(one).allowed());
  one.source_port = 1'024;
  EXPECT_FALSE(engine_->evaluate(one).allowed());
  one.source_port = 1'023;
  EXPECT_TRUE(engine_->evaluate(one).allowed());
}

TEST_F(ApisTest, NotIcmpMatchesEveryOtherTypeAndNegatesThePair) {
  CalicoRule others = rule(RuleAction::kAllow);
  others.protocol = model::kProtoIcmp;
  others.not_icmp = model::IcmpMatch{8, {}};
  policy("p", {others});
  EXPECT_FALSE(allows(b_, 8 << 8 | 3, model::kProtoIcmp));
  EXPECT_TRUE(allows(b_, 9 << 8, model::kProtoIcmp));
  world_.calico_policies[0].ingress[0].not_icmp->code = 0;
  EXPECT_TRUE(allows(b_, 8 << 8 | 3, model::kProtoIcmp));
  EXPECT_FALSE(allows(b_, 80)) << "another protocol";
}

TEST_F(ApisTest, IpVersionTellsTheFamiliesApart) {
  CalicoRule six = rule(RuleAction::kAllow);
  six.ip_version = 6;
  policy("p", {six});
  Query one = query(b_, a_);
  EXPECT_FALSE(ask(one).allowed());
  one.source_ip = b_->ips[1];
  one.dest_ip = a_->ips[1];
  EXPECT_TRUE(engine_->evaluate(one).allowed());
}

TEST_F(ApisTest, AServiceIsItsEndpointsAtTheirTargetPorts) {
  world_.services.push_back({"red", "db", {}, {{{ip("10.0.0.1")}, {{6, 5432}}}, {{ip("203.0.113.9")}, {{6, 80}}}}});
  CalicoPolicy& out = policy("p", {});
  out.selector = selector("app == 'b'");
  out.applies_ingress = false;
  out.applies_egress = true;
  out.egress = {rule(RuleAction::kAllow)};
  out.egress[0].destination.service = model::ServiceMatch{"", "db"};
  EXPECT_TRUE(ask(query(b_, a_, 5432)).allowed());
  EXPECT_FALSE(ask(query(b_, a_, 80)).allowed()) << "the port of another endpoint";
  EXPECT_TRUE(ask(query(b_, nullptr, 80)).allowed());
  EXPECT_FALSE(ask(query(b_, c_, 5432)).allowed());
  CalicoRule source = rule(RuleAction::kAllow);
  source.source.service = model::ServiceMatch{"red", "db"};
  policy("in", {source});
  EXPECT_TRUE(allows(nullptr, 9)) << "as a source, at any port";
  EXPECT_FALSE(allows(c_));
}

TEST_F(ApisTest, DomainsMatchTheNamesThatTheDestinationWasAnAnswerTo) {
  CalicoPolicy& out = policy("p", {});
  out.selector = selector("app == 'b'");
  out.applies_ingress = false;
  out.applies_egress = true;
  out.egress = {rule(RuleAction::kAllow)};
  out.egress[0].destination.domains = {"*.k8s.io"};
  const auto egress = [&](std::string_view name) {
    Query one = query(b_, nullptr);
    one.dest_names = std::span(&name, 1);
    return ask(one).egress;
  };
  EXPECT_EQ(egress("a.b.K8S.io").action, Action::kAllow);
  EXPECT_EQ(egress("k8s.io").action, Action::kDeny);
  EXPECT_EQ(egress("notk8s.io").action, Action::kDeny);
  const SideVerdict unknown = ask(query(b_, nullptr)).egress;
  EXPECT_EQ(unknown.action, Action::kDeny);
  EXPECT_EQ(unknown.uncertainty, kDomain);
}

TEST_F(ApisTest, ANameThatANetworkSetHoldsMakesTheDestinationOneOfIt) {
  world_.network_sets.push_back({"", "sites", {{"zone=1"}}, {}, {"example.org"}});
  CalicoPolicy& out = policy("p", {}, nullptr);
  out.selector = selector("app == 'b'");
  out.applies_ingress = false;
  out.applies_egress = true;
  out.egress = {rule(RuleAction::kAllow)};
  out.egress[0].destination.selector = selector("zone == '1'");
  const std::string_view name = "example.org";
  Query one = query(b_, nullptr);
  one.dest_names = std::span(&name, 1);
  EXPECT_TRUE(ask(one).allowed());
  one.dest_names = {};
  EXPECT_FALSE(engine_->evaluate(one).allowed());
}

TEST_F(ApisTest, HttpIsTakenToMatchWhereItIsNotKnownAndTheVerdictSaysSo) {
  CalicoRule get = rule(RuleAction::kAllow);
  get.http = model::HttpMatch{{"GET"}, {{"/pub", true}}};
  policy("p", {get});
  const SideVerdict unknown = ask(query(b_, a_)).ingress;
  EXPECT_EQ(unknown.action, Action::kAllow);
  EXPECT_EQ(unknown.uncertainty, kHttp);
  const auto requests = [&](std::string_view method, std::string_view path) {
    const HttpRequest request{method, path};
    Query one = query(b_, a_);
    one.http = &request;
    const SideVerdict side = engine_->evaluate(one).ingress;
    EXPECT_EQ(side.uncertainty, kExact);
    return side.action == Action::kAllow;
  };
  EXPECT_TRUE(requests("GET", "/pub/x?y"));
  EXPECT_FALSE(requests("POST", "/pub/x"));
  EXPECT_FALSE(requests("GET", "/public"));
  EXPECT_TRUE(requests("GET", "/pub"));
}

TEST_F(ApisTest, AMalformedRuleMatchesNothing) {
  CalicoRule broken = rule(RuleAction::kAllow);
  broken.malformed = true;
  policy("p", {broken, rule(RuleAction::kDeny)});
  EXPECT_EQ(ingress(b_), Entries{"0|default|np:red/p|deny|1"});
}

// Profiles.

TEST_F(ApisTest, AWorkloadEndpointHasExactlyItsProfiles) {
  world_.workload_endpoints.push_back({"red", "a", {"own"}});
  EXPECT_EQ(ingress(b_), Entries{"0|__PROFILE__|pro:__NO_MATCH__|deny|-1"});
  world_.profiles.push_back({"own", {{"mark=1"}}, {from("app == 'b'"), rule(RuleAction::kPass)}, {}});
  EXPECT_EQ(ingress(b_), Entries{"0|__PROFILE__|pro:own|allow|0"});
  EXPECT_EQ(ingress(c_), Entries{"0|__PROFILE__|pro:own|deny|1"}) << "pass in a profile denies";
  policy("p", {rule(RuleAction::kAllow)}, nullptr).selector = selector("mark == '1' && !has(pcns.team)");
  EXPECT_EQ(ingress(c_), Entries{"0|default|gnp:p|allow|0"}) << "profiles hand down labels, kns. is none of them";
  world_.calico_policies.clear();
  world_.workload_endpoints[0].profiles.clear();
  EXPECT_EQ(ingress(b_), Entries{"0|__PROFILE__|pro:__PROFILE__|deny|-1"});
}

// Admin policies.

TEST_F(ApisTest, MalformedAdminRulesFailClosed) {
  model::AdminPolicy& admin = world_.admin_policies.emplace_back();
  admin.name = "a";
  admin.ingress.resize(1);
  admin.ingress[0].action = Action::kPass;
  EXPECT_EQ(ingress(b_), Entries{"0|kube-admin|anp:a|deny|0"}) << "no peer is no known peer";
  admin.ingress[0].action = Action::kAllow;
  EXPECT_EQ(ingress(b_), (Entries{"0|kube-admin|anp:a|pass|-1", "1|__PROFILE__|pro:kns.red|allow|0"}));
  admin.malformed = true;
  EXPECT_EQ(ingress(b_), Entries{"0|__PROFILE__|pro:kns.red|allow|0"});
}

TEST_F(ApisTest, AdminNamesOfPortsHaveAnyProtocolAndNodesTheirAddresses) {
  a_->named_ports = {{"x", 80, 17}};
  world_.nodes.push_back({"n", {{"zone=1"}}, {ip("203.0.113.9")}});
  model::AdminPolicy& admin = world_.admin_policies.emplace_back();
  admin.name = "a";
  admin.ingress.resize(1);
  admin.ingress[0].action = Action::kDeny;
  admin.ingress[0].peers = {{{}, model::LabelSelector{{{"zone", "1"}}, {}}, {}, {}}};
  admin.ingress[0].ports = {{0, 0, 0, "x"}};
  EXPECT_FALSE(allows(nullptr, 80, 17));
  EXPECT_TRUE(allows(nullptr, 80, 6));
  EXPECT_TRUE(allows(b_, 80, 17));
}

// Nodes.

TEST_F(ApisTest, TrafficOfNodesFollowsTheOption) {
  world_.nodes.push_back({"n1", {}, {ip("203.0.113.9")}});
  policy("p", {});
  EXPECT_FALSE(allows(nullptr));
  EXPECT_EQ(engine_->evaluate(query(nullptr, a_)).ingress.uncertainty, kSnat);
  options_.node_traffic = NodeTraffic::kAllowLocal;
  EXPECT_FALSE(allows(nullptr));
  a_->node = "n1";
  EXPECT_TRUE(allows(nullptr));
  a_->node = "n2";
  options_.node_traffic = NodeTraffic::kAllowAll;
  EXPECT_TRUE(allows(nullptr));
  EXPECT_FALSE(allows(b_));
}

}  // namespace
}  // namespace weir::policy
