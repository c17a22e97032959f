#include <gtest/gtest.h>

#include "cluster/ledger.h"
#include "cluster/manifest_reader.h"
#include "model/connection.h"

namespace weir::cluster {
namespace {

using model::Endpoint;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kMsNs = 1'000'000;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

/// 2026-01-01T00:00:00Z and so many milliseconds.
std::int64_t at_ms(std::int64_t ms) { return 1767225600 * kSecondNs + ms * kMsNs; }

/// The objects of a manifest as changes.
std::vector<ObjectChange> changes(std::string_view yaml, std::int64_t time_ns, bool live = true,
                                  ObjectChange::Action action = ObjectChange::Action::kPut) {
  ClusterObjects objects;
  ManifestNotes notes;
  const Status status = read_manifest_text("test", yaml, false, objects, notes);
  EXPECT_TRUE(status.ok()) << status.error().message;
  std::vector<ObjectChange> list;
  for (ClusterObject& object : flatten(std::move(objects))) list.push_back({action, live, time_ns, std::move(object)});
  return list;
}

/// A ledger, and one line for each thing that tests do to it.
class LiveLedger : public testing::Test {
 protected:
  bool put(std::string_view yaml, std::int64_t ms, bool live = true) { return apply(changes(yaml, at_ms(ms), live)); }
  bool remove(std::string_view yaml, std::int64_t ms, bool live = true) {
    return apply(changes(yaml, at_ms(ms), live, ObjectChange::Action::kDelete));
  }
  bool apply(const std::vector<ObjectChange>& list) {
    bool changed = false;
    for (const ObjectChange& change : list) changed |= ledger_.apply(change);
    return changed;
  }
  const Endpoint* owner(const char* address, std::int64_t ms) { return ledger_.endpoint_at(ip(address), at_ms(ms)); }
  std::string owner_name(const char* address, std::int64_t ms) { return name(owner(address, ms)); }
  std::string since_name(const char* address, std::int64_t since_ms, std::int64_t ms) {
    return name(ledger_.owner_since(ip(address), at_ms(since_ms), at_ms(ms)));
  }
  std::string service(const char* address, std::uint16_t port, std::int64_t ms) {
    const model::ServiceRef* ref = ledger_.service_at(ip(address), port, model::kProtoTcp, at_ms(ms));
    return ref == nullptr ? "none" : ref->namespace_name + "/" + ref->name + ":" + ref->port_name;
  }
  std::string backends(const char* address, std::uint16_t port, std::int64_t ms) {
    std::vector<Ledger::Backend> found;
    ledger_.backends(ip(address), port, model::kProtoTcp, at_ms(ms), found);
    std::string text;
    for (const Ledger::Backend& backend : found) {
      text += name(backend.endpoint) + " " + backend.ip.to_string() + ":" + std::to_string(backend.port) + "; ";
    }
    return text;
  }
  static std::string name(const Endpoint* endpoint) { return endpoint == nullptr ? "none" : endpoint->name; }

  Ledger ledger_{ClusterObjects{}};
};

std::string pod(const std::string& name, const std::string& uid, const std::string& created_second,
                const std::string& status, const std::string& metadata = "") {
  return "{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", uid: " + uid +
         ", creationTimestamp: '2026-01-01T00:00:" + created_second + "Z'" + (metadata.empty() ? "" : ", " + metadata) +
         "}, status: {" + status + "}}\n---\n";
}

// ---- pods

TEST_F(LiveLedger, AChangeCountsFromThenOnAndPointersStay) {
  put(pod("a", "1", "00", "podIP: 10.0.0.1", "labels: {v: x}"), 30'000);
  const Endpoint* before = owner("10.0.0.1", 30'000);
  ASSERT_NE(before, nullptr);
  EXPECT_FALSE(put(pod("a", "1", "00", "podIP: 10.0.0.1", "labels: {v: x}"), 35'000)) << "put again as it was";
  EXPECT_TRUE(put(pod("a", "1", "00", "podIP: 10.0.0.1", "labels: {v: y}"), 40'000));
  EXPECT_EQ(owner("10.0.0.1", 39'999), before);
  const Endpoint* after = owner("10.0.0.1", 40'000);
  ASSERT_NE(after, nullptr);
  EXPECT_NE(after, before);
  EXPECT_EQ(after->group, before->group);
  EXPECT_EQ(after->pod_index, 1);
  EXPECT_EQ(before->labels->pairs[0], "v=x");

  put(pod("a", "1", "00", "podIP: 10.0.0.1, phase: Failed", "labels: {v: y}"), 45'000);
  EXPECT_EQ(owner("10.0.0.1", 44'999), after);
  EXPECT_EQ(owner("10.0.0.1", 45'000), nullptr) << "it ended unseen";
}

TEST_F(LiveLedger, ADeletedPodKeepsItsAddressForTheGrace) {
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  remove(pod("a", "1", "00", ""), 20'000);
  EXPECT_EQ(owner_name("10.0.0.1", 29'999), "a");
  EXPECT_EQ(owner_name("10.0.0.1", 30'000), "none");
  EXPECT_EQ(ledger_.pod_named("default", "a"), nullptr);
  EXPECT_FALSE(remove(pod("never", "9", "00", ""), 21'000));
}

TEST_F(LiveLedger, AYoungerPodTakesOverAtItsStartWithinTheGrace) {
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  remove(pod("a", "1", "00", ""), 20'300);
  // Created in the second in which the other went, its time rounded down to before that.
  put(pod("b", "2", "20", ""), 20'600);
  put(pod("b", "2", "20", "podIP: 10.0.0.1, startTime: '2026-01-01T00:00:20Z'"), 21'900);
  EXPECT_EQ(owner_name("10.0.0.1", 20'299), "a");
  EXPECT_EQ(owner_name("10.0.0.1", 20'599), "a") << "nobody else was there yet";
  EXPECT_EQ(owner_name("10.0.0.1", 20'600), "b");
  EXPECT_EQ(owner_name("10.0.0.1", 40'000), "b");
}

TEST_F(LiveLedger, ASuccessorHasNoAddressBeforeWeSawItGivenUp) {
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  put(pod("b", "2", "10", ""), 10'100);
  remove(pod("a", "1", "00", ""), 15'500);
  put(pod("b", "2", "10", "podIP: 10.0.0.1, startTime: '2026-01-01T00:00:10Z'"), 17'000);
  EXPECT_EQ(owner_name("10.0.0.1", 15'499), "a");
  EXPECT_EQ(owner_name("10.0.0.1", 15'500), "b");
}

TEST_F(LiveLedger, ADeletionFoundByAListingBoundsNobody) {
  // Both happened while we were cut off; when the first went is not known.
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  remove(pod("a", "1", "00", ""), 50'000, false);
  put(pod("a", "2", "20", "podIP: 10.0.0.1"), 50'000, false);
  ASSERT_NE(owner("10.0.0.1", 20'000), nullptr);
  EXPECT_EQ(owner("10.0.0.1", 20'000), ledger_.pod_named("default", "a"));
  EXPECT_NE(owner("10.0.0.1", 19'999), owner("10.0.0.1", 20'000));
}

TEST_F(LiveLedger, WhatAListingFindsCountsFromItsOwnTime) {
  put(pod("a", "1", "10", "podIP: 10.0.0.1"), 10'900, false);
  EXPECT_EQ(owner_name("10.0.0.1", 10'000), "a");
  put(pod("b", "2", "30", "podIP: 10.0.0.2"), 20'000, false);
  EXPECT_EQ(owner_name("10.0.0.2", 20'000), "b") << "it is there, whatever the API server's clock says";
}

TEST_F(LiveLedger, DeletingAnEarlierPodOfTheNameDoesNotTouchTheLater) {
  put(pod("db-0", "1", "00", "podIP: 10.0.0.1"), 500);
  put(pod("db-0", "2", "10", "podIP: 10.0.0.2"), 10'500);
  EXPECT_FALSE(remove(pod("db-0", "1", "00", ""), 11'000));
  EXPECT_EQ(owner_name("10.0.0.2", 60'000), "db-0");
  EXPECT_EQ(owner_name("10.0.0.1", 60'000), "none");
}

TEST_F(LiveLedger, TheWatchersOrderOfDeathAndBirthDoesNotMatter) {
  // The successor is announced before the deletion of the pod whose address it has.
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  put(pod("b", "2", "10", ""), 10'200);
  put(pod("b", "2", "10", "podIP: 10.0.0.1"), 11'000);
  remove(pod("a", "1", "00", ""), 12'000);
  EXPECT_EQ(owner_name("10.0.0.1", 10'199), "a");
  EXPECT_EQ(owner_name("10.0.0.1", 10'200), "b");
  EXPECT_EQ(owner_name("10.0.0.1", 13'000), "b");
}

// ---- who has the interface

TEST_F(LiveLedger, AnInterfaceBelongsToTheYoungestPodThatWasThereWhenItCame) {
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  put(pod("b", "2", "20", ""), 20'600);
  put(pod("b", "2", "20", "podIP: 10.0.0.1", "labels: {v: x}"), 21'900);
  remove(pod("a", "1", "00", ""), 25'000);
  EXPECT_EQ(since_name("10.0.0.1", 900, 30'000), "a") << "its interface still speaks, whoever has the address now";
  EXPECT_EQ(since_name("10.0.0.1", 20'700, 20'000), "b") << "whatever the time";
  EXPECT_EQ(since_name("10.0.0.1", 90'000, 90'000), "b");
  EXPECT_EQ(ledger_.owner_since(ip("10.0.0.1"), 0, at_ms(1'000)), owner("10.0.0.1", 1'000)) << "like endpoint_at()";
  EXPECT_EQ(since_name("10.0.0.9", 900, 900), "none");

  put(pod("b", "2", "20", "podIP: 10.0.0.1", "labels: {v: y}"), 40'000);
  const auto label = [&](std::int64_t ms) {
    return ledger_.owner_since(ip("10.0.0.1"), at_ms(20'700), at_ms(ms))->labels->pairs[0];
  };
  EXPECT_EQ(label(39'999), "v=x") << "as it was at the time";
  EXPECT_EQ(label(40'000), "v=y");
}

TEST_F(LiveLedger, AnInterfaceOlderThanAllItsClaimantsIsNobodys) {
  put(pod("b", "2", "20", "podIP: 10.0.0.1"), 20'600);
  EXPECT_EQ(since_name("10.0.0.1", 5'000, 21'000), "none");
}

TEST_F(LiveLedger, AnInterfaceOfTheSecondInWhichAPodCameIsItsOwnUnlessAnotherBeganThen) {
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  put(pod("b", "2", "20", "podIP: 10.0.0.1"), 20'900);  // the watch was slow: the interface came first
  EXPECT_EQ(since_name("10.0.0.1", 20'700, 21'000), "b");
  put(pod("c", "3", "40", "podIP: 10.0.0.2"), 40'100);
  put(pod("d", "4", "40", "podIP: 10.0.0.2"), 40'900);
  EXPECT_EQ(since_name("10.0.0.2", 40'300, 41'000), "c");
}

TEST_F(LiveLedger, APodWithoutTimesHasNoOlderInterface) {
  const auto bare = [](const char* name) {
    return std::string("{apiVersion: v1, kind: Pod, metadata: {name: ") + name + "}, status: {podIP: 10.0.0.1}}";
  };
  apply(changes(bare("a"), kNoTime));
  remove(bare("a"), 20'000);
  put(bare("b"), 20'000);
  EXPECT_EQ(since_name("10.0.0.1", 5'000, 25'000), "a");
  EXPECT_EQ(since_name("10.0.0.1", 19'500, 25'000), "b") << "seen half a second late";
  EXPECT_EQ(since_name("10.0.0.1", 20'500, 25'000), "b");
}

TEST_F(LiveLedger, AStaticPodWasThereBeforeTheApiKnewOfIt) {
  const std::string owned = "ownerReferences: [{kind: Node, name: n, controller: true}]";
  put(pod("proxy-n", "1", "20", "podIP: 10.0.0.1", owned), 20'600);
  EXPECT_EQ(since_name("10.0.0.1", 5'000, 21'000), "proxy-n");
}

// ---- owners

TEST_F(LiveLedger, AnOwnerThatIsKnownLateCorrectsItsPods) {
  put(pod("backup-1-x", "1", "00", "podIP: 10.0.0.1",
          "ownerReferences: [{kind: Job, name: backup-1, controller: true}]"),
      500);
  const Endpoint* before = owner("10.0.0.1", 600);
  EXPECT_EQ(before->group->workload, "backup-1");
  const std::uint64_t version = ledger_.policy_inputs_version();
  EXPECT_TRUE(
      put("{apiVersion: batch/v1, kind: Job, metadata: {name: backup-1, ownerReferences: [{kind: CronJob, name: "
          "backup, controller: true}]}}",
          700));
  EXPECT_EQ(owner("10.0.0.1", 600), before);
  EXPECT_EQ(owner("10.0.0.1", 700)->group->workload, "backup");
  EXPECT_EQ(owner("10.0.0.1", 700)->group->workload_kind, "CronJob");
  EXPECT_EQ(ledger_.pod_named("default", "backup-1-x"), owner("10.0.0.1", 700));
  EXPECT_GT(ledger_.policy_inputs_version(), version) << "a new pod_index";
  EXPECT_EQ(since_name("10.0.0.1", 800, 60'000), "backup-1-x");
  remove("{apiVersion: batch/v1, kind: Job, metadata: {name: backup-1}}", 800);
  EXPECT_EQ(owner("10.0.0.1", 900)->group->workload, "backup") << "what it was made for stays";
}

// ---- services

constexpr std::string_view kWeb =
    "{apiVersion: v1, kind: Service, metadata: {name: web, creationTimestamp: '2026-01-01T00:00:10Z'}, spec: "
    "{clusterIP: 10.96.0.1, ports: [{name: http, port: 80}, {name: admin, port: 81}]}}";

std::string slice(const std::string& name, const std::string& endpoints, const std::string& service = "web") {
  return "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: " + name +
         ", creationTimestamp: '2026-01-01T00:00:10Z', labels: {kubernetes.io/service-name: " + service +
         "}}, endpoints: [" + endpoints + "], ports: [{name: http, port: 8080}, {name: admin, port: 9090}]}";
}

TEST_F(LiveLedger, AServiceCountsFromItsCreationToItsDeletion) {
  put(kWeb, 60'000);
  EXPECT_EQ(service("10.96.0.1", 80, 9'999), "none");
  EXPECT_EQ(service("10.96.0.1", 80, 10'000), "default/web:http");
  EXPECT_FALSE(put(kWeb, 61'000));
  remove(kWeb, 70'000);
  EXPECT_EQ(service("10.96.0.1", 80, 69'999), "default/web:http");
  EXPECT_EQ(service("10.96.0.1", 80, 70'000), "none");
  // Its address goes to another.
  put("{apiVersion: v1, kind: Service, metadata: {name: api, creationTimestamp: '2026-01-01T00:01:20Z'}, spec: "
      "{clusterIP: 10.96.0.1, ports: [{name: rest, port: 80}]}}",
      80'400);
  EXPECT_EQ(service("10.96.0.1", 80, 80'399), "none") << "our time is the better one within the second";
  EXPECT_EQ(service("10.96.0.1", 80, 80'400), "default/api:rest");
  EXPECT_EQ(service("10.96.0.1", 80, 69'999), "default/web:http");
}

TEST_F(LiveLedger, AChangedServiceKeepsWhatDidNotChange) {
  put(kWeb, 60'000);
  const model::ServiceRef* ref = ledger_.service_at(ip("10.96.0.1"), 80, model::kProtoTcp, at_ms(60'000));
  put("{apiVersion: v1, kind: Service, metadata: {name: web, creationTimestamp: '2026-01-01T00:00:10Z'}, spec: "
      "{clusterIP: 10.96.0.1, externalIPs: [203.0.113.1], ports: [{name: http, port: 80}]}}",
      70'000);
  EXPECT_EQ(ledger_.service_at(ip("10.96.0.1"), 80, model::kProtoTcp, at_ms(90'000)), ref);
  EXPECT_EQ(service("10.96.0.1", 81, 69'999), "default/web:admin");
  EXPECT_EQ(service("10.96.0.1", 81, 70'000), "none");
  EXPECT_EQ(service("203.0.113.1", 80, 69'999), "none");
  EXPECT_EQ(service("203.0.113.1", 80, 70'000), "default/web:http");
}

TEST_F(LiveLedger, TheBackendsOfAServiceAreThoseOfTheTime) {
  put(pod("w1", "1", "00", "podIP: 10.0.0.1") + pod("w2", "2", "00", "podIP: 10.0.0.2"), 500);
  put(kWeb, 60'000);
  put(slice("web-1", "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}"), 60'000);
  EXPECT_EQ(backends("10.96.0.1", 80, 60'000), "w1 10.0.0.1:8080; ");
  EXPECT_EQ(backends("10.96.0.1", 81, 60'000), "w1 10.0.0.1:9090; ");
  EXPECT_EQ(backends("10.96.0.1", 82, 60'000), "");
  EXPECT_EQ(backends("10.0.0.1", 8080, 60'000), "");
  put(slice("web-1", "{addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}"), 70'000);
  EXPECT_EQ(backends("10.96.0.1", 80, 69'999), "w1 10.0.0.1:8080; ");
  EXPECT_EQ(backends("10.96.0.1", 80, 70'000), "w2 10.0.0.2:8080; none 10.0.0.3:8080; ");
  put(slice("web-2", "{addresses: [10.0.0.1]}"), 75'000);
  EXPECT_EQ(backends("10.96.0.1", 80, 75'000), "w2 10.0.0.2:8080; none 10.0.0.3:8080; w1 10.0.0.1:8080; ");
  remove(slice("web-1", ""), 80'000);
  EXPECT_EQ(backends("10.96.0.1", 80, 80'000), "w1 10.0.0.1:8080; ");
  put(slice("web-2", "{addresses: [10.0.0.1], conditions: {ready: false}}"), 85'000);
  EXPECT_EQ(backends("10.96.0.1", 80, 85'000), "w1 10.0.0.1:8080; ") << "none is ready: all";
  remove(kWeb, 90'000);
  EXPECT_EQ(backends("10.96.0.1", 80, 90'000), "");
}

TEST_F(LiveLedger, EndpointsOfAHeadlessServiceComeAndGo) {
  const std::string headless =
      "{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: None, ports: [{name: http, port: 80}]}}";
  put(slice("db-1", "{addresses: [10.0.0.1]}", "db"), 11'500);  // before its service
  EXPECT_EQ(service("10.0.0.1", 8080, 12'000), "none");
  put(headless, 13'000);
  EXPECT_EQ(service("10.0.0.1", 8080, 13'000), "default/db:http");
  put("{apiVersion: v1, kind: Endpoints, metadata: {name: db}, subsets: [{addresses: [{ip: 10.0.0.5}], ports: [{name: "
      "http, port: 8080}]}]}",
      14'000);
  EXPECT_EQ(service("10.0.0.5", 8080, 14'000), "none") << "slices beat the Endpoints object";
  remove(slice("db-1", "", "db"), 15'000);
  EXPECT_EQ(service("10.0.0.1", 8080, 14'999), "default/db:http");
  EXPECT_EQ(service("10.0.0.1", 8080, 15'000), "none");
  EXPECT_EQ(service("10.0.0.5", 8080, 15'000), "default/db:http") << "until there are none";
}

// ---- what policies read

TEST_F(LiveLedger, ThePolicyInputsMoveWithWhatHasASayInVerdicts) {
  std::uint64_t version = ledger_.policy_inputs_version();
  const auto moved = [&] { return std::exchange(version, ledger_.policy_inputs_version()) != version; };
  const std::string policy =
      "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, spec: "
      "{podSelector: {}}}";
  struct Case {
    const char* name;
    std::string yaml;
    bool put;
    bool want;
  };
  const std::string namespace_shop = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}";
  const Case cases[] = {
      {"namespace", namespace_shop, true, true},
      {"namespace again", namespace_shop, true, false},
      {"its labels", "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: b}}}", true, true},
      {"policy", policy, true, true},
      {"policy again", policy, true, false},
      {"policy gone", policy, false, true},
      {"policy gone again", policy, false, false},
      {"pod without an address", pod("a", "1", "00", ""), true, false},
      {"pod", pod("a", "1", "00", "podIP: 10.0.0.1"), true, true},
      {"pod again", pod("a", "1", "00", "podIP: 10.0.0.1"), true, false},
      {"pod gone", pod("a", "1", "00", ""), false, false},
      {"service", std::string(kWeb), true, false},
      {"node",
       "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: InternalIP, address: "
       "192.0.2.1}]}}",
       true, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    c.put ? put(c.yaml, 60'000) : remove(c.yaml, 60'000);
    EXPECT_EQ(moved(), c.want);
  }
}

TEST_F(LiveLedger, NamespacesAndPoliciesStaySorted) {
  put("{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {x: y}}}", 100);
  put(pod("p", "1", "00", "podIP: 10.0.0.1", "namespace: a"), 200);
  put("{apiVersion: v1, kind: Namespace, metadata: {name: c}}", 300);
  const auto names = [&] {
    std::string text;
    for (const model::NamespaceInfo& info : ledger_.namespaces()) text += info.name + " ";
    return text;
  };
  EXPECT_EQ(names(), "a b c ");
  remove("{apiVersion: v1, kind: Namespace, metadata: {name: b}}", 400);
  put("{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {x: y}}}", 400);
  EXPECT_EQ(names(), "a c ");
  EXPECT_TRUE(ledger_.namespaces()[0].labels.has("x"));
  remove("{apiVersion: v1, kind: Namespace, metadata: {name: a}}", 500);
  EXPECT_EQ(names(), "a c ") << "a pod is in it";
  EXPECT_FALSE(ledger_.namespaces()[0].labels.has("x"));
}

// ---- nodes and network sets

TEST_F(LiveLedger, NodesAndTheirAddressesComeAndGo) {
  const auto node = [](const char* name, const char* address) {
    return std::string("{apiVersion: v1, kind: Node, metadata: {name: ") + name +
           "}, status: {addresses: [{type: InternalIP, address: " + address + "}]}}";
  };
  put(node("n1", "192.0.2.1"), 100);
  put(node("n2", "192.0.2.1"), 100);
  EXPECT_TRUE(ledger_.is_node_address(ip("192.0.2.1")));
  put(node("n1", "192.0.2.7"), 200);
  EXPECT_TRUE(ledger_.is_node_address(ip("192.0.2.1"))) << "still the other's";
  EXPECT_TRUE(ledger_.is_node_address(ip("192.0.2.7")));
  remove(node("n2", "192.0.2.1"), 300);
  EXPECT_FALSE(ledger_.is_node_address(ip("192.0.2.1")));
}

TEST(LiveHosts, AHostEndpointHasItsAddressesInItsTime) {
  LedgerOptions options;
  options.host_endpoints = true;
  Ledger ledger(ClusterObjects{}, options);
  const std::string node =
      "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: InternalIP, address: "
      "192.0.2.1}]}}";
  ledger.apply(changes(node, at_ms(1'000))[0]);
  EXPECT_EQ(ledger.endpoint_at(ip("192.0.2.1"), at_ms(999)), nullptr);
  EXPECT_NE(ledger.endpoint_at(ip("192.0.2.1"), at_ms(1'000)), nullptr);
  ledger.apply(changes(node, at_ms(2'000), true, ObjectChange::Action::kDelete)[0]);
  EXPECT_EQ(ledger.endpoint_at(ip("192.0.2.1"), at_ms(2'000)), nullptr);
}

TEST_F(LiveLedger, NetworkSetsComeChangeAndGo) {
  const auto set = [](const char* name, const char* nets) {
    return std::string("{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: ") + name +
           "}, spec: {nets: [" + nets + "]}}";
  };
  const auto found = [&](const char* address) { return ledger_.resolve(ip(address), "", at_ms(0))->name; };
  put(set("wide", "198.51.0.0/16"), 100);
  put(set("narrow", "198.51.100.0/24"), 100);
  EXPECT_EQ(found("198.51.100.1"), "narrow");
  EXPECT_FALSE(put(set("narrow", "198.51.100.0/24"), 150));
  put(set("narrow", "198.51.101.0/24"), 200);
  EXPECT_EQ(found("198.51.100.1"), "wide");
  EXPECT_EQ(found("198.51.101.1"), "narrow");
  remove(set("wide", ""), 300);
  EXPECT_EQ(found("198.51.100.1"), "-");
}

// ---- bounds

TEST_F(LiveLedger, WhatEndedLongAgoIsForgottenButForItsEndpoints) {
  put(pod("a", "1", "00", "podIP: 10.0.0.1"), 500);
  put(kWeb, 500);
  const Endpoint* a = owner("10.0.0.1", 600);
  remove(pod("a", "1", "00", ""), 1'000);
  remove(kWeb, 20'000);
  constexpr std::int64_t kHourMs = 3'600'000;
  for (std::int64_t ms = 0; ms < 2 * kHourMs; ms += 300'000) {
    put("{apiVersion: v1, kind: Namespace, metadata: {name: n" + std::to_string(ms) + "}}", ms);
    if (ms <= kHourMs) {
      EXPECT_EQ(owner_name("10.0.0.1", 600), "a") << ms;
    }
  }
  EXPECT_EQ(owner_name("10.0.0.1", 600), "none");
  EXPECT_EQ(service("10.96.0.1", 80, 15'000), "none");
  EXPECT_EQ(a->name, "a");
  EXPECT_EQ(ledger_.pods()[0], a);
}

}  // namespace
}  // namespace weir::cluster
