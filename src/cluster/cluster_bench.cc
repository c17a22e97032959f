#include <benchmark/benchmark.h>
#include <malloc.h>

#include <random>
#include <string>
#include <vector>

#include "cluster/ledger.h"
#include "cluster/manifest_reader.h"
#include "model/connection.h"

namespace weir::cluster {
namespace {

constexpr int kPods = 5000;
constexpr int kPolicies = 1000;
constexpr std::int64_t kNow = 1'800'000'000'000'000'000;

/// One object the size and shape of kubectl's output, in flow style: both JSON and YAML.
std::string pod_text(int i) {
  const std::string n = std::to_string(i), app = "app-" + std::to_string(i % 200), rs = app + "-6d4cf56db6";
  const std::string address = "10.0." + std::to_string(i >> 8) + "." + std::to_string(i & 255);
  std::string env;
  for (int k = 0; k < 12; ++k) {
    env += std::string(k == 0 ? "" : ",") + R"({"name":"VARIABLE_)" + std::to_string(k) + R"(","value":"some value"})";
  }
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + rs + "-" + n + R"(","generateName":")" + rs +
         R"(-","namespace":"ns-)" + std::to_string(i % 50) + R"(","uid":"u)" + n +
         R"(","creationTimestamp":"2026-01-01T00:00:00Z","labels":{"app.kubernetes.io/name":")" + app +
         R"(","pod-template-hash":"6d4cf56db6","team":"t)" + std::to_string(i % 7) +
         R"("},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":")" + rs +
         R"(","controller":true}]},"spec":{"nodeName":"node-)" + std::to_string(i % 100) +
         R"(","serviceAccountName":"default","containers":[{"name":"main","image":"registry.example/app:1","env":[)" +
         env +
         R"(],"ports":[{"containerPort":8080,"name":"http","protocol":"TCP"}],"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"mountPath":"/var/run/secrets","name":"token","readOnly":true}]}],"tolerations":[{"effect":"NoExecute","key":"node.kubernetes.io/not-ready","operator":"Exists","tolerationSeconds":300}]},"status":{"phase":"Running","podIP":")" +
         address + R"(","podIPs":[{"ip":")" + address + R"("}],"startTime":"2026-01-01T00:00:00Z"}})";
}

std::string policy_text(int i) {
  return R"({"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p)" + std::to_string(i) +
         R"(","namespace":"ns-)" + std::to_string(i % 50) +
         R"("},"spec":{"podSelector":{"matchLabels":{"app.kubernetes.io/name":"app-)" + std::to_string(i % 200) +
         R"("}},"ingress":[{"from":[{"podSelector":{"matchExpressions":[{"key":"team","operator":"In","values":["t1","t2"]}]}}],"ports":[{"port":"http"},{"port":9000,"endPort":9100}]}]}})";
}

std::string json_manifest() {
  std::string text = R"({"apiVersion":"v1","kind":"List","items":[)";
  for (int i = 0; i < kPods; ++i) text += pod_text(i) + ",\n";
  for (int i = 0; i < kPolicies; ++i) text += (i == 0 ? "" : ",\n") + policy_text(i);
  return text + "]}";
}

/// The same as a YAML stream: a comment first keeps it from being read as JSON.
std::string yaml_manifest() {
  std::string text = "# YAML\n";
  for (int i = 0; i < kPods; ++i) text += pod_text(i) + "\n---\n";
  for (int i = 0; i < kPolicies; ++i) text += policy_text(i) + "\n---\n";
  return text;
}

ClusterObjects read_all(const std::string& text, bool json) {
  ClusterObjects objects;
  ManifestNotes notes;
  const Status status = read_manifest_text("bench", text, json, objects, notes);
  if (!status.ok() || objects.pods.size() != kPods || objects.policies.size() != kPolicies) std::abort();
  return objects;
}

void read_manifest(benchmark::State& state, const std::string& text, bool json) {
  for (auto _ : state) benchmark::DoNotOptimize(read_all(text, json));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
void BM_ReadYaml(benchmark::State& state) { read_manifest(state, yaml_manifest(), false); }
void BM_ReadJson(benchmark::State& state) { read_manifest(state, json_manifest(), true); }
BENCHMARK(BM_ReadYaml)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_ReadJson)->Unit(benchmark::kMillisecond);

void BM_BuildLedger(benchmark::State& state) {
  const ClusterObjects objects = read_all(json_manifest(), true);
  const std::size_t before = mallinfo2().uordblks;
  const Ledger one(objects);
  state.counters["ledger_bytes"] = static_cast<double>(mallinfo2().uordblks - before);
  for (auto _ : state) benchmark::DoNotOptimize(Ledger(objects).pods().size());
}
BENCHMARK(BM_BuildLedger)->Unit(benchmark::kMillisecond);

std::vector<ObjectChange> live_changes() {
  std::vector<ObjectChange> changes;
  for (ClusterObject& object : flatten(read_all(json_manifest(), true))) {
    changes.push_back({ObjectChange::Action::kPut, true, kNow, std::move(object)});
  }
  return changes;
}

/// The same cluster as a watch tells it, one object after the other.
void BM_ApplyAll(benchmark::State& state) {
  const std::vector<ObjectChange> changes = live_changes();
  const std::size_t before = mallinfo2().uordblks;
  {
    Ledger one(ClusterObjects{});
    for (const ObjectChange& change : changes) one.apply(change);
    state.counters["ledger_bytes"] = static_cast<double>(mallinfo2().uordblks - before);
    if (one.pods().size() != kPods || one.network_policies().size() != kPolicies) std::abort();
  }
  for (auto _ : state) {
    Ledger ledger(ClusterObjects{});
    for (const ObjectChange& change : changes) ledger.apply(change);
    benchmark::DoNotOptimize(ledger.version());
  }
}
BENCHMARK(BM_ApplyAll)->Unit(benchmark::kMillisecond);

/// A listing of what is known already.
void BM_ApplyUnchanged(benchmark::State& state) {
  const std::vector<ObjectChange> changes = live_changes();
  Ledger ledger(ClusterObjects{});
  for (const ObjectChange& change : changes) ledger.apply(change);
  const std::uint64_t version = ledger.version();
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(ledger.apply(changes[i++ % changes.size()]));
  if (ledger.version() != version) std::abort();
}
BENCHMARK(BM_ApplyUnchanged);

/// A pod comes and one goes: what it costs, and what stays of it, since endpoints stay.
void BM_PodChurn(benchmark::State& state) {
  const std::vector<ObjectChange> changes = live_changes();
  Ledger ledger(ClusterObjects{});
  for (const ObjectChange& change : changes) ledger.apply(change);
  const std::size_t before = mallinfo2().uordblks;
  std::int64_t time_ns = kNow;
  std::uint64_t number = 0;
  for (auto _ : state) {
    ObjectChange change = changes[number % kPods];
    Pod* pod = std::get_if<Pod>(&change.object);
    if (pod == nullptr) std::abort();
    time_ns += 1'000'000'000;
    change.time_ns = time_ns;
    change.action = ObjectChange::Action::kDelete;
    pod->meta.uid.clear();
    ledger.apply(change);
    change.action = ObjectChange::Action::kPut;
    pod->meta.uid = "v" + std::to_string(number++);
    ledger.apply(change);
  }
  state.counters["bytes_kept_a_pod"] =
      static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_PodChurn);

/// 5,000 pods, 1,000 services, 300 network sets of 10 prefixes in 6 lengths.
const Ledger& ledger() {
  static const Ledger built = [] {
    ClusterObjects objects = read_all(json_manifest(), true);
    for (std::uint32_t i = 0; i < 1000; ++i) {
      Service& service = objects.services.emplace_back();
      service.meta.namespace_name = "ns-1";
      service.meta.name = "svc-" + std::to_string(i);
      service.cluster_ips = {IpAddress::v4(0x0A600000 + i)};
      service.ports = {{"http", 80, 0, model::kProtoTcp}};
    }
    for (std::uint32_t i = 0; i < 300; ++i) {
      NetworkSet& set = objects.network_sets.emplace_back();
      set.meta.name = "set-" + std::to_string(i);
      if (i % 2 == 0) set.meta.namespace_name = "ns-" + std::to_string(i % 50);
      for (std::uint32_t k = 0; k < 10; ++k) {
        const std::uint8_t length = static_cast<std::uint8_t>(112 + (i + k) % 6 * 2);
        set.nets.push_back(
            IpPrefix::parse(IpAddress::v4((i * 10 + k) << 16).to_string() + "/" + std::to_string(length - 96)).value());
      }
    }
    return Ledger(std::move(objects));
  }();
  return built;
}

/// Random addresses, so that the table's lines come from wherever the cache has them.
template <typename Make>
std::vector<IpAddress> addresses(Make make) {
  std::mt19937 random(1);
  std::vector<IpAddress> made;
  for (int i = 0; i < 8192; ++i) made.push_back(make(static_cast<std::uint32_t>(random())));
  return made;
}

void BM_ResolvePod(benchmark::State& state) {
  const auto pods = addresses([](std::uint32_t r) { return IpAddress::v4(0x0A000000 + r % kPods); });
  if (ledger().resolve(pods[0], "", kNow)->type != model::EndpointType::kWorkload) std::abort();
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(ledger().resolve(pods[i++ & 8191], "ns-1", kNow));
}
BENCHMARK(BM_ResolvePod);

void BM_ResolveOutside(benchmark::State& state) {
  const auto outside = addresses([](std::uint32_t r) { return IpAddress::v4(r); });
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(ledger().resolve(outside[i++ & 8191], "ns-1", kNow));
}
BENCHMARK(BM_ResolveOutside);

void BM_ServiceHit(benchmark::State& state) {
  const auto services = addresses([](std::uint32_t r) { return IpAddress::v4(0x0A600000 + r % 1000); });
  if (ledger().service_at(services[0], 80, model::kProtoTcp, kNow) == nullptr) std::abort();
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(ledger().service_at(services[i++ & 8191], 80, model::kProtoTcp, kNow));
  }
}
BENCHMARK(BM_ServiceHit);

}  // namespace
}  // namespace weir::cluster
