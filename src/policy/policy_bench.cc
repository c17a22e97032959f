// Verdicts a second, uncached, cached, and by the slow evaluator; what one change costs; and memory. Clusters of 100 to
// 10,000 policies and 5,000 to 100,000 pods. The answers are checked against the slow evaluator first.

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

constexpr std::size_t kPoliciesEach = 20, kApps = 10;

/// Namespaces of 10 workloads and 20 policies: a default deny both ways, DNS for all, the rest select one or two
/// workloads and allow peers of this and other namespaces, blocks and (named) ports.
class Cluster {
 public:
  Cluster(std::size_t policies, std::size_t pods) : dice_(7), namespaces_(policies / kPoliciesEach) {
    for (std::size_t i = 0; i < namespaces_; ++i) world.add_namespace(ns(i), {"team=t" + std::to_string(i % 7)});
    for (std::size_t i = 0; i < pods; ++i) add_pod(i);
    for (std::size_t i = 0; i < policies; ++i) add_policy(i % namespaces_, i / namespaces_);
    inputs = world.inputs();
  }

  /// Random pairs, a good part of them allowed; about one end in ten is outside. At most `distinct` connections over
  /// and over, in random order.
  std::vector<Query> queries(std::size_t distinct, std::size_t count) {
    const std::unique_ptr<Engine> engine = std::move(Engine::create({}, inputs)).value();
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
  EngineInputs inputs;

 private:
  static std::string ns(std::size_t i) { return "ns" + std::to_string(i); }

  void add_pod(std::size_t i) {
    const std::size_t app = i / namespaces_ % kApps;
    const std::string ip =
        "10." + std::to_string(i / 62'500) + "." + std::to_string(i / 250 % 250) + "." + std::to_string(i % 250);
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
Cluster& cluster(std::int64_t policies, std::int64_t pods) {
  static std::map<std::pair<std::int64_t, std::int64_t>, Cluster> clusters;
  return clusters.try_emplace({policies, pods}, static_cast<std::size_t>(policies), static_cast<std::size_t>(pods))
      .first->second;
}
Cluster& cluster(const benchmark::State& state) { return cluster(state.range(0), state.range(1)); }

std::unique_ptr<Engine> make_engine(const Cluster& cluster, std::uint32_t cache_entries) {
  EngineOptions options;
  options.cache_entries = cache_entries;
  return std::move(Engine::create(options, cluster.inputs)).value();
}

void check(const Cluster& cluster, Engine& engine, const std::vector<Query>& queries, std::size_t count) {
  const Oracle oracle({}, cluster.inputs);
  for (std::size_t i = 0; i < count; ++i) {
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

void count_cluster(benchmark::State& state, const Engine& engine) {
  const EngineStats stats = engine.stats();
  state.counters["identities"] = static_cast<double>(stats.identities);
  state.counters["programs"] = static_cast<double>(stats.programs);
  state.counters["engine_mb"] = static_cast<double>(stats.bytes) / 1e6;
}

void run(benchmark::State& state, const Cluster& cluster, Engine& engine, const std::vector<Query>& queries) {
  check(cluster, engine, queries, 200);
  const EngineStats before = engine.stats();
  std::size_t next = 0, allowed = 0;
  for (auto _ : state) {
    allowed += engine.evaluate(queries[next]).allowed() ? 1 : 0;
    if (++next == queries.size()) next = 0;
  }
  benchmark::DoNotOptimize(allowed);
  const auto hits = static_cast<double>(engine.stats().cache_hits - before.cache_hits);
  state.SetItemsProcessed(state.iterations());
  count_cluster(state, engine);
  state.counters["allowed"] = static_cast<double>(allowed) / static_cast<double>(state.iterations());
  state.counters["hit_rate"] = hits / static_cast<double>(state.iterations());
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"policies", "pods"});
  for (const std::int64_t pods : {5'000, 50'000}) {
    for (const std::int64_t policies : {100, 1'000, 10'000}) bench->Args({policies, pods});
  }
}

void BM_VerdictUncached(benchmark::State& state) {
  Cluster& one = cluster(state);
  const auto engine = make_engine(one, 0);
  run(state, one, *engine, one.queries(20'000, 100'000));
}
BENCHMARK(BM_VerdictUncached)->Apply(sizes);

/// 1,000 distinct connections, each seen often.
void BM_VerdictCached(benchmark::State& state) {
  Cluster& one = cluster(state);
  const auto engine = make_engine(one, EngineOptions().cache_entries);
  const auto queries = one.queries(1'000, 200'000);
  for (const Query& query : queries) engine->evaluate(query);
  run(state, one, *engine, queries);
}
BENCHMARK(BM_VerdictCached)->Apply(sizes);

void BM_VerdictOracle(benchmark::State& state) {
  Cluster& one = cluster(state);
  const Oracle oracle({}, one.inputs);
  const auto queries = one.queries(1'000, 1'000);
  std::size_t next = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(oracle.evaluate(queries[next]));
    if (++next == queries.size()) next = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_VerdictOracle)
    ->ArgNames({"policies", "pods"})
    ->Args({100, 5'000})
    ->Args({1'000, 5'000})
    ->Args({10'000, 5'000});

void change_sizes(benchmark::internal::Benchmark* bench) {
  sizes(bench);
  bench->Args({5'000, 100'000})->Unit(benchmark::kMillisecond)->MinTime(0.2);
}

void BM_CompileAll(benchmark::State& state) {
  const Cluster& one = cluster(state);
  for (auto _ : state) benchmark::DoNotOptimize(make_engine(one, 0));
}
BENCHMARK(BM_CompileAll)->Apply(change_sizes);

/// Turns a policy into another and back: `other` says how.
template <typename Other>
void change_policy(benchmark::State& state, Other other) {
  const Cluster& one = cluster(state);
  EngineInputs inputs = one.inputs;
  const auto engine = make_engine(one, EngineOptions().cache_entries);
  auto& list = inputs.policies.network_policies;
  const auto before = list[list.size() / 2];
  std::size_t round = 0;
  for (auto _ : state) {
    state.PauseTiming();
    if (round++ % 2 == 1) {
      list[list.size() / 2] = before;
    } else {
      list[list.size() / 2] = std::make_shared<const model::NetworkPolicy>(other(*before, round));
    }
    state.ResumeTiming();
    if (!engine->update(inputs).ok()) std::abort();
  }
  count_cluster(state, *engine);
}

/// Another port, of the same peers.
void BM_ChangePolicy(benchmark::State& state) {
  change_policy(state, [](model::NetworkPolicy policy, std::size_t round) {
    policy.ingress.push_back({{}, {{model::kProtoTcp, static_cast<std::uint16_t>(round % 60'000), "", {}}}});
    return policy;
  });
}
BENCHMARK(BM_ChangePolicy)->Apply(change_sizes);

/// It selects by a label that no policy named before: pods are grouped anew.
void BM_ChangePolicyNewLabel(benchmark::State& state) {
  change_policy(state, [](model::NetworkPolicy policy, std::size_t round) {
    policy.pod_selector.match_labels = {{"label" + std::to_string(round), "x"}};
    return policy;
  });
}
BENCHMARK(BM_ChangePolicyNewLabel)->Apply(change_sizes);

/// One pod gets another label that policies name.
void BM_ChangePod(benchmark::State& state) {
  Cluster& one = cluster(state);
  EngineInputs inputs = one.inputs;
  const auto engine = make_engine(one, EngineOptions().cache_entries);
  const model::LabelSet labels{{"app=app3", "tier=1"}};
  const model::Endpoint* before = inputs.pods[inputs.pods.size() / 2];
  model::Endpoint other = *before;
  other.labels = &labels;
  for (auto _ : state) {
    const model::Endpoint*& pod = inputs.pods[inputs.pods.size() / 2];
    pod = pod == before ? &other : before;
    if (!engine->update(inputs).ok()) std::abort();
  }
  count_cluster(state, *engine);
}
BENCHMARK(BM_ChangePod)->Apply(change_sizes);

}  // namespace
}  // namespace weir::policy
