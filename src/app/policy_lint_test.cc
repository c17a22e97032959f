#include "app/policy_lint.h"

#include <gtest/gtest.h>

#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

/// Two namespaces, a web and a database with a service, DNS.
constexpr const char* kCluster = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: store}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop, labels: {app: website, tier: front}}, status: {podIP: 10.0.0.1}, spec: {containers: [{ports: [{name: http, containerPort: 8080}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {app: database}}, status: {podIP: 10.0.0.2}, spec: {containers: [{ports: [{name: pg, containerPort: 5432}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: dns-0, namespace: kube-system, labels: {k8s-app: kube-dns}}, status: {podIP: 10.0.1.1}, spec: {containers: [{ports: [{name: dns, containerPort: 53, protocol: UDP}]}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}, endpoints: [{addresses: [10.0.0.1]}], ports: [{name: http, port: 8080}]}
)";

constexpr const char* kAllowDns = "{to: [{namespaceSelector: {}}], ports: [{protocol: UDP, port: 53}]}";

std::vector<policy::Finding> lint(const std::string& policies) {
  cluster::ClusterObjects objects;
  cluster::ManifestNotes notes;
  const Status read =
      cluster::read_manifest_text("test", kCluster + std::string("---\n") + policies, false, objects, notes);
  EXPECT_TRUE(read.ok()) << read.error().message;
  auto findings = lint_policies(std::move(objects));
  EXPECT_TRUE(findings.ok());
  return findings.ok() ? findings.value() : std::vector<policy::Finding>{};
}

/// "warning check object path; …"
std::string briefly(const std::vector<policy::Finding>& findings) {
  std::string text;
  for (const policy::Finding& f : findings) {
    text += std::string(policy::to_string(f.severity)) + " " + f.check + " " + f.object + " " + f.path + "; ";
  }
  return text;
}

std::string network_policy(const std::string& spec, const char* name = "p") {
  return std::string("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: ") + name +
         ", namespace: shop}, spec: " + spec + "}\n---\n";
}
std::string global(const char* name, const std::string& spec, const char* kind = "GlobalNetworkPolicy") {
  return std::string("{apiVersion: projectcalico.org/v3, kind: ") + kind + ", metadata: {name: " + name +
         "}, spec: " + spec + "}\n---\n";
}
std::string admin(const char* name, const std::string& spec) {
  return std::string("{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: ") +
         name + "}, spec: " + spec + "}\n---\n";
}

struct Case {
  const char* name;
  std::string policies;
  const char* want;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(briefly(lint(c.policies)), c.want);
  }
}

TEST(PolicyLint, SoundPoliciesHaveNoFindings) {
  check(
      {{"none", "", ""},
       {"a web and its database",
        network_policy("{podSelector: {matchLabels: {app: website}}, policyTypes: [Ingress, Egress], ingress: [{ports: "
                       "[{port: http}]}], egress: [{to: [{podSelector: {matchLabels: {app: database}}}], ports: "
                       "[{port: 5432}]}, " +
                       std::string(kAllowDns) + "]}"),
        ""},
       {"tiers in order",
        global("a",
               "{order: 1, selector: app == 'website', ingress: [{action: Deny, source: {selector: tier == "
               "'front'}}, {action: Allow}]}") +
            global("b", "{order: 2, selector: has(app), ingress: [{action: Allow}]}"),
        ""}});
}

TEST(PolicyLint, SelectorsThatSelectNobodyAndLabelsThatSomebodyAlmostHas) {
  check({{"subject", network_policy("{podSelector: {matchLabels: {app: zebra}}}"),
          "warning selects-nothing NetworkPolicy shop/p spec; "},
         {"peer",
          network_policy("{podSelector: {}, ingress: [{}, {from: [{namespaceSelector: {matchLabels: {team: "
                         "other}}}]}]}"),
          "info redundant-rule NetworkPolicy shop/p spec.ingress[1]; "
          "warning selects-nothing NetworkPolicy shop/p spec.ingress[1].from; "},
         {"value", network_policy("{podSelector: {matchLabels: {app: webiste}}}"),
          "warning label-typo NetworkPolicy shop/p spec; "},
         {"key", network_policy("{podSelector: {matchLabels: {teir: front}}}"),
          "warning label-typo NetworkPolicy shop/p spec; "},
         {"key of a namespace",
          network_policy("{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {taem: store}}}]}]}"),
          "warning label-typo NetworkPolicy shop/p spec.ingress[0].from; "},
         {"Calico's source",
          global("g", "{selector: has(app), ingress: [{action: Allow, source: {selector: app == 'databse'}}]}"),
          "warning label-typo GlobalNetworkPolicy g spec.ingress[0].source; "},
         {"who is excluded need not be there",
          global("g", "{selector: has(app), ingress: [{action: Allow, source: {notSelector: has(retired)}}]}"), ""}});
  const auto findings = lint(network_policy("{podSelector: {matchLabels: {app: webiste}}}"));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].what, "nobody has 'webiste' as the label 'app', but somebody has 'website'");
}

TEST(PolicyLint, RulesAndPoliciesThatAreNeverReached) {
  check({{"behind a wider rule",
          global("g",
                 "{selector: has(app), ingress: [{action: Deny, protocol: TCP, destination: {ports: ['1:100']}}, "
                 "{action: Allow, protocol: TCP, source: {selector: has(app)}, destination: {ports: [90]}}]}"),
          "warning unreachable-rule GlobalNetworkPolicy g spec.ingress[1]; "},
         {"the wider one behind",
          global("g",
                 "{selector: has(app), ingress: [{action: Allow, protocol: TCP, destination: {ports: [90]}}, "
                 "{action: Deny, protocol: TCP, destination: {ports: ['1:100']}}]}"),
          ""},
         {"behind a policy",
          global("a", "{order: 1, selector: has(app), ingress: [{action: Deny}]}") +
              global("b", "{order: 2, selector: app == 'website', ingress: [{action: Allow}]}"),
          "warning shadowed-policy GlobalNetworkPolicy b spec.ingress; "},
         {"behind a policy of fewer pods",
          global("a", "{order: 1, selector: app == 'website', ingress: [{action: Deny}]}") +
              global("b", "{order: 2, selector: has(app), ingress: [{action: Allow}]}"),
          ""},
         {"behind an earlier tier",
          admin("a", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}") +
              network_policy("{podSelector: {}, ingress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]}"),
          "warning blocks-dns AdminNetworkPolicy a spec.ingress; "
          "warning shadowed-policy NetworkPolicy shop/p spec.ingress; "},
         {"behind a tier that may pass",
          admin("a",
                "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: "
                "{matchLabels: {team: store}}}]}, {action: Allow, from: [{namespaces: {}}]}]}") +
              network_policy("{podSelector: {}, ingress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]}"),
          ""},
         {"two that say the same",
          network_policy("{podSelector: {}, ingress: [{ports: [{port: 1}]}, {ports: [{port: 1}]}]}"),
          "info redundant-rule NetworkPolicy shop/p spec.ingress[1]; "},
         {"a block within a block",
          global("g",
                 "{selector: has(app), ingress: [{action: Allow, source: {nets: [192.0.2.0/24]}}, {action: Deny, "
                 "source: {nets: [192.0.2.64/26]}}, {action: Deny, source: {nets: [192.0.0.0/16]}}]}"),
          "warning unreachable-rule GlobalNetworkPolicy g spec.ingress[1]; "}});
}

TEST(PolicyLint, PodsThatMayNotAskDns) {
  check(
      {{"egress", network_policy("{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}"),
        "warning blocks-dns NetworkPolicy shop/p spec.egress; "},
       {"allowed", network_policy("{podSelector: {}, policyTypes: [Egress], egress: [" + std::string(kAllowDns) + "]}"),
        ""},
       {"the server's own policy",
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: dns, namespace: kube-system}, spec: "
        "{podSelector: {}}}\n---\n",
        "warning blocks-dns NetworkPolicy kube-system/dns spec.ingress; "}});
}

TEST(PolicyLint, PortsAndAddresses) {
  check(
      {{"a service's port",
        network_policy("{podSelector: {matchLabels: {app: website}}, ingress: [{ports: [{port: 80}]}]}"),
        "warning service-port NetworkPolicy shop/p spec.ingress[0]; "},
       {"the pods' port",
        network_policy("{podSelector: {matchLabels: {app: website}}, ingress: [{ports: [{port: 8080}]}]}"), ""},
       {"a name that nobody declares",
        network_policy("{podSelector: {matchLabels: {app: website}}, ingress: [{ports: [{port: https}]}]}"),
        "warning port-name NetworkPolicy shop/p spec.ingress[0]; "},
       {"a name of another protocol",
        network_policy(
            "{podSelector: {matchLabels: {app: website}}, ingress: [{ports: [{port: http, protocol: UDP}]}]}"),
        "warning port-name NetworkPolicy shop/p spec.ingress[0]; "},
       {"a block that holds pods",
        network_policy("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}"),
        "warning block-holds-pods NetworkPolicy shop/p spec.ingress[0]; "},
       {"one that leaves them out",
        network_policy("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/16]}}]}]}"),
        ""},
       {"everything", network_policy("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"),
        "info block-holds-pods NetworkPolicy shop/p spec.ingress[0]; "}});
}

TEST(PolicyLint, WhatObjectsSayAndDoNotMean) {
  check(
      {{"ignored rules", network_policy("{podSelector: {}, policyTypes: [Ingress], ingress: [{}], egress: [{}]}"),
        "warning policy-types NetworkPolicy shop/p spec.egress; "},
       {"ingress by default", network_policy("{podSelector: {}, egress: [{}]}"),
        "warning policy-types NetworkPolicy shop/p spec.policyTypes; "},
       {"an empty list", network_policy("{podSelector: {}, egress: []}"),
        "warning policy-types NetworkPolicy shop/p spec.egress; "},
       {"a peer of nobody", network_policy("{podSelector: {}, ingress: [{from: [{}]}]}"),
        "error empty-peer NetworkPolicy shop/p spec.ingress[0] peer 0; "},
       {"no tier", global("g", "{tier: nowhere, selector: has(app), ingress: [{action: Allow}]}"),
        "error no-tier GlobalNetworkPolicy g spec.tier; "},
       {"fails closed", admin("a", "{priority: 1, subject: {namespaces: {}}, egress: [{action: Allow, to: [{}]}]}"),
        "error fails-closed AdminNetworkPolicy a spec.egress[0]; "},
       {"equal priorities",
        admin("a",
              "{priority: 1, subject: {namespaces: {}}, egress: [{action: Allow, to: [{networks: [192.0.2.0/24]}]}]}") +
            admin("b",
                  "{priority: 1, subject: {namespaces: {matchLabels: {team: store}}}, egress: [{action: Deny, to: "
                  "[{networks: [192.0.0.0/16]}]}]}"),
        "warning equal-priority AdminNetworkPolicy b spec.priority; "},
       {"deletes nothing",
        "{apiVersion: projectcalico.org/v3, kind: StagedKubernetesNetworkPolicy, metadata: {name: p, namespace: shop}, "
        "spec: {stagedAction: Delete}}",
        "warning deletes-nothing StagedKubernetesNetworkPolicy shop/p spec.stagedAction; "}});
}

TEST(PolicyLint, WithoutPodsNobodyIsMissed) {
  cluster::ClusterObjects objects;
  cluster::ManifestNotes notes;
  ASSERT_TRUE(cluster::read_manifest_text("test", network_policy("{podSelector: {matchLabels: {app: x}}}"), false,
                                          objects, notes)
                  .ok());
  const auto findings = lint_policies(std::move(objects));
  ASSERT_TRUE(findings.ok());
  EXPECT_EQ(briefly(findings.value()), "");
}

TEST(PolicyLint, IsToldAsTextAndAsJson) {
  const auto findings = lint(network_policy("{podSelector: {}, ingress: [{from: [{}]}]}"));
  EXPECT_EQ(findings_text(findings),
            "error  NetworkPolicy shop/p  spec.ingress[0] peer 0  [empty-peer]\n"
            "    a peer without selector and ipBlock matches nobody\n"
            "    repair: leave out the list for anybody, or say podSelector: {} for all pods of the namespace\n"
            "1 error, 0 warnings, 0 remarks\n");
  EXPECT_EQ(
      findings_json(findings),
      R"([{"severity":"error","check":"empty-peer","object":"NetworkPolicy shop/p","path":"spec.ingress[0] peer 0",)"
      R"("what":"a peer without selector and ipBlock matches nobody","repair":"leave out the list for anybody, or )"
      R"(say podSelector: {} for all pods of the namespace"}])"
      "\n");
  EXPECT_EQ(findings_text({}), "0 errors, 0 warnings, 0 remarks\n");
  EXPECT_EQ(findings_json({}), "[]\n");
}

}  // namespace
}  // namespace weir::app
