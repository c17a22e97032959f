// Verdicts a second with 1,000 policies and 5,000 pods: uncached, cached, and by the slow evaluator; and compile time.
// The answers are checked against the slow evaluator first.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "model/connection.h"
#include "policy/engine.h"
#include "policy/policy_oracle.h"
#include "policy/policy_test_world.h"

namespace weir::policy {
namespace {

constexpr std::size_t kPodsEach = 100, kPoliciesEach = 20, kApps = 10;
/// Namespaces of the cluster that the goals speak of: 5,000 pods and 1,000 policies.
constexpr std::size_t kNamespaces = 50;

/// Namespaces of 10 workloads of 10 pods; 20 policies a namespace: a default deny both ways, DNS for all, the rest
/// select one or two workloads and allow peers of this and other namespaces, blocks and (named) ports.
class Cluster {
 public:
  explicit Cluster(std::size_t namespaces) : dice_(7), namespaces_(namespaces) {
    for (std::size_t i = 0; i < namespaces; ++i) world.add_namespace(ns(i), {"team=t" + std::to_string(i % 7)});
    for (std::size_t i = 0; i < namespaces * kPodsEach; ++i) add_pod(i);
    for (std::size_t i = 0; i < namespaces * kPoliciesEach; ++i) add_policy(i % namespaces, i / namespaces);
  }

  /// Random pairs, a good part of them allowed; about one end in ten is outside. At most `distinct` connections over
  /// and over, in random order.
  std::vector<Query> queries(std::size_t distinct, std::size_t count) {
    const std::unique_ptr<Engine> engine = std::move(Engine::create({}, world.inputs())).value();
    std::vector<Query> pool(distinct), result(count);
    for (std::size_t i = 0; i < distinct; ++i) {
      // Few random pairs are allowed: look a while for one every other time.
      pool[i] = random_query();
      for (int tries = 0; i % 2 == 0 && tries < 20 && !engine->evaluate(pool[i]).allowed(); ++tries) {
        pool[i] = random_query();
      }
    }
    for (Query& query : result) query = pool[dice_.roll(distinct)];
    return result;
  }

  World world;

 private:
  static std::string ns(std::size_t i) { return "ns" + std::to_string(i); }

  void add_pod(std::size_t i) {
    const std::size_t app = i / namespaces_ % kApps;
    const std::string ip =
        "10." + std::to_string(i / 62'500) + "." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    model::Endpoint* pod = world.add_pod(ns(i % namespaces_), "p" + std::to_string(i),
                                         {"app=app" + std::to_string(app), "tier=" + std::to_string(app % 3),
                                          "pod-template-hash=" + std::to_string(i / 500), "pod=" + std::to_string(i)},
                                         {ip});
    pod->named_ports = {{"http", static_cast<std::uint16_t>(8'000 + app), model::kProtoTcp}};
  }

  model::NetworkPolicyPeer random_peer() {
    model::NetworkPolicyPeer peer;
    if (dice_.one_in(4)) {
      peer.ip_block = model::IpBlock{IpPrefix::parse("10." + std::to_string(dice_.roll(64)) + ".0.0/16").value(), {}};
      return peer;
    }
    peer.pod_selector.emplace().match_labels = {{"app", "app" + std::to_string(dice_.roll(kApps))}};
    if (dice_.one_in(2)) {
      peer.namespace_selector.emplace().match_labels = {{"team", "t" + std::to_string(dice_.roll(7))}};
    }
    return peer;
  }

  std::vector<model::NetworkPolicyRule> random_rules() {
    std::vector<model::NetworkPolicyRule> rules(1 + dice_.roll(3));
    for (model::NetworkPolicyRule& rule : rules) {
      for (std::size_t i = 1 + dice_.roll(2); i > 0; --i) rule.peers.push_back(random_peer());
      rule.ports.resize(1);
      if (dice_.one_in(4)) {
        rule.ports[0].port_name = "http";
      } else {
        rule.ports[0].port = static_cast<std::uint16_t>(8'000 + dice_.roll(kApps));
        rule.ports[0].end_port = static_cast<std::uint16_t>(*rule.ports[0].port + dice_.roll(4));
      }
    }
    return rules;
  }

  void add_policy(std::size_t ns_index, std::size_t number) {
    model::NetworkPolicy& policy = world.network_policies.emplace_back();
    policy.namespace_name = ns(ns_index);
    policy.name = "p" + std::to_string(number);
    policy.applies_egress = number <= 1 || dice_.one_in(2);
    if (number == 0) return;
    if (number == 1) {
      policy.applies_ingress = false;
      policy.egress = {{{}, {{model::kProtoUdp, 53, "", {}}}}};
      return;
    }
    policy.pod_selector.match_labels = {{"app", "app" + std::to_string(dice_.roll(kApps))}};
    if (dice_.one_in(4)) policy.pod_selector.match_labels = {{"tier", std::to_string(dice_.roll(3))}};
    policy.ingress = random_rules();
    policy.egress = random_rules();
  }

  Query random_query() {
    Query query;
    const auto any_pod = [&] { return &world.pods()[dice_.roll(world.pods().size())]; };
    const auto outside = [&] { return IpAddress::v4(static_cast<std::uint32_t>(0xCB000000 | dice_.roll(1U << 24))); };
    query.source = dice_.one_in(10) ? nullptr : any_pod();
    query.dest = query.source != nullptr && dice_.one_in(10) ? nullptr : any_pod();
    query.source_ip = query.source != nullptr ? query.source->ips[0] : outside();
    query.dest_ip = query.dest != nullptr ? query.dest->ips[0] : outside();
    query.protocol = dice_.one_in(5) ? model::kProtoUdp : model::kProtoTcp;
    query.dest_port = static_cast<std::uint16_t>(dice_.one_in(5) ? 53 : 8'000 + dice_.roll(kApps));
    return query;
  }

  Dice dice_;
  std::size_t namespaces_;
};

/// Made once a size: Google Benchmark calls each function several times.
Cluster& cluster(std::size_t namespaces) {
  static std::map<std::size_t, Cluster> clusters;
  return clusters.try_emplace(namespaces, namespaces).first->second;
}

std::unique_ptr<Engine> make_engine(const Cluster& cluster, std::uint32_t cache_entries) {
  EngineOptions options;
  options.cache_entries = cache_entries;
  return std::move(Engine::create(options, cluster.world.inputs())).value();
}

void check(const Cluster& cluster, Engine& engine, const std::vector<Query>& queries) {
  const Oracle oracle({}, cluster.world.inputs());
  for (std::size_t i = 0; i < 500; ++i) {
    const Verdict got = engine.evaluate(queries[i]);
    const Oracle::Answer want = oracle.evaluate(queries[i]);
    const auto same = [](const SideVerdict& a, const Oracle::Side& b) {
      return a.managed == b.managed && a.action == b.action && (!a.managed || a.enforced->entries == b.trace);
    };
    if (!same(got.egress, want.egress) || !same(got.ingress, want.ingress)) {
      std::fprintf(stderr, "policy_bench: the engine disagrees with the slow evaluator\n");
      std::abort();
    }
  }
}

void run(benchmark::State& state, const Cluster& cluster, Engine& engine, const std::vector<Query>& queries) {
  check(cluster, engine, queries);
  const EngineStats before = engine.stats();
  std::size_t next = 0, allowed = 0;
  for (auto _ : state) {
    allowed += engine.evaluate(queries[next]).allowed() ? 1 : 0;
    if (++next == queries.size()) next = 0;
  }
  benchmark::DoNotOptimize(allowed);
  const EngineStats stats = engine.stats();
  const auto hits = static_cast<double>(stats.cache_hits - before.cache_hits);
  state.SetItemsProcessed(state.iterations());
  state.counters["policies"] = static_cast<double>(cluster.world.network_policies.size());
  state.counters["pods"] = static_cast<double>(cluster.world.pod_count());
  state.counters["identities"] = static_cast<double>(stats.identities);
  state.counters["programs"] = static_cast<double>(stats.programs);
  state.counters["allowed"] = static_cast<double>(allowed) / static_cast<double>(state.iterations());
  state.counters["hit_rate"] = hits / static_cast<double>(state.iterations());
}

void run_uncached(benchmark::State& state, std::size_t namespaces) {
  Cluster& one = cluster(namespaces);
  const auto engine = make_engine(one, 0);
  run(state, one, *engine, one.queries(20'000, 100'000));
}

void BM_VerdictUncached(benchmark::State& state) { run_uncached(state, kNamespaces); }
BENCHMARK(BM_VerdictUncached);

/// Four times the policies and pods, but as many policies a pod: what it costs more are cache misses.
void BM_UncachedFourfoldCluster(benchmark::State& state) { run_uncached(state, 4 * kNamespaces); }
BENCHMARK(BM_UncachedFourfoldCluster);

/// As many distinct connections as the argument says, each seen often.
void BM_VerdictCached(benchmark::State& state) {
  Cluster& one = cluster(kNamespaces);
  const auto engine = make_engine(one, EngineOptions().cache_entries);
  const auto queries = one.queries(static_cast<std::size_t>(state.range(0)), 200'000);
  for (const Query& query : queries) engine->evaluate(query);
  run(state, one, *engine, queries);
}
BENCHMARK(BM_VerdictCached)->Arg(1'000)->Arg(20'000);

void BM_VerdictOracle(benchmark::State& state) {
  Cluster& one = cluster(kNamespaces);
  const Oracle oracle({}, one.world.inputs());
  const auto queries = one.queries(10'000, 10'000);
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(oracle.evaluate(queries[next]));
    if (++next == queries.size()) next = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_VerdictOracle);

void BM_Compile(benchmark::State& state) {
  const Cluster& one = cluster(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(make_engine(one, 0));
}
BENCHMARK(BM_Compile)->Arg(kNamespaces)->Arg(4 * kNamespaces)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weir::policy
