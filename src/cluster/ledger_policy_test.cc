#include <gtest/gtest.h>

#include <algorithm>

#include "cluster/ledger.h"
#include "cluster/manifest_reader.h"

// What decides verdicts, each object in its time.

namespace weir::cluster {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

/// 2026-01-01T00:00:00Z and so many seconds.
std::int64_t at_s(std::int64_t seconds) { return (1767225600 + seconds) * kSecondNs; }

ClusterObjects objects_of(std::string_view yaml) {
  ClusterObjects objects;
  ManifestNotes notes;
  const Status status = read_manifest_text("test", yaml, false, objects, notes);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return objects;
}

constexpr const char* kOneOfEach = R"(
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: n}, spec: {podSelector: {}}}
---
{apiVersion: projectcalico.org/v3, kind: StagedKubernetesNetworkPolicy, metadata: {name: p, namespace: n}, spec: {podSelector: {}}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: n}, spec: {}}
---
{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: p, namespace: n}, spec: {}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: p}, spec: {}}
---
{apiVersion: projectcalico.org/v3, kind: StagedGlobalNetworkPolicy, metadata: {name: p}, spec: {}}
---
{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: p}, spec: {}}
---
{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: p}, spec: {}}
---
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: p}, spec: {}}
---
{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: p, namespace: n}, spec: {pod: a}}
---
{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: p}, spec: {priority: 1, subject: {namespaces: {}}}}
---
{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: p}, spec: {subject: {namespaces: {}}}}
---
{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: Admin, priority: 1, subject: {namespaces: {}}}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: n}, specs: [{endpointSelector: {}}, {endpointSelector: {}}]}
---
{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: p}, spec: {endpointSelector: {}}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: p, namespace: n}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: n}}
---
{apiVersion: v1, kind: Node, metadata: {name: n}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: p, namespace: n}, spec: {allowedEgressDomains: [a.b]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: p}, spec: {nets: [10.0.0.0/8]}}
)";

std::string counts(const model::PolicySet& set) {
  std::string text;
  for (const std::size_t count :
       {set.network_policies.size(), set.calico_policies.size(), set.tiers.size(), set.profiles.size(),
        set.host_endpoints.size(), set.workload_endpoints.size(), set.admin_policies.size(), set.cilium_policies.size(),
        set.service_accounts.size(), set.namespaces.size(), set.nodes.size(), set.network_sets.size()}) {
    text += std::to_string(count) + " ";
  }
  return text;
}

constexpr const char* kAll = "2 4 1 1 1 1 3 3 1 1 1 2 ";
constexpr const char* kNone = "0 0 0 0 0 0 0 0 0 0 0 0 ";

class PolicyLedger : public testing::Test {
 protected:
  int apply(std::string_view yaml, std::int64_t seconds, ObjectChange::Action action = ObjectChange::Action::kPut) {
    int moved = 0;
    for (ClusterObject& object : flatten(objects_of(yaml))) {
      const std::uint64_t before = ledger_.policy_inputs_version();
      ledger_.apply({action, true, at_s(seconds), std::move(object)});
      moved += ledger_.policy_inputs_version() != before ? 1 : 0;
    }
    return moved;
  }
  int remove(std::string_view yaml, std::int64_t seconds) {
    return apply(yaml, seconds, ObjectChange::Action::kDelete);
  }
  /// The orders of all Calico policies of a time, sorted.
  std::string orders(std::int64_t seconds) const {
    std::vector<std::string> found;
    for (const auto& policy : ledger_.policy_set_at(at_s(seconds)).calico_policies) {
      found.push_back(policy->name + std::to_string(static_cast<int>(policy->order.value_or(0))));
    }
    std::sort(found.begin(), found.end());
    std::string text;
    for (const std::string& name : found) text += name + " ";
    return text;
  }

  Ledger ledger_{ClusterObjects{}};
};

std::string policy(const char* name, int order, const char* more = "") {
  return std::string("{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: ") + name + more +
         "}, spec: {order: " + std::to_string(order) + "}}\n---\n";
}

TEST_F(PolicyLedger, EveryKindIsKeptMovesTheInputsOnceAndGoes) {
  EXPECT_EQ(counts(Ledger(objects_of(kOneOfEach)).policy_set()), kAll);
  EXPECT_EQ(apply(kOneOfEach, 10), 20);
  EXPECT_EQ(counts(ledger_.policy_set()), kAll);
  EXPECT_EQ(apply(kOneOfEach, 20), 0) << "nothing is new";
  EXPECT_EQ(remove(kOneOfEach, 30), 20);
  EXPECT_EQ(counts(ledger_.policy_set()), kNone);
  EXPECT_EQ(remove(kOneOfEach, 40), 0);
  EXPECT_EQ(counts(ledger_.policy_set_at(at_s(9))), kNone);
  EXPECT_EQ(counts(ledger_.policy_set_at(at_s(10))), kAll);
  EXPECT_EQ(counts(ledger_.policy_set_at(at_s(29))), kAll);
  EXPECT_EQ(counts(ledger_.policy_set_at(at_s(30))), kNone);
}

TEST_F(PolicyLedger, AnObjectOfWhichOnlyTheNameIsKnownGoesToo) {
  apply(kOneOfEach, 10);
  for (const ObjectKind kind : {ObjectKind::kCalicoNetworkPolicy, ObjectKind::kStagedKubernetesNetworkPolicy,
                                ObjectKind::kNetworkPolicy, ObjectKind::kCiliumNetworkPolicy}) {
    EXPECT_TRUE(
        ledger_.apply({ObjectChange::Action::kDelete, false, at_s(20), PolicyObject{kind, "n", "p", kNoTime, {}}}));
  }
  EXPECT_EQ(counts(ledger_.policy_set()), "0 3 1 1 1 1 3 1 1 1 1 2 ");
  EXPECT_TRUE(ledger_.network_policies().empty());
}

TEST_F(PolicyLedger, AVersionHoldsFromItsChangeToTheNext) {
  apply(policy("a", 1), 10);
  apply(policy("b", 1), 15);
  apply(policy("a", 2), 20);
  remove(policy("a", 2), 30);
  apply(policy("a", 3), 40);
  const struct {
    std::int64_t time;
    const char* want;
    std::int64_t since;
  } cases[] = {{9, "", -1},        {10, "a1 ", 10},    {14, "a1 ", 10},      {15, "a1 b1 ", 15},
               {19, "a1 b1 ", 15}, {20, "a2 b1 ", 20}, {29, "a2 b1 ", 20},   {30, "b1 ", 30},
               {39, "b1 ", 30},    {40, "a3 b1 ", 40}, {1'000, "a3 b1 ", 40}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.time);
    EXPECT_EQ(orders(c.time), c.want);
    EXPECT_EQ(ledger_.policy_set_since(at_s(c.time)), c.since < 0 ? kNoTime : at_s(c.since));
  }
  ASSERT_EQ(ledger_.policy_set().calico_policies.size(), 2U);
}

TEST_F(PolicyLedger, WhatWasThereBeforeWeLookedCountsFromItsCreation) {
  const std::string old = policy("a", 1, ", creationTimestamp: '2026-01-01T00:00:05Z'");
  for (ClusterObject& object : flatten(objects_of(old))) {
    ledger_.apply({ObjectChange::Action::kPut, false, at_s(100), std::move(object)});
  }
  EXPECT_EQ(orders(4), "");
  EXPECT_EQ(orders(5), "a1 ");
  const Ledger read(objects_of(old + policy("b", 2)));
  EXPECT_EQ(read.policy_set_at(at_s(4)).calico_policies.size(), 1U) << "who tells no time was always there";
  EXPECT_EQ(read.policy_set_at(at_s(5)).calico_policies.size(), 2U);
  EXPECT_EQ(read.policy_set().calico_policies.size(), 2U);
}

TEST_F(PolicyLedger, NamespacesKeepTheLabelsThatTheyHad) {
  apply("{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {team: a}}}", 10);
  apply("{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {team: b}}}", 20);
  const auto team = [&](std::int64_t seconds) {
    const auto set = ledger_.policy_set_at(at_s(seconds));
    return set.namespaces.empty() ? "none" : std::string(set.namespaces[0]->labels.find("team"));
  };
  EXPECT_EQ(team(5), "none");
  EXPECT_EQ(team(15), "a");
  EXPECT_EQ(team(25), "b");
}

TEST_F(PolicyLedger, EqualObjectsKeepTheirPointersThroughOtherChanges) {
  apply(policy("a", 1) + policy("b", 1) + policy("c", 1), 10);
  const auto before = ledger_.policy_set();
  apply(policy("b", 2), 20);
  remove(policy("a", 1), 20);
  int same = 0;
  for (const auto& now : ledger_.policy_set().calico_policies) {
    same += std::count(before.calico_policies.begin(), before.calico_policies.end(), now) > 0 ? 1 : 0;
  }
  EXPECT_EQ(same, 1) << "c";
}

TEST_F(PolicyLedger, ServicesThatRulesNameComeWithWhatTheyLeadTo) {
  const std::string service =
      "{apiVersion: v1, kind: Service, metadata: {name: db, namespace: n}, spec: {clusterIP: 10.96.0.1, ports: [{port: "
      "80}]}}\n---\n";
  const auto slice = [](const std::string& addresses) {
    return "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: db-1, namespace: n, labels: "
           "{kubernetes.io/service-name: db}}, endpoints: [{addresses: [" +
           addresses + "]}], ports: [{port: 5432}]}";
  };
  apply(service + slice("10.0.0.1"), 10);
  EXPECT_TRUE(ledger_.policy_set().services.empty());
  apply(
      "{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: n}, spec: {egress: "
      "[{action: Allow, destination: {services: {name: db}}}]}}",
      20);
  ASSERT_EQ(ledger_.policy_set().services.size(), 1U);
  const auto first = ledger_.policy_set().services[0];
  EXPECT_EQ(first->subsets.at(0).addresses.size(), 1U);
  EXPECT_EQ(first->subsets.at(0).ports.at(0).port, 5432);
  EXPECT_EQ(apply(slice("10.0.0.1, 10.0.0.2"), 30), 1);
  EXPECT_EQ(ledger_.policy_set().services.at(0)->subsets.at(0).addresses.size(), 2U);
  EXPECT_EQ(ledger_.policy_set_at(at_s(25)).services.at(0)->subsets.at(0).addresses.size(), 1U);
  EXPECT_EQ(apply(slice("10.0.0.1, 10.0.0.2"), 40), 0);
}

TEST_F(PolicyLedger, TheLastHourIsKept) {
  for (int i = 0; i < 200; ++i) {
    apply(policy("a", i), i * 60);
    apply(policy("b", i), i * 60);
    remove(policy("b", i), i * 60 + 30);
  }
  const std::int64_t now = 199 * 60;
  EXPECT_EQ(orders(now), "a199 b199 ");
  EXPECT_EQ(orders(now - 3600 + 60), "a140 b140 ");
  EXPECT_EQ(orders(now - 3600 + 90), "a140 ");
  EXPECT_EQ(orders(60), "") << "forgotten";
}

}  // namespace
}  // namespace weir::cluster
