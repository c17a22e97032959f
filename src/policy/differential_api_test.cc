// The engine against the slow evaluator, with objects of every API at once; and what must hold whatever the answer is.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "policy/differential.h"
#include "policy/random_world.h"

namespace weir::policy {
namespace {

const std::vector<std::string> kOutside = {"203.0.113.9", "10.0.1.2", "10.9.0.0", "2001:db8::7"};

EngineOptions random_options(Dice& dice) {
  EngineOptions options;
  options.trace_names = dice.one_in(2) ? TraceNames::kKind : TraceNames::kDocumented;
  options.ip_block_matches_pods = !dice.one_in(3);
  options.calico_compatible = dice.one_in(3);
  constexpr std::array<std::uint32_t, 3> kCacheSizes = {65'536, 7, 0};
  options.cache_entries = kCacheSizes[dice.roll(3)];
  return options;
}

/// Asks with names, requests and source ports too, every question twice.
void expect_agreement_in_all(Engine& engine, const Oracle& oracle, const Questions& questions, Dice& dice) {
  constexpr std::array<std::string_view, 2> kNames = {"www.example.org", "WWW.Example.com"};
  constexpr std::array<HttpRequest, 2> kRequests = {HttpRequest{"GET", "/pub/x"}, HttpRequest{"POST", "/pub"}};
  int disagreements = 0;
  questions.for_each(kServices, [&](Query query) {
    query.source_port = static_cast<std::uint16_t>(dice.one_in(2) ? 80 : 40'000);
    if (dice.one_in(3)) query.dest_names = std::span(kNames).first(1 + dice.roll(2));
    if (dice.one_in(4)) query.http = &kRequests[dice.roll(2)];
    const Oracle::Answer want = oracle.evaluate(query);
    for (int round = 0; round < 2; ++round) {
      const Verdict got = engine.evaluate(query);
      if (agree(got.egress, want.egress) && agree(got.ingress, want.ingress)) continue;
      if (++disagreements > 5) return;
      ADD_FAILURE() << describe(query) << "\n  got  " << text(got.egress) << "  " << text(got.ingress) << "\n  want "
                    << text(want.egress) << "  " << text(want.ingress);
    }
  });
}

TEST(DifferentialApis, RandomWorldsOfEveryApiAgreeWithTheSlowEvaluator) {
  for (std::uint64_t seed = 1; seed <= 300 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world;
    RandomWorld random(seed, world);
    random.fill();
    const EngineOptions options = random_options(random.dice());
    auto engine = Engine::create(options, world.inputs());
    ASSERT_TRUE(engine.ok()) << engine.error().message;
    const Oracle oracle(options, world.inputs());
    expect_agreement_in_all(*engine.value(), oracle, Questions(world, kOutside), random.dice());
  }
}

TEST(DifferentialApis, AnUpdatedEngineAnswersLikeOneMadeAnew) {
  for (std::uint64_t seed = 1'000; seed < 1'060 && !::testing::Test::HasFailure(); ++seed) {
    World world;
    RandomWorld random(seed, world);
    random.fill();
    const EngineOptions options = random_options(random.dice());
    EngineInputs inputs = world.inputs();
    auto engine = Engine::create(options, inputs);
    ASSERT_TRUE(engine.ok()) << engine.error().message;
    for (int step = 0; step < 6 && !::testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " step " + std::to_string(step));
      random.change_something();
      inputs = world.inputs_after(inputs);
      const Status status = engine.value()->update(inputs);
      ASSERT_TRUE(status.ok()) << status.error().message;
      const Oracle oracle(options, inputs);
      expect_agreement_in_all(*engine.value(), oracle, Questions(world, kOutside), random.dice());
    }
  }
}

/// Two namespaces of two pods each, a network set in one and a global one.
void fill_small(World& world) {
  for (const char* ns : {"a", "b"}) {
    world.add_namespace(ns, {std::string("team=") + ns});
    for (const char* app : {"a", "b"}) {
      model::Endpoint* pod =
          world.add_pod(ns, app, {std::string("app=") + app},
                        {std::string("10.0.") + (*ns == 'a' ? "0." : "1.") + (*app == 'a' ? "1" : "2")});
      pod->service_account = app;
      pod->named_ports.push_back({"http", static_cast<std::uint16_t>(*app == 'a' ? 80 : 8'080), 6});
    }
  }
  world.network_sets.push_back({"", "world", {{"app=b"}}, {IpPrefix::parse("203.0.113.0/24").value()}, {}});
  world.network_sets.push_back({"b", "own", {{"app=a"}}, {IpPrefix::parse("10.0.0.2/32").value()}, {}});
}

/// Calls `visit` with every far end that the parts make up.
template <typename Visit>
void for_each_end(Visit visit) {
  const auto parsed = [](const char* text) -> std::optional<model::Selector> {
    if (text == nullptr) return std::nullopt;
    return model::Selector::parse(text).value();
  };
  for (const char* selector : {static_cast<const char*>(nullptr), "app == 'a'", "!has(app)", "all()"}) {
    for (const char* not_selector : {static_cast<const char*>(nullptr), "app == 'b'"}) {
      for (const char* ns : {static_cast<const char*>(nullptr), "team == 'b'", "all()", "global()"}) {
        for (const int nets : {0, 1, 2}) {
          for (const int accounts : {0, 1}) {
            model::EntityRule end;
            end.selector = parsed(selector);
            end.not_selector = parsed(not_selector);
            end.namespace_selector = parsed(ns);
            if (nets == 1) end.nets = {IpPrefix::parse("10.0.0.0/16").value()};
            if (nets == 2) end.not_nets = {IpPrefix::parse("10.0.1.2/32").value()};
            if (accounts == 1) end.service_accounts.emplace().names = {"a"};
            visit(end);
          }
        }
      }
    }
  }
}

TEST(DifferentialApis, EveryOneRuleCalicoPolicyOfASmallWorldAgrees) {
  World world;
  fill_small(world);
  const Questions questions(world, {"203.0.113.9", "198.51.100.1"});
  auto engine = Engine::create({}, world.inputs());
  ASSERT_TRUE(engine.ok());
  std::size_t policies = 0;
  for_each_end([&](const model::EntityRule& end) {
    for (const bool global : {false, true}) {
      world.calico_policies.assign(1, {});
      model::CalicoPolicy& policy = world.calico_policies[0];
      if (!global) policy.namespace_name = "a";
      policy.name = "p";
      policy.applies_egress = true;
      policy.ingress.resize(1);
      policy.egress.resize(1);
      policy.ingress[0].source = policy.egress[0].destination = end;
      policy.egress[0].protocol = model::kProtoTcp;
      policy.egress[0].destination.ports = {{80, 81, ""}, {0, 0, "http"}};
      const EngineInputs inputs = world.inputs();
      ASSERT_TRUE(engine.value()->update(inputs).ok());
      const Oracle oracle({}, inputs);
      questions.for_each(kServices, [&](const Query& query) {
        const Verdict got = engine.value()->evaluate(query);
        const Oracle::Answer want = oracle.evaluate(query);
        EXPECT_TRUE(agree(got.egress, want.egress) && agree(got.ingress, want.ingress))
            << describe(query) << "\n  got  " << text(got.egress) << "  " << text(got.ingress) << "\n  want "
            << text(want.egress) << "  " << text(want.ingress);
      });
      ++policies;
    }
    ASSERT_FALSE(::testing::Test::HasFailure());
  });
  EXPECT_EQ(policies, 384U);
}

TEST(DifferentialApis, EveryOneRuleAdminPolicyOfASmallWorldAgrees) {
  World world;
  fill_small(world);
  const Questions questions(world, {"203.0.113.9", "10.9.0.1"});
  world.nodes.push_back({"n", {{"zone=1"}}, {IpAddress::parse("10.9.0.1").value()}});
  std::vector<model::AdminPeer> peers(1);
  const std::vector<model::LabelSelector> selectors = {{}, {{{"team", "a"}}, {}}, {{{"app", "b"}}, {}}};
  for (const model::LabelSelector& ns : selectors) {
    for (const model::LabelSelector& pods : selectors) peers.push_back({model::AdminPodSelector{ns, pods}, {}, {}, {}});
  }
  peers.push_back({{}, model::LabelSelector{{{"zone", "1"}}, {}}, {}, {}});
  peers.push_back({{}, {}, {IpPrefix::parse("10.0.0.0/23").value()}, {}});
  peers.push_back({{}, {}, {IpPrefix::parse("0.0.0.0/0").value()}, {"a.example"}});
  const std::vector<std::vector<model::AdminPort>> ports = {
      {}, {{6, 80, 80, ""}}, {{17, 0, 65'535, ""}}, {{0, 0, 0, "http"}}};
  for (const model::AdminPeer& peer : peers) {
    for (const auto& port : ports) {
      for (const model::Action action : {model::Action::kAllow, model::Action::kDeny, model::Action::kPass}) {
        for (const bool baseline : {false, true}) {
          world.admin_policies.assign(1, {});
          model::AdminPolicy& policy = world.admin_policies[0];
          policy.kind = model::AdminPolicy::Kind::kCluster;
          policy.baseline = baseline;
          policy.name = "p";
          policy.subject.namespace_selector = selectors[1];
          policy.ingress = policy.egress = {{"", action, {peer}, port, false}};
          expect_agreement(world, questions, {});
          ASSERT_FALSE(::testing::Test::HasFailure());
        }
      }
    }
  }
}

TEST(DifferentialApis, WithoutStagedPoliciesPendingIsEnforced) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world;
    RandomWorld(seed, world).fill();
    const auto staged = [](const auto& policy) { return policy.staged != model::StagedAction::kNone; };
    std::erase_if(world.calico_policies, staged);
    std::erase_if(world.network_policies, staged);
    auto engine = Engine::create({}, world.inputs());
    ASSERT_TRUE(engine.ok());
    Questions(world, {"203.0.113.9"}).for_each(kServices, [&](const Query& query) {
      const Verdict verdict = engine.value()->evaluate(query);
      EXPECT_EQ(verdict.egress.enforced, verdict.egress.pending);
      EXPECT_EQ(verdict.ingress.enforced, verdict.ingress.pending);
    });
  }
}

TEST(DifferentialApis, WhatIsPendingIsWhatIsEnforcedOnceItIsApplied) {
  for (std::uint64_t seed = 300; seed < 340; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World before;
    RandomWorld(seed, before).fill();
    World after = before;
    const auto apply = [](auto& policies) {
      auto next = policies;
      std::erase_if(next, [&](const auto& policy) {
        if (policy.staged != model::StagedAction::kNone) return policy.staged != model::StagedAction::kSet;
        return std::any_of(policies.begin(), policies.end(), [&](const auto& other) {
          const bool replaces =
              other.staged == model::StagedAction::kSet || other.staged == model::StagedAction::kDelete;
          return replaces && other.name == policy.name && other.namespace_name == policy.namespace_name;
        });
      });
      for (auto& policy : next) policy.staged = model::StagedAction::kNone;
      policies = next;
    };
    apply(after.calico_policies);
    apply(after.network_policies);
    auto one = Engine::create({}, before.inputs());
    EngineInputs applied = after.inputs();
    applied.pods = before.inputs().pods;
    auto other = Engine::create({}, applied);
    ASSERT_TRUE(one.ok() && other.ok());
    Questions(before, {"203.0.113.9"}).for_each(kServices, [&](const Query& query) {
      const Verdict staged = one.value()->evaluate(query), enforced = other.value()->evaluate(query);
      EXPECT_EQ(staged.pending_allowed(), enforced.allowed()) << describe(query);
      if (staged.egress.managed) {
        EXPECT_EQ(staged.egress.pending->verdict, enforced.egress.action);
      }
    });
  }
}

TEST(DifferentialApis, OneMorePolicyTakesNothingFromPodsThatAreIsolatedAlready) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world;
    RandomWorld random(seed, world);
    random.fill();
    world.calico_policies.clear();
    world.admin_policies.clear();
    std::erase_if(world.network_policies,
                  [](const auto& policy) { return policy.staged != model::StagedAction::kNone; });
    if (world.network_policies.empty()) continue;
    // Every pod of the namespace is isolated by it, both ways.
    world.network_policies[0].pod_selector = {};
    world.network_policies[0].applies_egress = world.network_policies[0].applies_ingress = true;
    auto one = Engine::create({}, world.inputs());
    model::NetworkPolicy more = world.network_policies[0];
    more.name = "more";
    more.ingress = {{{}, {{6, 80, "", {}}}}};
    world.network_policies.push_back(more);
    auto other = Engine::create({}, world.inputs());
    ASSERT_TRUE(one.ok() && other.ok());
    Questions(world, {"203.0.113.9"}).for_each(kServices, [&](const Query& query) {
      if (one.value()->evaluate(query).allowed()) {
        EXPECT_TRUE(other.value()->evaluate(query).allowed()) << describe(query);
      }
    });
  }
}

}  // namespace
}  // namespace weir::policy
