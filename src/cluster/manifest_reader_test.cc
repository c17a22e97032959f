#include "cluster/manifest_reader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "model/connection.h"
#include "tests/support/shared_data.h"

namespace weir::cluster {
namespace {

namespace fs = std::filesystem;

struct Read {
  ClusterObjects objects;
  ManifestNotes notes;
  std::string error;
};

Read read(std::string_view text, bool json = false) {
  Read result;
  const Status status = read_manifest_text("m.yaml", text, json, result.objects, result.notes);
  if (!status.ok()) result.error = status.error().message;
  return result;
}

constexpr std::string_view kPod = R"(apiVersion: v1
kind: Pod
metadata:
  name: web-6d4cf56db6-x2x5k
  generateName: web-6d4cf56db6-
  namespace: shop
  uid: 7a
  creationTimestamp: "2026-01-02T03:04:05Z"
  deletionTimestamp: 2026-01-02T04:04:05.25+01:00
  labels: {app: web, version: 1, canary: true, empty: "", tilde: ~}
  ownerReferences:
  - {apiVersion: v1, kind: Other, name: not-the-controller}
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-6d4cf56db6, controller: true}
spec:
  nodeName: node-1
  serviceAccountName: robot
  hostNetwork: false
  containers:
  - name: c
    ports:
    - {containerPort: 8080, name: http}
    - {containerPort: 53, name: dns, protocol: UDP}
    - {containerPort: 9000}
  initContainers:
  - name: job
    ports: [{containerPort: 1, name: gone}]
  - name: sidecar
    restartPolicy: Always
    ports: [{containerPort: 2, name: stays}]
status:
  phase: Failed
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]
  startTime: 2026-01-02T03:04:06Z
  containerStatuses:
  - state: {terminated: {finishedAt: 2026-01-02T03:10:00Z}}
  - state: {terminated: {finishedAt: 2026-01-02T03:09:00Z}}
)";

TEST(ManifestReader, ReadsEveryFieldOfAPod) {
  const Read result = read(kPod);
  ASSERT_EQ(result.error, "");
  ASSERT_EQ(result.objects.pods.size(), 1U);
  const Pod& pod = result.objects.pods[0];
  EXPECT_EQ(pod.meta.namespace_name, "shop");
  EXPECT_EQ(pod.meta.name, "web-6d4cf56db6-x2x5k");
  EXPECT_EQ(pod.meta.generate_name, "web-6d4cf56db6-");
  EXPECT_EQ(pod.meta.uid, "7a");
  EXPECT_EQ(pod.meta.created_ns, 1767323045'000000000);
  EXPECT_EQ(pod.meta.deleted_ns, 1767323045'250000000);
  EXPECT_EQ(pod.meta.labels.pairs,
            (std::vector<std::string>{"app=web", "canary=true", "empty=", "tilde=", "version=1"}));
  ASSERT_TRUE(pod.meta.controller.has_value());
  EXPECT_EQ(pod.meta.controller->kind, "ReplicaSet");
  EXPECT_EQ(pod.meta.controller->name, "web-6d4cf56db6");
  EXPECT_EQ(pod.node, "node-1");
  EXPECT_EQ(pod.service_account, "robot");
  EXPECT_FALSE(pod.host_network);
  ASSERT_EQ(pod.named_ports.size(), 3U) << "unnamed ports and those of init containers are no named ports";
  EXPECT_EQ(pod.named_ports[1].name, "dns");
  EXPECT_EQ(pod.named_ports[1].port, 53);
  EXPECT_EQ(pod.named_ports[1].protocol, model::kProtoUdp);
  EXPECT_EQ(pod.named_ports[2].name, "stays");
  ASSERT_EQ(pod.ips.size(), 2U);
  EXPECT_EQ(pod.ips[1].to_string(), "fd00::1");
  EXPECT_TRUE(pod.finished);
  EXPECT_EQ(pod.started_ns, 1767323046'000000000);
  EXPECT_EQ(pod.finished_ns, 1767323400'000000000);
}

TEST(ManifestReader, AppliesTheDefaultsOfTheApi) {
  const Read result = read("{apiVersion: v1, kind: Pod, metadata: {name: a}}");
  ASSERT_EQ(result.error, "");
  const Pod& pod = result.objects.pods.at(0);
  EXPECT_EQ(pod.meta.namespace_name, "default");
  EXPECT_EQ(pod.service_account, "default");
  EXPECT_EQ(pod.meta.created_ns, kNoTime);
  EXPECT_TRUE(pod.ips.empty());
}

TEST(ManifestReader, NamespacesCarryTheirNameLabel) {
  const Read result = read("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {zone: a, env: b}}\n");
  ASSERT_EQ(result.objects.namespaces.size(), 1U);
  EXPECT_EQ(result.objects.namespaces[0].info.labels.pairs,
            (std::vector<std::string>{"env=b", "kubernetes.io/metadata.name=shop", "zone=a"}));
}

TEST(ManifestReader, ReadsNodesWithTheirTunnelAddresses) {
  const Read result = read(R"(
apiVersion: v1
kind: Node
metadata:
  name: node-1
  annotations:
    projectcalico.org/IPv4Address: 192.168.0.1/24
    projectcalico.org/IPv4VXLANTunnelAddr: 10.9.0.1
    unrelated: 1.2.3.4
status:
  addresses: [{type: InternalIP, address: 192.168.0.1}, {type: Hostname, address: node-1}, {type: ExternalIP, address: 203.0.113.9}]
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: node-1}
)");
  ASSERT_EQ(result.error, "");
  ASSERT_EQ(result.objects.nodes.size(), 1U);
  std::vector<std::string> addresses;
  for (const IpAddress& ip : result.objects.nodes[0].addresses) addresses.push_back(ip.to_string());
  EXPECT_EQ(addresses, (std::vector<std::string>{"192.168.0.1", "203.0.113.9", "10.9.0.1"}));
  EXPECT_EQ(result.notes.skipped.at("Node (projectcalico.org/v3)"), 1U) << "Calico's Node is another kind";
}

TEST(ManifestReader, ReadsServicesSlicesAndEndpoints) {
  const Read result = read(R"(
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, "fd01::1"]
  externalIPs: [203.0.113.1]
  ports: [{name: http, port: 80, targetPort: http, nodePort: 30080}, {name: dns, port: 53, protocol: UDP}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.2}, {hostname: lb.example}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 5432}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-x, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.5, 10.0.0.6]}, {addresses: [10.0.0.9], conditions: {ready: false}}, {addresses: null}]
ports: [{name: "", port: 5432, protocol: TCP}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: old}
subsets: [{addresses: [{ip: 10.0.0.7}], notReadyAddresses: [{ip: 10.0.0.8}], ports: [{port: 1}]}, {ports: []}]
)");
  ASSERT_EQ(result.error, "");
  ASSERT_EQ(result.objects.services.size(), 2U);
  const Service& web = result.objects.services[0];
  EXPECT_EQ(web.cluster_ips.size(), 2U);
  EXPECT_EQ(web.external_ips.size(), 2U);
  ASSERT_EQ(web.ports.size(), 2U);
  EXPECT_EQ(web.ports[0].node_port, 30080);
  EXPECT_EQ(web.ports[1].protocol, model::kProtoUdp);
  EXPECT_TRUE(result.objects.services[1].headless);
  EXPECT_TRUE(result.objects.services[1].cluster_ips.empty());
  ASSERT_EQ(result.objects.backends.size(), 2U);
  const ServiceBackends& slice = result.objects.backends[0];
  EXPECT_EQ(slice.name, "db-x");
  EXPECT_EQ(slice.service, "db");
  EXPECT_TRUE(slice.from_slice);
  ASSERT_EQ(slice.subsets.size(), 1U);
  EXPECT_EQ(slice.subsets[0].addresses.size(), 2U);
  EXPECT_EQ(slice.subsets[0].not_ready.size(), 1U);
  const ServiceBackends& old = result.objects.backends[1];
  EXPECT_EQ(old.service, "old");
  EXPECT_FALSE(old.from_slice);
  ASSERT_EQ(old.subsets.size(), 2U);
  EXPECT_EQ(old.subsets[0].addresses.size(), 1U);
  EXPECT_EQ(old.subsets[0].not_ready.size(), 1U);
}

model::NetworkPolicy policy(const std::string& spec) {
  const Read result = read(
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: n}\nspec: " + spec + "\n");
  EXPECT_EQ(result.error, "") << spec;
  EXPECT_EQ(result.objects.policies.size(), 1U);
  return result.objects.policies.empty() ? model::NetworkPolicy()
                                         : std::get<model::NetworkPolicy>(result.objects.policies[0].spec);
}

TEST(ManifestReader, PolicyTypesDefaultToIngressAndToEgressOnlyWithEgressRules) {
  struct Case {
    const char* spec;
    bool ingress, egress;
  };
  for (const Case& c :
       {Case{"{podSelector: {}}", true, false}, Case{"{podSelector: {}, egress: []}", true, false},
        Case{"{podSelector: {}, egress: [{}]}", true, true}, Case{"{podSelector: {}, policyTypes: []}", true, false},
        Case{"{podSelector: {}, policyTypes: [Egress]}", false, true},
        Case{"{podSelector: {}, ingress: [{}], policyTypes: [Egress]}", false, true},
        Case{"{podSelector: {}, policyTypes: [Ingress, Egress]}", true, true}, Case{"null", true, false}}) {
    SCOPED_TRACE(c.spec);
    const model::NetworkPolicy p = policy(c.spec);
    EXPECT_EQ(p.applies_ingress, c.ingress);
    EXPECT_EQ(p.applies_egress, c.egress);
  }
}

TEST(ManifestReader, AbsentAndEmptySelectorsStayApart) {
  const model::NetworkPolicy p = policy(
      "{podSelector: null, ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}, podSelector: ~}, {}]}, {}]}");
  ASSERT_EQ(p.ingress.size(), 2U);
  const auto& peers = p.ingress[0].peers;
  ASSERT_EQ(peers.size(), 3U);
  EXPECT_TRUE(peers[0].pod_selector && !peers[0].namespace_selector);
  EXPECT_TRUE(!peers[1].pod_selector && peers[1].namespace_selector);
  EXPECT_TRUE(!peers[2].pod_selector && !peers[2].namespace_selector && !peers[2].ip_block);
  EXPECT_TRUE(p.ingress[1].peers.empty());
}

TEST(ManifestReader, ReadsPeersAndPorts) {
  const model::NetworkPolicy p = policy(R"({
    podSelector: {matchLabels: {app: "1"}, matchExpressions: [{key: tier, operator: NotIn, values: [a, b]}, {key: x, operator: Exists}]},
    ingress: [{from: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.1.0.0/16]}}],
               ports: [{port: 80}, {port: http, protocol: UDP}, {protocol: SCTP}, {port: 10, endPort: 20}]}]})");
  EXPECT_EQ(p.pod_selector.match_labels[0].second, "1");
  EXPECT_EQ(p.pod_selector.match_expressions[0].op, model::LabelSelector::Operator::kNotIn);
  EXPECT_EQ(p.pod_selector.match_expressions[0].values.size(), 2U);
  const auto& rule = p.ingress.at(0);
  EXPECT_EQ(rule.peers.at(0).ip_block->cidr.to_string(), "10.0.0.0/8");
  EXPECT_EQ(rule.peers.at(0).ip_block->except.size(), 1U);
  ASSERT_EQ(rule.ports.size(), 4U);
  EXPECT_EQ(rule.ports[0].port, 80);
  EXPECT_EQ(rule.ports[1].port_name, "http");
  EXPECT_EQ(rule.ports[1].protocol, model::kProtoUdp);
  EXPECT_TRUE(!rule.ports[2].port && rule.ports[2].port_name.empty());
  EXPECT_EQ(rule.ports[3].end_port, 20);
}

TEST(ManifestReader, ReadsListsDocumentsAndJsonAlike) {
  const std::string pod = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}})";
  const std::string pod_b = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}})";
  const std::string raw_list =
      R"({"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]})";
  const std::string list = R"({"apiVersion":"v1","kind":"List","items":[)" + pod + "," + pod_b + "]}";
  for (const std::string& text : {pod + "\n" + pod_b, list, raw_list, pod + pod_b}) {
    SCOPED_TRACE(text);
    const Read result = read(text, true);
    EXPECT_EQ(result.error, "");
    EXPECT_EQ(result.objects.pods.size(), 2U);
  }
  for (const std::string& text :
       {pod + "\n---\n" + pod_b, list, raw_list, "---\n---\n" + pod + "\n---\n# nothing\n---\n" + pod_b + "\n...\n"}) {
    SCOPED_TRACE(text);
    const Read result = read(text);
    EXPECT_EQ(result.error, "");
    EXPECT_EQ(result.objects.pods.size(), 2U);
  }
  EXPECT_EQ(read("").error, "");
  EXPECT_EQ(read("", true).error, "");
  EXPECT_EQ(read("# only a comment\n").error, "");
}

TEST(ManifestReader, AliasesStandForWhatTheyName) {
  const Read result = read(R"(
apiVersion: v1
kind: Pod
metadata: {name: a, labels: &l {app: web, copy: &v x}}
spec: {nodeName: *v}
---
apiVersion: v1
kind: Namespace
metadata: {name: b, labels: {k: &l2 y, m: *l2}}
)");
  ASSERT_EQ(result.error, "");
  EXPECT_EQ(result.objects.pods[0].node, "x");
  EXPECT_TRUE(result.objects.namespaces[0].info.labels.find("m") == "y");
}

TEST(ManifestReader, SkipsOtherKindsWithOneNoteEach) {
  const Read result = read(R"(
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
---
{apiVersion: crd.antrea.io/v1beta1, kind: ClusterNetworkPolicy, metadata: {name: b}}
)");
  ASSERT_EQ(result.error, "");
  EXPECT_EQ(result.notes.lines(),
            (std::vector<std::string>{"ClusterNetworkPolicy (crd.antrea.io/v1beta1): 1 object not evaluated yet: "
                                      "verdicts may differ from the cluster's",
                                      "ConfigMap (v1): 2 objects skipped"}));
}

TEST(ManifestReader, AMalformedObjectNamesPlaceFieldAndReason) {
  struct Case {
    const char* text;
    const char* want;
  };
  const Case cases[] = {
      {"---\n---\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{ports: "
       "[{containerPort: x}]}]}",
       "m.yaml: document 3 (Pod shop/web): spec.containers[0].ports[0].containerPort: 'x' is not a port number"},
      {"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIP: "
       "1.2.3}}]}",
       "m.yaml: document 1, item 1 (Pod a): status.podIP: '1.2.3' is not an IP address"},
      {"{apiVersion: v1, kind: Pod, metadata: {labels: {a.b/c: [x]}, name: p}}",
       "m.yaml: document 1 (Pod p): metadata.labels[a.b/c]: is not a string"},
      {"{apiVersion: v1, kind: Pod}", "m.yaml: document 1 (Pod): metadata.name: is missing"},
      {"{apiVersion: v1, kind: Pod, metadata: x}", "m.yaml: document 1 (Pod): metadata: is not an object"},
      {"{apiVersion: v1, metadata: {name: x}}", "m.yaml: document 1: kind: is missing"},
      {"{kind: Pod}", "m.yaml: document 1: apiVersion: is missing"},
      {"[1, 2]", "m.yaml: document 1: is not an object"},
      {"just text", "m.yaml: document 1: is not an object"},
      {"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {hostNetwork: 3}}",
       "m.yaml: document 1 (Pod a): spec.hostNetwork: '3' is not true or false"},
      {"{apiVersion: v1, kind: Pod, metadata: {name: a, creationTimestamp: yesterday}}",
       "m.yaml: document 1 (Pod a): metadata.creationTimestamp: 'yesterday' is not a time (RFC 3339)"},
      {"{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 70000}]}}",
       "m.yaml: document 1 (Service a): spec.ports[0].port: '70000' is not a port number"},
      {"{apiVersion: v1, kind: List, items: 3}", "m.yaml: document 1: items: is not a list"},
      {"a: 1\na: 2\n", "m.yaml: document 1, line 3: key 'a' is there twice"},
      {"a: [1\n", "m.yaml: document 1, line 2: did not find expected ',' or ']'"},
      {"a: *x\n", "m.yaml: document 1, line 1: alias '*x' without its anchor before it"},
      {"a: &x {b: *x}\n", "m.yaml: document 1, line 1: alias '*x' without its anchor before it"},
      {"a: &x {b: 1}\nc: {<<: *x}\n", "m.yaml: document 1, line 2: merge keys ('<<') are not supported"},
      {"{a: 1}: b\n", "m.yaml: document 1, line 1: a key that is not a string"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(read(c.text).error, c.want);
  }
  const std::string head = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {";
  const Case policies[] = {
      {"policyTypes: [ingress]", "policyTypes[0]: 'ingress' is not Ingress or Egress"},
      {"ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]",
       "ingress[0].from[0].ipBlock.cidr: '10.0.0.0/33' is not an IP address range (CIDR)"},
      {"ingress: [{from: [{ipBlock: {}}]}]", "ingress[0].from[0].ipBlock.cidr: is missing"},
      {"ingress: [{ports: [{port: 80, protocol: tcp}]}]",
       "ingress[0].ports[0].protocol: 'tcp' is not TCP, UDP or SCTP"},
      {"ingress: [{ports: [{port: '80'}]}]",
       "ingress[0].ports[0].port: '80' is a quoted number: a port number stands without quotes, and a port name has a "
       "letter"},
      {"ingress: [{ports: [{port: -1}]}]", "ingress[0].ports[0].port: '-1' is not a port number"},
      {"ingress: [{ports: [{port: http, endPort: 9}]}]", "ingress[0].ports[0].endPort: wants a numeric port"},
      {"podSelector: {matchExpressions: [{key: a, operator: Has}]}",
       "podSelector.matchExpressions[0].operator: 'Has' is not In, NotIn, Exists or DoesNotExist"},
      {"podSelector: {matchExpressions: [{key: a, operator: In}]}",
       "podSelector.matchExpressions[0].values: is empty, but In and NotIn want values"},
  };
  for (const Case& c : policies) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(read(head + c.text + "}}").error, std::string("m.yaml: document 1 (NetworkPolicy p): spec.") + c.want);
  }
}

TEST(ManifestReader, BombsAreErrorsNotCrashes) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string item = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) laughs += item + " , ";
    laughs += "]\n";
  }
  const auto repeat = [](const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  struct Case {
    const char* name;
    std::string text;
    const char* want;
  };
  const Case cases[] = {{"aliases", laughs, "aliases add more than 1000000 values"},
                        {"brackets", "a: " + repeat("[", 100'000), "nested deeper than 64 levels"},
                        {"braces", "a: " + repeat("{a: ", 100'000), "nested deeper than 64 levels"},
                        {"dashes", repeat("- ", 100'000), "nested deeper than 64 levels"},
                        {"questions", repeat("? ", 100'000), "a key that is not a string"},
                        {"JSON", repeat("[", 100'000), "nested deeper than 64 levels"},
                        {"long text", "a: " + repeat("0123456789abcdef", 500'000), "kind: is missing"}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_NE(read(c.text).error.find(c.want), std::string::npos) << read(c.text).error;
  }
  EXPECT_NE(read(repeat("[", 100'000), true).error, "");
  EXPECT_NE(read(R"({"a":)" + repeat("[", 60) + repeat("]", 60), true).error, "") << "truncated";
}

TEST(ManifestReader, ReadsFoldersInSortedOrder) {
  const fs::path folder = fs::temp_directory_path() / ("weir_manifest_test_" + std::to_string(::getpid()));
  fs::create_directories(folder / "sub");
  const auto write = [&](const char* name, const char* pod) {
    std::ofstream(folder / name) << R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" << pod << R"("}})";
  };
  write("b.yaml", "b");
  write("a.json", "a");
  write("sub/c.yml", "c");
  std::ofstream(folder / "readme.md") << "not a manifest";
  const std::vector<std::string> paths = {folder.string()};
  const auto objects = load_manifests(paths, nullptr);
  fs::remove_all(folder);
  ASSERT_TRUE(objects.ok()) << objects.error().message;
  std::string names;
  for (const Pod& pod : objects.value().pods) names += pod.meta.name;
  EXPECT_EQ(names, "abc");
}

TEST(ManifestReader, AMissingFileIsAnError) {
  const std::vector<std::string> paths = {"/nonexistent/x.yaml"};
  const auto objects = load_manifests(paths, nullptr);
  ASSERT_FALSE(objects.ok());
  EXPECT_NE(objects.error().message.find("/nonexistent/x.yaml"), std::string::npos) << objects.error().message;
}

TEST(ManifestReader, LoadsTheManifestsOfEveryPolicyCase) {
  WEIR_REQUIRE_SHARED_DATA(data);
  int cases = 0;
  ManifestNotes notes;
  std::size_t pods = 0, policies = 0;
  for (const auto& entry : fs::directory_iterator(data / "policy" / "verdict")) {
    const std::vector<std::string> paths = {(entry.path() / "manifests.yaml").string()};
    const auto objects = load_manifests(paths, &notes);
    EXPECT_TRUE(objects.ok()) << objects.error().message;
    if (!objects.ok()) continue;
    ++cases;
    pods += objects.value().pods.size();
    policies += objects.value().policies.size();
  }
  EXPECT_GE(cases, 369);
  EXPECT_GE(pods, 4504U);
  EXPECT_GT(policies, 500U);
  EXPECT_EQ(notes.lines(), std::vector<std::string>()) << "every kind of theirs is known, and nothing is odd";
}

}  // namespace
}  // namespace weir::cluster
