#include "cluster/ledger.h"

#include <gtest/gtest.h>

#include "cluster/manifest_reader.h"
#include "model/connection.h"

namespace weir::cluster {
namespace {

using model::Endpoint;
using model::EndpointType;

constexpr std::int64_t kSecond = 1'000'000'000;

IpAddress ip(std::string_view text) {
  auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? parsed.value() : IpAddress();
}

/// 2026-01-01T00:00:00Z and so many seconds.
std::int64_t at(std::int64_t seconds) { return (1767225600 + seconds) * kSecond; }

ClusterObjects objects_of(std::string_view yaml) {
  ClusterObjects objects;
  ManifestNotes notes;
  const Status status = read_manifest_text("test", yaml, false, objects, notes);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return objects;
}

std::string name_of(const Endpoint* endpoint) {
  if (endpoint == nullptr) return "none";
  if (endpoint->type == EndpointType::kNet) return endpoint->group->name_aggr;
  return std::string(to_string(endpoint->type)) + " " + endpoint->namespace_name + "/" + endpoint->name;
}

std::string service_of(const model::ServiceRef* ref) {
  if (ref == nullptr) return "none";
  return ref->namespace_name + "/" + ref->name + ":" + ref->port_name + ":" + std::to_string(ref->port);
}

// ---- semantics 1.3, acceptance group C

constexpr std::string_view kSets = R"(
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: job, namespace: batch}, status: {podIP: 10.0.0.2}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: pods, labels: {zone: any}}, spec: {nets: [10.0.0.0/24]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: wide}, spec: {nets: [198.51.100.0/24, "2001:db8::/32"]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: narrow}, spec: {nets: [198.51.100.0/28]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: also-narrow}, spec: {nets: [198.51.100.0/28]}}
---
{apiVersion: crd.projectcalico.org/v1, kind: NetworkSet, metadata: {name: partners, namespace: shop}, spec: {nets: [198.51.0.0/16]}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: feeds, namespace: batch}, spec: {nets: [203.0.113.7]}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: feeds, namespace: alpha}, spec: {nets: [203.0.113.0/24]}}
)";

TEST(NetworkSets, C1_AnEndpointBeatsANetworkSet) {
  const Ledger ledger(objects_of(kSets));
  EXPECT_EQ(name_of(ledger.resolve(ip("10.0.0.1"), "shop", 0)), "wep shop/web");
  EXPECT_EQ(name_of(ledger.resolve(ip("10.0.0.9"), "", 0)), "ns -/pods");
}

TEST(NetworkSets, C2_TheNarrowestPrefixOfAClassWinsThenTheLowestName) {
  const Ledger ledger(objects_of(kSets));
  EXPECT_EQ(name_of(ledger.resolve(ip("198.51.100.1"), "", 0)), "ns -/also-narrow");
  EXPECT_EQ(name_of(ledger.resolve(ip("198.51.100.99"), "", 0)), "ns -/wide");
  EXPECT_EQ(name_of(ledger.resolve(ip("203.0.113.7"), "", 0)), "ns batch/feeds");
  EXPECT_EQ(name_of(ledger.resolve(ip("203.0.113.8"), "", 0)), "ns alpha/feeds");
}

TEST(NetworkSets, C3_ThePeersNamespaceBeatsGlobalBeatsOtherNamespaces) {
  const Ledger ledger(objects_of(kSets));
  EXPECT_EQ(name_of(ledger.resolve(ip("198.51.100.1"), "shop", 0)), "ns shop/partners") << "although wider";
  EXPECT_EQ(name_of(ledger.resolve(ip("198.51.100.1"), "batch", 0)), "ns -/also-narrow");
  EXPECT_EQ(name_of(ledger.resolve(ip("198.51.7.7"), "batch", 0)), "ns shop/partners");
  EXPECT_EQ(name_of(ledger.resolve(ip("203.0.113.7"), "alpha", 0)), "ns alpha/feeds") << "although wider";
}

TEST(NetworkSets, C4_SwitchedOffThereAreNone) {
  LedgerOptions options;
  options.network_sets = false;
  const Ledger ledger(objects_of(kSets), options);
  EXPECT_EQ(name_of(ledger.resolve(ip("198.51.100.1"), "shop", 0)), "pub");
  EXPECT_EQ(name_of(ledger.resolve(ip("10.0.0.9"), "", 0)), "pvt");
}

TEST(NetworkSets, C5_WithoutAContextNamespaceTheGlobalSetWins) {
  const Ledger ledger(objects_of(kSets));
  EXPECT_EQ(name_of(ledger.resolve(ip("198.51.100.200"), "", 0)), "ns -/wide");
}

TEST(NetworkSets, C6_EachEndIsLookedUpInTheNamespaceOfTheOther) {
  const Ledger ledger(objects_of(kSets));
  EXPECT_EQ(name_of(ledger.resolve_ends(ip("198.51.100.1"), ip("10.0.0.1"), 0).source), "ns shop/partners");
  EXPECT_EQ(name_of(ledger.resolve_ends(ip("10.0.0.1"), ip("198.51.100.1"), 0).dest), "ns shop/partners");
  EXPECT_EQ(name_of(ledger.resolve_ends(ip("10.0.0.2"), ip("198.51.100.1"), 0).dest), "ns -/also-narrow");
}

TEST(NetworkSets, C7_AnUnknownAddressIsInNone) {
  const Ledger ledger(objects_of(kSets));
  EXPECT_EQ(name_of(ledger.resolve(ip("8.8.8.8"), "shop", 0)), "pub");
  EXPECT_EQ(name_of(ledger.resolve(ip("192.168.0.1"), "shop", 0)), "pvt");
  EXPECT_EQ(name_of(ledger.resolve(ip("2001:db9::1"), "shop", 0)), "pub");
  EXPECT_EQ(name_of(ledger.resolve(ip("2001:db8::1"), "shop", 0)), "ns -/wide");
}

TEST(NetworkSets, C8_OnlyAPodGivesANamespaceToTheOtherEnd) {
  const Ledger ledger(objects_of(kSets));
  // batch/feeds at one end does not make "batch" the context of the other.
  const Ledger::Ends ends = ledger.resolve_ends(ip("203.0.113.7"), ip("198.51.100.1"), 0);
  EXPECT_EQ(name_of(ends.source), "ns batch/feeds");
  EXPECT_EQ(name_of(ends.dest), "ns -/also-narrow");
}

TEST(NetworkSets, ShowTheirLabelsAndNames) {
  const Ledger ledger(objects_of(kSets));
  const Endpoint* set = ledger.resolve(ip("10.0.0.9"), "", 0);
  EXPECT_EQ(set->labels->pairs, (std::vector<std::string>{"zone=any"}));
  EXPECT_EQ(set->group->name_aggr, "pods");
  EXPECT_EQ(set->namespace_name, "-");
  EXPECT_EQ(ledger.resolve(ip("198.51.7.7"), "", 0)->namespace_name, "shop");
}

TEST(NetworkSets, TheWholeOfOneFamilySaysNothingOfTheOther) {
  const Ledger four(objects_of(
      "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: s}, spec: {nets: [0.0.0.0/0]}}"));
  EXPECT_EQ(name_of(four.resolve(ip("8.8.8.8"), "", 0)), "ns -/s");
  EXPECT_EQ(name_of(four.resolve(ip("2001:db8::1"), "", 0)), "pub");
  const Ledger six(objects_of(
      "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: s}, spec: {nets: ['::/0']}}"));
  EXPECT_EQ(name_of(six.resolve(ip("8.8.8.8"), "", 0)), "pub");
  EXPECT_EQ(name_of(six.resolve(ip("2001:db8::1"), "", 0)), "ns -/s");
}

// ---- plain addresses

TEST(Ledger, PrivateNetworksAreConfigurable) {
  const Ledger ledger(ClusterObjects{});
  for (const char* text : {"10.1.1.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "127.0.0.1", "::1",
                           "fe80::1", "fd00::1"}) {
    EXPECT_EQ(name_of(ledger.resolve(ip(text), "", 0)), "pvt") << text;
  }
  for (const char* text : {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::"}) {
    EXPECT_EQ(name_of(ledger.resolve(ip(text), "", 0)), "pub") << text;
  }
  const Endpoint* pub = ledger.resolve(ip("8.8.8.8"), "", 0);
  EXPECT_EQ(pub, ledger.resolve(ip("9.9.9.9"), "", 0)) << "one endpoint for all";
  EXPECT_EQ(pub->name, "-");
  EXPECT_TRUE(pub->labels->pairs.empty());

  LedgerOptions options;
  options.private_networks = {IpPrefix::parse("8.0.0.0/8").value()};
  const Ledger other(ClusterObjects{}, options);
  EXPECT_EQ(name_of(other.resolve(ip("8.8.8.8"), "", 0)), "pvt");
  EXPECT_EQ(name_of(other.resolve(ip("10.1.1.1"), "", 0)), "pub");
}

// ---- who had an address when

std::string pod_yaml(const std::string& name, const std::string& metadata, const std::string& status,
                     const std::string& spec = "") {
  return "{apiVersion: v1, kind: Pod, metadata: {name: " + name + (metadata.empty() ? "" : ", " + metadata) +
         "}, spec: {" + spec + "}, status: {" + status + "}}\n---\n";
}

TEST(Ledger, AReusedAddressNeverRenamesAnEarlierFlow) {
  // In the order of a listing, not of time.
  const Ledger ledger(objects_of(
      pod_yaml("c", "creationTimestamp: 2026-01-01T00:05:00Z", "podIP: 10.0.0.1") +
      pod_yaml("a", "", "podIP: 10.0.0.1, startTime: 2026-01-01T00:01:00Z") +
      pod_yaml("b", "creationTimestamp: 2026-01-01T00:00:00Z",
               "podIP: 10.0.0.1, startTime: 2026-01-01T00:03:00Z, phase: Succeeded, containerStatuses: [{state: "
               "{terminated: {finishedAt: 2026-01-01T00:04:00Z}}}]")));
  struct Case {
    std::int64_t seconds;
    const char* want;
  };
  for (const Case& c : {Case{59, "pvt"}, Case{60, "wep default/a"}, Case{179, "wep default/a"},
                        Case{180, "wep default/b"}, Case{240, "wep default/b"}, Case{241, "pvt"}, Case{299, "pvt"},
                        Case{300, "wep default/c"}, Case{1'000'000, "wep default/c"}}) {
    EXPECT_EQ(name_of(ledger.resolve(ip("10.0.0.1"), "", at(c.seconds))), c.want) << c.seconds;
  }
}

TEST(Ledger, AFinishedPodLosesItsAddress) {
  const std::string finished =
      "phase: Failed, containerStatuses: [{state: {terminated: {finishedAt: "
      "2026-01-01T00:01:00Z}}}, {state: {terminated: {finishedAt: 2026-01-01T00:02:00Z}}}]";
  const Ledger ledger(objects_of(pod_yaml("known", "", "podIP: 10.0.0.1, " + finished) +
                                 pod_yaml("unknown", "", "podIP: 10.0.0.2, phase: Succeeded")));
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), at(120))), "wep default/known") << "its last container's end";
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), at(121))), "none");
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.2"), at(0))), "none") << "nobody knows when it ended";
  EXPECT_EQ(ledger.pods().size(), 2U);
}

TEST(Ledger, ADeletedPodKeepsItsAddressTenSecondsLonger) {
  const Ledger ledger(objects_of(pod_yaml("a", "deletionTimestamp: 2026-01-01T00:01:00Z", "podIP: 10.0.0.1")));
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), at(69))), "wep default/a");
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), at(70))), "none");
}

TEST(Ledger, PodsWithoutTimesOwnTheirAddressesAlways) {
  const Ledger ledger(objects_of(pod_yaml("a", "", "podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]")));
  for (const std::int64_t time : {std::int64_t{0}, at(0)}) {
    EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), time)), "wep default/a");
    EXPECT_EQ(name_of(ledger.endpoint_at(ip("fd00::1"), time)), "wep default/a");
  }
}

TEST(Ledger, AHostNetworkedPodOwnsNoAddress) {
  const std::string yaml = pod_yaml("agent", "", "podIP: 192.168.0.1", "hostNetwork: true, nodeName: node-1") +
                           "{apiVersion: v1, kind: Node, metadata: {name: node-1, labels: {zone: a}}, status: "
                           "{addresses: [{type: InternalIP, address: 192.168.0.1}]}}\n";
  const Ledger ledger(objects_of(yaml));
  EXPECT_EQ(name_of(ledger.resolve(ip("192.168.0.1"), "", 0)), "pvt");
  ASSERT_EQ(ledger.pods().size(), 1U);
  EXPECT_TRUE(ledger.pods()[0]->host_network);

  LedgerOptions options;
  options.host_endpoints = true;
  const Ledger hosts(objects_of(yaml), options);
  const Endpoint* host = hosts.resolve(ip("192.168.0.1"), "", 0);
  EXPECT_EQ(name_of(host), "hep -/node-1");
  EXPECT_EQ(host->group->name_aggr, "node-1");
  EXPECT_EQ(host->labels->pairs, (std::vector<std::string>{"zone=a"}));
  EXPECT_TRUE(hosts.is_local(*host));
}

TEST(Ledger, OfOneObjectReadTwiceTheLaterCounts) {
  const Ledger ledger(objects_of(pod_yaml("a", "uid: 1, labels: {v: old}", "podIP: 10.0.0.1") +
                                 pod_yaml("a", "uid: 1, labels: {v: new}", "podIP: 10.0.0.2")));
  ASSERT_EQ(ledger.pods().size(), 1U);
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), 0)), "none");
  EXPECT_EQ(ledger.endpoint_at(ip("10.0.0.2"), 0)->labels->pairs[0], "v=new");
}

TEST(Ledger, APodMadeAnewUnderItsNameEndsTheOldOne) {
  const std::string young = pod_yaml("db-0", "uid: 2", "podIP: 10.0.0.2, startTime: 2026-01-01T00:02:00Z");
  const std::string old = pod_yaml("db-0", "uid: 1", "podIP: 10.0.0.1, startTime: 2026-01-01T00:01:00Z");
  const Ledger ledger(objects_of(old + young));
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), at(119))), "wep default/db-0");
  EXPECT_EQ(name_of(ledger.endpoint_at(ip("10.0.0.1"), at(120))), "none");
  EXPECT_EQ(ledger.pod_named("default", "db-0"), ledger.endpoint_at(ip("10.0.0.2"), at(120)));
  const Ledger reversed(objects_of(young + old));
  EXPECT_EQ(reversed.pod_named("default", "db-0"), reversed.endpoint_at(ip("10.0.0.2"), at(120)));
}

// ---- names and workloads (semantics 1.4)

TEST(Ledger, NamesAndWorkloadsFollowTheOwnerChain) {
  struct Case {
    const char* name;
    const char* metadata;
    const char* objects;
    const char* want_aggr;
    const char* want_workload;
    const char* want_kind;
  };
  const Case cases[] = {
      {"bare", "", "", "bare", "bare", "Pod"},
      {"web-5d9-abcde",
       "generateName: web-5d9-, ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]",
       "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-5d9, ownerReferences: [{kind: Deployment, name: "
       "web, controller: true}]}}",
       "web-5d9-*", "web", "Deployment"},
      {"web-5d9-abcde",
       "generateName: web-5d9-, labels: {pod-template-hash: 5d9}, ownerReferences: [{kind: ReplicaSet, name: web-5d9, "
       "controller: true}]",
       "", "web-5d9-*", "web", "Deployment"},
      {"web-5d9-abcde",
       "labels: {pod-template-hash: 5d9}, ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]", "",
       "web-5d9-abcde", "web", "Deployment"},
      {"rs-abcde", "ownerReferences: [{kind: ReplicaSet, name: rs, controller: true}]",
       "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: rs}}", "rs-abcde", "rs", "ReplicaSet"},
      {"roll-77-x", "ownerReferences: [{kind: ReplicaSet, name: roll-77, controller: true}]",
       "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: roll-77, ownerReferences: [{kind: Rollout, name: "
       "roll, "
       "controller: true}]}}",
       "roll-77-x", "roll", "Rollout"},
      {"backup-28-x", "generateName: backup-28-, ownerReferences: [{kind: Job, name: backup-28, controller: true}]",
       "{apiVersion: batch/v1, kind: Job, metadata: {name: backup-28, ownerReferences: [{kind: CronJob, name: backup, "
       "controller: true}]}}",
       "backup-28-*", "backup", "CronJob"},
      {"once-x", "ownerReferences: [{kind: Job, name: once-28, controller: true}]", "", "once-x", "once-28", "Job"},
      {"db-0", "ownerReferences: [{kind: StatefulSet, name: db, controller: true}]", "", "db-0", "db", "StatefulSet"},
      {"ds-x", "generateName: ds-, ownerReferences: [{kind: DaemonSet, name: ds, controller: true}]", "", "ds-*", "ds",
       "DaemonSet"},
      {"etcd-node-1", "ownerReferences: [{kind: Node, name: node-1, controller: true}]", "", "etcd-node-1", "etcd",
       "Pod"},
      {"kept", "ownerReferences: [{kind: ConfigMap, name: c}]", "", "kept", "kept", "Pod"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.name) + " " + c.metadata);
    const Ledger ledger(objects_of(pod_yaml(c.name, c.metadata, "podIP: 10.0.0.1") + c.objects));
    const Endpoint* pod = ledger.endpoint_at(ip("10.0.0.1"), 0);
    ASSERT_NE(pod, nullptr);
    EXPECT_EQ(pod->name, c.name);
    EXPECT_EQ(pod->group->name_aggr, c.want_aggr);
    EXPECT_EQ(pod->group->workload, c.want_workload);
    EXPECT_EQ(pod->group->workload_kind, c.want_kind);
    EXPECT_EQ(pod->group->namespace_name, "default");
  }
}

TEST(Ledger, EqualGroupsAndLabelsHaveEqualPointers) {
  const std::string metadata = "generateName: web-, labels: {app: web}";
  const Ledger ledger(objects_of(pod_yaml("web-1", metadata, "podIP: 10.0.0.1") +
                                 pod_yaml("web-2", metadata, "podIP: 10.0.0.2") +
                                 pod_yaml("web-3", metadata + ", namespace: other", "podIP: 10.0.0.3")));
  const auto pods = ledger.pods();
  ASSERT_EQ(pods.size(), 3U);
  EXPECT_EQ(pods[0]->labels, pods[1]->labels);
  EXPECT_EQ(pods[0]->labels, pods[2]->labels);
  EXPECT_NE(pods[0]->group, pods[1]->group) << "a bare pod is a workload of its own";
  for (std::size_t i = 0; i < pods.size(); ++i) EXPECT_EQ(pods[i]->pod_index, static_cast<std::int32_t>(i));

  const std::string owned = "generateName: ds-, ownerReferences: [{kind: DaemonSet, name: ds, controller: true}]";
  const Ledger daemons(objects_of(pod_yaml("ds-1", owned, "") + pod_yaml("ds-2", owned, "")));
  EXPECT_EQ(daemons.pods()[0]->group, daemons.pods()[1]->group);
}

TEST(Ledger, LocalPodsAreThoseOfTheNode) {
  const std::string yaml = pod_yaml("a", "", "podIP: 10.0.0.1", "nodeName: node-1") +
                           pod_yaml("b", "", "podIP: 10.0.0.2", "nodeName: node-2");
  LedgerOptions options;
  options.node = "node-1";
  const Ledger one(objects_of(yaml), options);
  EXPECT_TRUE(one.is_local(*one.pods()[0]));
  EXPECT_FALSE(one.is_local(*one.pods()[1]));
  const Ledger all(objects_of(yaml));
  EXPECT_TRUE(all.is_local(*all.pods()[1]));
  EXPECT_FALSE(all.is_local(*all.resolve(ip("8.8.8.8"), "", 0)));
}

TEST(Ledger, GivesThePolicyEngineWhatItNeeds) {
  const Ledger ledger(
      objects_of(pod_yaml("a", "namespace: implied", "podIP: 10.0.0.1", "serviceAccountName: robot") + R"(
{apiVersion: v1, kind: Namespace, metadata: {name: known, labels: {team: x}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: b, namespace: known}, spec: {podSelector: {}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: known}, spec: {podSelector: {}}}
)"));
  ASSERT_EQ(ledger.namespaces().size(), 2U);
  EXPECT_EQ(ledger.namespaces()[0].labels.pairs, (std::vector<std::string>{"kubernetes.io/metadata.name=implied"}));
  EXPECT_TRUE(ledger.namespaces()[1].labels.has("team"));
  ASSERT_EQ(ledger.network_policies().size(), 2U);
  EXPECT_EQ(ledger.network_policies()[0]->name, "a");
  EXPECT_EQ(ledger.pods()[0]->service_account, "robot");
  EXPECT_EQ(ledger.pod_named("implied", "a"), ledger.pods()[0]);
  EXPECT_EQ(ledger.pod_named("implied", "b"), nullptr);
}

// ---- services (semantics 1.5)

constexpr std::string_view kServices = R"(
apiVersion: v1
kind: Node
metadata: {name: node-1, annotations: {projectcalico.org/IPv4IPIPTunnelAddr: 10.9.0.1}}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, "fd01::1"]
  externalIPs: [203.0.113.1]
  ports: [{name: http, port: 80, nodePort: 30080}, {name: dns, port: 80, protocol: UDP}, {port: 81}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.2}]}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.96.0.2, externalIPs: [203.0.113.1], ports: [{name: rest, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: young, namespace: other, creationTimestamp: 2026-01-01T00:01:00Z}
spec: {clusterIP: 10.96.0.3, externalIPs: [203.0.113.1], ports: [{name: rest, port: 80}]}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None, ports: [{name: pg, port: 5432}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: old, namespace: shop}, spec: {clusterIP: None, ports: [{name: x, port: 1}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
endpoints: [{addresses: [10.0.0.5]}]
ports: [{name: pg, port: 15432}]
---
{apiVersion: v1, kind: Endpoints, metadata: {name: db, namespace: shop}, subsets: [{addresses: [{ip: 10.0.0.6}], ports: [{name: pg, port: 15432}]}]}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: old, namespace: shop}, subsets: [{addresses: [{ip: 10.0.0.7}], ports: [{port: 7}]}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
endpoints: [{addresses: [10.0.0.8]}]
ports: [{name: http, port: 8080}]
)";

TEST(Ledger, ServicesAreFoundByTheAddressThatTheClientUsed) {
  const Ledger ledger(objects_of(kServices));
  struct Case {
    const char* name;
    const char* ip;
    std::uint16_t port;
    std::uint8_t protocol;
    const char* want;
  };
  const Case cases[] = {
      {"cluster IP", "10.96.0.1", 80, model::kProtoTcp, "shop/web:http:80"},
      {"cluster IP of the other family", "fd01::1", 80, model::kProtoTcp, "shop/web:http:80"},
      {"protocol counts", "10.96.0.1", 80, model::kProtoUdp, "shop/web:dns:80"},
      {"unnamed port", "10.96.0.1", 81, model::kProtoTcp, "shop/web:-:81"},
      {"other port", "10.96.0.1", 82, model::kProtoTcp, "none"},
      {"load balancer", "203.0.113.2", 80, model::kProtoTcp, "shop/web:http:80"},
      {"two services share an external IP", "203.0.113.1", 80, model::kProtoTcp, "shop/*:*:80"},
      {"node port", "192.168.0.1", 30080, model::kProtoTcp, "shop/web:http:30080"},
      {"node port by tunnel address", "10.9.0.1", 30080, model::kProtoTcp, "shop/web:http:30080"},
      {"node port elsewhere", "192.168.0.2", 30080, model::kProtoTcp, "none"},
      {"headless", "10.0.0.5", 15432, model::kProtoTcp, "shop/db:pg:15432"},
      {"slices beat the Endpoints object", "10.0.0.6", 15432, model::kProtoTcp, "none"},
      {"Endpoints object alone", "10.0.0.7", 7, model::kProtoTcp, "shop/old:-:7"},
      {"a backend is not addressed by its service", "10.0.0.8", 8080, model::kProtoTcp, "none"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(service_of(ledger.service_at(ip(c.ip), c.port, c.protocol, at(0))), c.want) << c.name;
  }
  EXPECT_EQ(service_of(ledger.service_at(ip("203.0.113.1"), 80, model::kProtoTcp, at(60))), "*/*:*:80")
      << "a service counts from its creation";
  EXPECT_EQ(service_of(ledger.service_at(ip("10.96.0.3"), 80, model::kProtoTcp, at(59))), "none");
  EXPECT_TRUE(ledger.is_node_address(ip("10.9.0.1")));
  EXPECT_FALSE(ledger.is_node_address(ip("10.0.0.5")));
}

}  // namespace
}  // namespace weir::cluster
