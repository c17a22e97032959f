#include "app/policy_trace.h"

#include <gtest/gtest.h>

#include "base/rfc3339.h"
#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

constexpr const char* kCluster = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop, labels: {app: web}}, status: {podIP: 10.0.0.3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {app: db}}, status: {podIP: 10.0.0.4}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}, endpoints: [{addresses: [10.0.0.4]}], ports: [{port: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}, {from: [{podSelector: {}}], ports: [{port: 9187}]}]}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: allow-web}
spec: {order: 1, selector: app == 'db', ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [5432]}}]}
)";

TraceQuestion question(const char* source, const char* dest) {
  TraceQuestion question;
  question.source = source;
  question.dest = dest;
  question.engine.trace_names = policy::TraceNames::kKind;
  return question;
}

std::string answer(const TraceQuestion& asked) {
  cluster::ClusterObjects objects;
  cluster::ManifestNotes notes;
  const Status read = cluster::read_manifest_text("test", kCluster, false, objects, notes);
  EXPECT_TRUE(read.ok()) << read.error().message;
  auto text = trace_policies(std::move(objects), asked);
  return text.ok() ? text.value() : "error: " + text.error().message;
}

TEST(PolicyTraceCommand, TellsRulesTheirFailedTermsTheNearestMissAndWhatStagedPoliciesWouldDo) {
  EXPECT_EQ(answer(question("shop/web-0", "shop/db-0:5432")),
            R"(shop/web-0 (10.0.0.3) -> shop/db-0 (10.0.0.4) TCP 5432: denied at the destination

egress of shop/web-0: allow
  profiles
    pro:kns.shop
      rule 0 allow: matches
  enforced  0|__PROFILE__|pro:kns.shop|allow|0

ingress of shop/db-0: deny
  tier default
    knp:shop/db
      rule 0 allow: no, peer wants pods (projectcalico.org/namespace == "shop" && app == "api")
      rule 1 allow: no, ports wants TCP 9187
    no rule matches: the tier's default is deny
  nearest to allowing it: knp:shop/db rule 0, but peer wants pods (projectcalico.org/namespace == "shop" && app == "api")
  enforced  0|default|knp:shop/db|deny|-1
  pending   0|default|sgnp:allow-web|allow|0
  staged policies would allow it
)");
}

TEST(PolicyTraceCommand, WalksTheStagedPoliciesWhereAsked) {
  TraceQuestion asked = question("10.0.0.3", "10.0.0.4:5432");
  asked.staged = true;
  const std::string text = answer(asked);
  EXPECT_TRUE(text.starts_with("shop/web-0 (10.0.0.3) -> shop/db-0 (10.0.0.4) TCP 5432: allowed\n")) << text;
  EXPECT_NE(text.find("ingress of shop/db-0: allow, with staged policies in force\n  tier default\n"
                      "    sgnp:allow-web (staged)\n      rule 0 allow: matches\n    not asked: 1 policy behind it\n"),
            std::string::npos)
      << text;
}

TEST(PolicyTraceCommand, AServiceIsThePodsBehindIt) {
  const std::string text = answer(question("shop/web-0", "10.96.0.1:80"));
  EXPECT_TRUE(
      text.starts_with("shop/web-0 (10.0.0.3) -> shop/db-0 (10.0.0.4) TCP 5432: denied at the destination\n"
                       "note: 10.96.0.1 is service shop/db: "))
      << text;
}

TEST(PolicyTraceCommand, APolicyDoesNotCountBeforeItsCreation) {
  TraceQuestion asked = question("shop/web-0", "shop/db-0:5432");
  asked.time_ns = parse_rfc3339("2025-12-31T23:59:59Z");
  EXPECT_NE(answer(asked).find("TCP 5432: allowed\n"), std::string::npos);
  asked.time_ns = parse_rfc3339("2026-01-01T00:00:00Z");
  EXPECT_NE(answer(asked).find("TCP 5432: denied at the destination\n"), std::string::npos);
}

TEST(PolicyTraceCommand, AnEndThatIsNoPodHasNoPolicy) {
  const std::string text = answer(question("192.0.2.1", "[2001:db8::1]:443"));
  EXPECT_EQ(text,
            "192.0.2.1 -> 2001:db8::1 TCP 443: allowed\n\n"
            "egress of 192.0.2.1: allow, no policy is for an address that is no pod's\n\n"
            "ingress of 2001:db8::1: allow, no policy is for an address that is no pod's\n");
}

TEST(PolicyTraceCommand, JsonHoldsTheSame) {
  TraceQuestion asked = question("shop/web-0", "shop/db-0:9187");
  asked.json = true;
  const std::string text = answer(asked);
  EXPECT_EQ(
      text.find(R"({"src":{"pod":"shop/web-0","ip":"10.0.0.3"},"dst":{"pod":"shop/db-0","ip":"10.0.0.4"},)"
                R"("protocol":"TCP","port":9187,"allowed":true,"pending_allowed":true,"staged":false,"notes":[],)"),
      0U)
      << text;
  EXPECT_NE(text.find(R"({"rule":1,"name":null,"action":"allow","matches":true,"failed":[]})"), std::string::npos)
      << text;
}

TEST(PolicyTraceCommand, WhatCannotBeAskedIsAnError) {
  EXPECT_EQ(answer(question("shop/web-9", "shop/db-0:1")), "error: no pod shop/web-9 in the manifests");
  EXPECT_EQ(answer(question("shop/web-0", "nobody:1")), "error: 'nobody' is neither namespace/pod nor an address");
  for (const char* dest : {"shop/db-0", "shop/db-0:", "shop/db-0:0", "shop/db-0:http", "shop/db-0:70000"}) {
    EXPECT_FALSE(check_addresses(question("shop/web-0", dest)).ok()) << dest;
  }
}

}  // namespace
}  // namespace weir::app
