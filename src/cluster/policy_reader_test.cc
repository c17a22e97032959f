#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "cluster/manifest_reader.h"
#include "model/connection.h"

namespace weir::cluster {
namespace {

struct Read {
  ClusterObjects objects;
  ManifestNotes notes;
  std::string error;
};

Read read(std::string_view text) {
  Read result;
  const Status status = read_manifest_text("m.yaml", text, false, result.objects, result.notes);
  if (!status.ok()) result.error = status.error().message;
  return result;
}

/// An object of one line: its kind's group and name, and the rest.
std::string object(const std::string& api, const std::string& kind, const std::string& spec) {
  return "{apiVersion: " + api + ", kind: " + kind + ", metadata: {name: p, namespace: shop}, spec: " + spec + "}";
}

template <typename T>
T spec_of(const std::string& text, ObjectKind kind) {
  const Read result = read(text);
  EXPECT_EQ(result.error, "") << text;
  EXPECT_EQ(result.notes.lines(), std::vector<std::string>()) << text;
  if (result.objects.policies.size() != 1) {
    ADD_FAILURE() << text;
    return {};
  }
  EXPECT_EQ(result.objects.policies[0].kind, kind) << text;
  return std::get<T>(result.objects.policies[0].spec);
}

model::CalicoPolicy calico(const std::string& spec, const std::string& kind = "NetworkPolicy",
                           ObjectKind want = ObjectKind::kCalicoNetworkPolicy) {
  return spec_of<model::CalicoPolicy>(object("projectcalico.org/v3", kind, spec), want);
}

model::AdminPolicy admin(const std::string& spec) {
  return spec_of<model::AdminPolicy>(object("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", spec),
                                     ObjectKind::kAdminNetworkPolicy);
}

TEST(PolicyReader, ReadsEveryFieldOfACalicoRule) {
  const model::CalicoPolicy policy = calico(R"({
    tier: security, order: -1.5, selector: app == 'web', serviceAccountSelector: team == 'a', types: [Ingress, Egress],
    ingress: [{action: Log, metadata: {annotations: {name: told}}, ipVersion: 6, protocol: SCTP, notProtocol: 136,
      source: {selector: a == 'b', notSelector: has(c), namespaceSelector: global(), nets: [10.1.2.3/8, 1.2.3.4],
               notNets: [10.1.0.0/16], serviceAccounts: {names: [robot], selector: x == 'y'}},
      destination: {ports: [80, "8000:9000", http], notPorts: [443]},
      http: {methods: [GET], paths: [{exact: /a}, {prefix: /b}]}}],
    egress: [{action: Pass, protocol: ICMPv6, icmp: {type: 128, code: 0}, notICMP: {type: 3}},
             {action: Deny, destination: {services: {name: db, namespace: data}}},
             {action: Allow, destination: {domains: ["*.example.org"]}}]})");
  EXPECT_EQ(policy.namespace_name, "shop");
  EXPECT_EQ(policy.tier, "security");
  EXPECT_EQ(policy.order, -1.5);
  EXPECT_EQ(policy.selector.canonical(), "app == \"web\"");
  EXPECT_EQ(policy.service_account_selector->canonical(), "team == \"a\"");
  EXPECT_FALSE(policy.namespace_selector);
  EXPECT_EQ(policy.staged, model::StagedAction::kNone);
  const model::CalicoRule& in = policy.ingress.at(0);
  EXPECT_EQ(in.action, model::RuleAction::kLog);
  EXPECT_EQ(in.name, "told");
  EXPECT_EQ(in.ip_version, 6);
  EXPECT_EQ(in.protocol, model::kProtoSctp);
  EXPECT_EQ(in.not_protocol, 136);
  EXPECT_EQ(in.source.not_selector->canonical(), "has(c)");
  EXPECT_EQ(in.source.namespace_selector->root().kind, model::Selector::Kind::kGlobal);
  EXPECT_EQ(in.source.nets.at(0).to_string(), "10.0.0.0/8");
  EXPECT_EQ(in.source.nets.at(1).to_string(), "1.2.3.4/32");
  EXPECT_EQ(in.source.not_nets.size(), 1U);
  EXPECT_EQ(in.source.service_accounts->names, std::vector<std::string>{"robot"});
  EXPECT_TRUE(in.source.service_accounts->selector);
  EXPECT_EQ(in.destination.ports, (std::vector<model::PortMatch>{{80, 80, ""}, {8000, 9000, ""}, {0, 0, "http"}}));
  EXPECT_EQ(in.destination.not_ports.size(), 1U);
  EXPECT_EQ(in.http->methods, std::vector<std::string>{"GET"});
  EXPECT_EQ(in.http->paths, (std::vector<model::HttpPath>{{"/a", false}, {"/b", true}}));
  EXPECT_EQ(policy.egress.at(0).protocol, model::kProtoIcmp6);
  EXPECT_EQ(policy.egress.at(0).icmp->code, 0);
  EXPECT_FALSE(policy.egress.at(0).not_icmp->code);
  EXPECT_EQ(policy.egress.at(1).destination.service->namespace_name, "data");
  EXPECT_EQ(policy.egress.at(2).destination.domains.size(), 1U);
}

TEST(PolicyReader, TypesOfACalicoPolicyDefaultToThoseOfItsRules) {
  struct Case {
    const char* spec;
    bool ingress, egress;
  };
  for (const Case& c : {Case{"{}", true, false}, Case{"{egress: [{action: Allow}]}", false, true},
                        Case{"{ingress: [{action: Allow}]}", true, false},
                        Case{"{ingress: [{action: Allow}], egress: [{action: Deny}]}", true, true},
                        Case{"{types: [], egress: [{action: Allow}]}", false, true},
                        Case{"{types: [Egress], ingress: [{action: Allow}]}", false, true}}) {
    SCOPED_TRACE(c.spec);
    const model::CalicoPolicy policy = calico(c.spec);
    EXPECT_EQ(policy.applies_ingress, c.ingress);
    EXPECT_EQ(policy.applies_egress, c.egress);
  }
}

TEST(PolicyReader, AnEmptySelectorIsNotSetAndAllIs) {
  const model::CalicoPolicy policy =
      calico("{ingress: [{action: Allow, source: {selector: '', notSelector: null, namespaceSelector: all()}}]}");
  EXPECT_FALSE(policy.ingress[0].source.selector);
  EXPECT_FALSE(policy.ingress[0].source.not_selector);
  EXPECT_TRUE(policy.ingress[0].source.namespace_selector);
  EXPECT_TRUE(policy.selector.is_all());
  EXPECT_FALSE(policy.order);
  EXPECT_EQ(policy.tier, "default");
}

TEST(PolicyReader, ReadsGlobalAndStagedPolicies) {
  const model::CalicoPolicy global =
      calico("{namespaceSelector: has(x), preDNAT: true, applyOnForward: true, ingress: [{action: Deny}]}",
             "GlobalNetworkPolicy", ObjectKind::kGlobalNetworkPolicy);
  EXPECT_FALSE(global.namespace_name);
  EXPECT_TRUE(global.namespace_selector && global.pre_dnat && global.apply_on_forward && !global.do_not_track);
  using model::StagedAction;
  EXPECT_EQ(calico("{}", "StagedNetworkPolicy", ObjectKind::kStagedNetworkPolicy).staged, StagedAction::kSet);
  EXPECT_EQ(
      calico("{stagedAction: Delete}", "StagedGlobalNetworkPolicy", ObjectKind::kStagedGlobalNetworkPolicy).staged,
      StagedAction::kDelete);
  const auto kubernetes = spec_of<model::NetworkPolicy>(
      object("projectcalico.org/v3", "StagedKubernetesNetworkPolicy",
             "{stagedAction: Learn, podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53}]}]}"),
      ObjectKind::kStagedKubernetesNetworkPolicy);
  EXPECT_EQ(kubernetes.staged, StagedAction::kLearn);
  EXPECT_TRUE(kubernetes.applies_egress && !kubernetes.applies_ingress);
}

TEST(PolicyReader, ReadsTiersProfilesEndpointsAndServiceAccounts) {
  const auto tier = spec_of<model::Tier>(
      "{apiVersion: crd.projectcalico.org/v1, kind: Tier, metadata: {name: t}, spec: {order: 10, defaultAction: Pass}}",
      ObjectKind::kTier);
  EXPECT_EQ(tier.name, "t");
  EXPECT_EQ(tier.order, 10.0);
  EXPECT_EQ(tier.default_action, model::Action::kPass);
  const auto profile = spec_of<model::Profile>(
      object("projectcalico.org/v3", "Profile", "{labelsToApply: {pcns.a: b}, egress: [{action: Allow}]}"),
      ObjectKind::kProfile);
  EXPECT_EQ(profile.labels_to_apply.pairs, std::vector<std::string>{"pcns.a=b"});
  EXPECT_EQ(profile.egress.size(), 1U);
  const auto workload = spec_of<model::WorkloadEndpoint>(
      object("projectcalico.org/v3", "WorkloadEndpoint", "{pod: web, profiles: [a, b]}"),
      ObjectKind::kWorkloadEndpoint);
  EXPECT_EQ(workload.pod, "web");
  EXPECT_EQ(workload.profiles.size(), 2U);
  const auto host = spec_of<model::HostEndpoint>(
      "{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h, labels: {a: b}}, spec: {node: n1, "
      "interfaceName: '*', expectedIPs: [10.0.0.1], profiles: [p], ports: [{name: ssh, port: 22, protocol: TCP}]}}",
      ObjectKind::kHostEndpoint);
  EXPECT_EQ(host.node, "n1");
  EXPECT_EQ(host.interface_name, "*");
  EXPECT_EQ(host.expected_ips.size(), 1U);
  EXPECT_EQ(host.ports.at(0).port, 22);
  EXPECT_TRUE(host.labels.has("a"));
  const auto account = spec_of<model::ServiceAccountInfo>(
      "{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot, namespace: shop, labels: {team: a}}}",
      ObjectKind::kServiceAccount);
  EXPECT_TRUE(account.labels.has("team"));
}

TEST(PolicyReader, LabelsOfCalicosStoredObjectsAreInAnAnnotation) {
  const Read result = read(R"(
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkSet
metadata:
  name: threats
  labels: {own: x}
  annotations: {projectcalico.org/metadata: '{"labels":{"feed":"a","own":"y"},"creationTimestamp":null}'}
spec: {nets: [198.51.100.0/24], allowedEgressDomains: ["*.example.org"]}
)");
  ASSERT_EQ(result.error, "");
  const NetworkSet& set = result.objects.network_sets.at(0);
  EXPECT_EQ(set.meta.labels.pairs, (std::vector<std::string>{"feed=a", "own=x"}));
  EXPECT_EQ(set.domains, std::vector<std::string>{"*.example.org"});
}

TEST(PolicyReader, ReadsAdminPolicies) {
  const model::AdminPolicy policy = admin(R"({priority: 7, subject: {pods: {podSelector: {matchLabels: {a: b}}}},
    ingress: [{name: first, action: Pass, from: [{namespaces: {}}, {pods: {namespaceSelector: {}, podSelector: {}}}],
               ports: [{portNumber: {port: 80}}, {portRange: {protocol: UDP, start: 1, end: 9}}, {namedPort: http}]}],
    egress: [{action: Deny, to: [{nodes: {}}, {networks: [10.0.0.0/8, "fd00::/8"]}]},
             {action: Allow, to: [{domainNames: ["*.k8s.io", example.org]}]}]})");
  EXPECT_EQ(policy.priority, 7);
  EXPECT_FALSE(policy.baseline || policy.malformed);
  EXPECT_EQ(policy.subject.pod_selector.match_labels.size(), 1U);
  const model::AdminRule& in = policy.ingress.at(0);
  EXPECT_EQ(in.name, "first");
  EXPECT_EQ(in.action, model::Action::kPass);
  EXPECT_TRUE(in.peers.at(0).pods && in.peers.at(1).pods);
  EXPECT_EQ(in.ports, (std::vector<model::AdminPort>{{6, 80, 80, ""}, {17, 1, 9, ""}, {0, 0, 65535, "http"}}));
  EXPECT_TRUE(policy.egress.at(0).peers.at(0).nodes);
  EXPECT_EQ(policy.egress.at(0).peers.at(1).networks.size(), 2U);
  EXPECT_EQ(policy.egress.at(1).peers.at(0).domain_names.size(), 2U);
  for (const auto& rules : {policy.ingress, policy.egress}) {
    for (const model::AdminRule& rule : rules) EXPECT_FALSE(rule.malformed);
  }
}

TEST(PolicyReader, ReadsClusterNetworkPoliciesWithTheirOwnWords) {
  const auto policy = spec_of<model::AdminPolicy>(
      object(
          "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy",
          "{tier: Baseline, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: "
          "{}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 5, end: "
          "6}}}}, {sctp: {}}, {destinationNamedPort: web}]}]}"),
      ObjectKind::kClusterNetworkPolicy);
  EXPECT_TRUE(policy.baseline);
  EXPECT_EQ(
      policy.ingress.at(0).ports,
      (std::vector<model::AdminPort>{{6, 80, 80, ""}, {17, 5, 6, ""}, {132, 0, 65535, ""}, {0, 0, 65535, "web"}}));
}

TEST(PolicyReader, EarlyFormsOfAdminPoliciesAreReadOrRefusedAloud) {
  const model::AdminPolicy early = admin(
      "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {namespaceSelector: "
      "{matchLabels: {a: b}}}}, {pods: {namespaces: {namespaceSelector: {matchLabels: {c: d}}}, podSelector: {}}}]}]}");
  EXPECT_EQ(early.ingress[0].peers[0].pods->namespace_selector.match_labels[0].first, "a");
  EXPECT_EQ(early.ingress[0].peers[1].pods->namespace_selector.match_labels[0].first, "c");
  const Read same = read(object("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy",
                                "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: "
                                "{sameLabels: [a]}}]}]}"));
  EXPECT_EQ(same.error, "");
  EXPECT_TRUE(std::get<model::AdminPolicy>(same.objects.policies.at(0).spec).ingress[0].malformed);
  ASSERT_EQ(same.notes.lines().size(), 1U);
  EXPECT_EQ(same.notes.lines()[0],
            "m.yaml: document 1 (AdminNetworkPolicy shop/p): spec.ingress[0]: the rule denies everything, since it is "
            "not understood: spec.ingress[0].from[0].namespaces.sameLabels: is a form of early v1alpha1 that is no "
            "longer served: select the namespaces by their labels");
}

TEST(PolicyReader, WhatIsNotUnderstoodOfAnAdminRuleFailsClosed) {
  const std::string head = "{priority: 1, subject: {namespaces: {}}, egress: [{action: Allow, ";
  for (const char* rest :
       {"to: [{}]", "to: []", "to: [{services: {}}]", "to: [{namespaces: {}, pods: {}}]", "to: [{networks: [x]}]",
        "to: [{namespaces: {}}], ports: [{portNumber: {port: 0}}]", "to: [{namespaces: {}}], ports: [{}]",
        "to: [{networks: [10.0.0.0/8]}], ports: [{namedPort: http}]", "to: [{domainNames: ['a*.org']}]",
        "to: [{namespaces: {}}], sorts: [1]"}) {
    SCOPED_TRACE(rest);
    const Read result = read(object("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", head + rest + "}]}"));
    ASSERT_EQ(result.error, "");
    const auto& policy = std::get<model::AdminPolicy>(result.objects.policies.at(0).spec);
    EXPECT_TRUE(policy.egress.at(0).malformed);
    EXPECT_EQ(result.notes.lines().size(), 1U);
    EXPECT_FALSE(policy.malformed);
  }
  for (const char* spec :
       {"{tier: Other, priority: 1, subject: {namespaces: {}}}", "{priority: 1, subject: {namespaces: {}}}",
        "{tier: Admin, priority: 1}", "{tier: Admin, priority: 1, subject: {pods: {}, namespaces: {}}}"}) {
    SCOPED_TRACE(spec);
    const Read result = read(object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", spec));
    ASSERT_EQ(result.error, "");
    EXPECT_TRUE(std::get<model::AdminPolicy>(result.objects.policies.at(0).spec).malformed);
    EXPECT_EQ(result.notes.lines().size(), 1U);
  }
}

TEST(PolicyReader, ReadsCiliumPolicies) {
  const Read result = read(R"(
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
specs:
- endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": x, "any:app": web, "reserved:host": ""}}
  ingress:
  - {}
  - fromEndpoints: [{}]
    toPorts: [{ports: [{port: "80", protocol: TCP}, {port: http}, {port: "1", endPort: 9, protocol: ANY}], rules: {http: [{}]}}]
  ingressDeny:
  - fromEntities: [world, kube-apiserver]
    icmps: [{fields: [{family: IPv6, type: EchoRequest}, {type: 3}]}]
- nodeSelector: {}
  enableDefaultDeny: {egress: false}
  egress:
  - toCIDR: [10.0.0.0/8]
    toCIDRSet: [{cidr: 192.168.0.0/16, except: [192.168.1.0/24]}]
  - toFQDNs: [{matchName: a.b}, {matchPattern: "*.c"}]
  - toServices: [{k8sService: {serviceName: db, namespace: data}}]
  - toEndpoints: []
)");
  ASSERT_EQ(result.error, "");
  EXPECT_EQ(result.notes.lines(), std::vector<std::string>());
  const auto& policies = std::get<PolicyObject::CiliumPolicies>(result.objects.policies.at(0).spec);
  ASSERT_EQ(policies.size(), 2U);
  const auto& labels = policies[0].endpoint_selector->match_labels;
  EXPECT_EQ(labels.at(0).first, "io.kubernetes.pod.namespace");
  EXPECT_EQ(labels.at(1).first, "app");
  EXPECT_EQ(labels.at(2).first, "reserved:host");
  ASSERT_EQ(policies[0].ingress->size(), 3U);
  const auto& in = *policies[0].ingress;
  EXPECT_TRUE(in[0].empty && !in[1].empty);
  EXPECT_TRUE(in[1].layer7 && !in[1].deny && in[1].endpoints->size() == 1);
  EXPECT_EQ(in[1].ports, (std::vector<model::CiliumPort>{{6, 80, 80, ""}, {0, 0, 65535, "http"}, {0, 1, 9, ""}}));
  EXPECT_TRUE(in[2].deny);
  EXPECT_EQ(in[2].entities->at(1), model::CiliumEntity::kKubeApiserver);
  EXPECT_EQ(in[2].icmps, (std::vector<model::CiliumIcmp>{{true, 128}, {false, 3}}));
  EXPECT_FALSE(policies[0].egress);
  EXPECT_TRUE(policies[1].node_selector && !policies[1].endpoint_selector);
  EXPECT_EQ(policies[1].default_deny_egress, false);
  EXPECT_FALSE(policies[1].default_deny_ingress);
  const auto& out = *policies[1].egress;
  EXPECT_EQ(out[0].cidrs->size(), 2U);
  EXPECT_EQ(out[1].fqdns->at(1).match_pattern, "*.c");
  EXPECT_EQ(out[2].services->at(0).name, "db");
  EXPECT_TRUE(out[3].endpoints && out[3].endpoints->empty());
}

TEST(PolicyReader, WhatIsNotEvaluatedOfACiliumRuleFailsClosed) {
  for (const char* rule : {"{toGroups: [{}]}", "{toRequires: [{}]}", "{toCIDRSet: [{cidrGroupRef: x}]}",
                           "{toEntities: [moon]}", "{toServices: [{k8sServiceSelector: {}}]}"}) {
    SCOPED_TRACE(rule);
    const Read result = read(object("cilium.io/v2", "CiliumClusterwideNetworkPolicy",
                                    std::string("{endpointSelector: {}, egress: [") + rule + "]}"));
    ASSERT_EQ(result.error, "");
    const auto& policies = std::get<PolicyObject::CiliumPolicies>(result.objects.policies.at(0).spec);
    EXPECT_FALSE(policies.at(0).namespace_name);
    EXPECT_TRUE(policies.at(0).egress->at(0).malformed);
    EXPECT_EQ(result.notes.lines().size(), 1U);
  }
}

TEST(PolicyReader, AMalformedPolicyNamesPathAndReason) {
  struct Case {
    const char *api, *kind, *spec, *want;
  };
  const char *v3 = "projectcalico.org/v3", *a1 = "policy.networking.k8s.io/v1alpha1";
  for (const Case& c : {
           Case{v3, "NetworkPolicy", "{selector: a = 'b'}",
                "spec.selector: 'a = 'b'' is no selector: column 3: expected '==', '!=', 'in', 'not in', 'contains', "
                "'starts with' or 'ends with' after the label, not '='"},
           Case{v3, "NetworkPolicy", "{order: soon}", "spec.order: 'soon' is not a number"},
           Case{v3, "NetworkPolicy", "{ingress: [{}]}", "spec.ingress[0].action: is missing"},
           Case{v3, "NetworkPolicy", "{ingress: [{action: allow}]}",
                "spec.ingress[0].action: 'allow' is not Allow, Deny, Pass or Log"},
           Case{v3, "NetworkPolicy", "{ingress: [{action: Allow, protocol: 0}]}",
                "spec.ingress[0].protocol: '0' is not TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255"},
           Case{v3, "NetworkPolicy", "{ingress: [{action: Allow, destination: {ports: [80]}}]}",
                "spec.ingress[0].destination.ports: wants protocol TCP, UDP or SCTP in the rule"},
           Case{v3, "NetworkPolicy", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: ['9:8']}}]}",
                "spec.ingress[0].destination.ports[0]: '9:8' is not a port, a range like 1000:2000, or the name of a "
                "port"},
           Case{v3, "NetworkPolicy", "{ingress: [{action: Allow, icmp: {code: 1}}]}",
                "spec.ingress[0].icmp.code: wants a type beside it"},
           Case{v3, "NetworkPolicy", "{egress: [{action: Allow, destination: {nets: [10.0.0.0/99]}}]}",
                "spec.egress[0].destination.nets[0]: '10.0.0.0/99' is not an IP address range (CIDR)"},
           Case{v3, "NetworkPolicy", "{egress: [{action: Allow, destination: {services: {name: a}, selector: all()}}]}",
                "spec.egress[0].destination.services: stands beside selectors, nets or ports: a service stands alone"},
           Case{v3, "StagedNetworkPolicy", "{stagedAction: set}",
                "spec.stagedAction: 'set' is not Set, Delete, Learn or Ignore"},
           Case{v3, "Tier", "{defaultAction: Allow}", "spec.defaultAction: 'Allow' is not Deny or Pass"},
           Case{a1, "AdminNetworkPolicy", "{subject: {namespaces: {}}}", "spec.priority: is missing"},
           Case{a1, "AdminNetworkPolicy", "{priority: 1001, subject: {namespaces: {}}}",
                "spec.priority: '1001' is not from 0 to 1000"},
           Case{a1, "AdminNetworkPolicy", "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept}]}",
                "spec.ingress[0].action: 'Accept' is not Allow, Deny or Pass"},
           Case{a1, "BaselineAdminNetworkPolicy", "{subject: {namespaces: {}}, ingress: [{action: Pass}]}",
                "spec.ingress[0].action: 'Pass' is not Allow or Deny"},
           Case{"cilium.io/v2", "CiliumNetworkPolicy", "{}",
                "spec.endpointSelector: is to stand alone, or nodeSelector"},
       }) {
    SCOPED_TRACE(c.spec);
    EXPECT_EQ(read(object(c.api, c.kind, c.spec)).error,
              std::string("m.yaml: document 1 (") + c.kind + " shop/p): " + c.want);
  }
}

TEST(PolicyReader, AMemberThatNobodyKnowsIsRemarkedOn) {
  const Read result = read(object("projectcalico.org/v3", "NetworkPolicy",
                                  "{selektor: a == 'b', ingress: [{action: Allow, source: {selectors: x}}]}"));
  ASSERT_EQ(result.error, "");
  EXPECT_EQ(result.notes.lines(),
            (std::vector<std::string>{
                "m.yaml: document 1 (NetworkPolicy shop/p): spec.selektor: is not known, and passed over",
                "m.yaml: document 1 (NetworkPolicy shop/p): spec.ingress[0].source.selectors: is not known, and passed "
                "over"}));
}

}  // namespace
}  // namespace weir::cluster
