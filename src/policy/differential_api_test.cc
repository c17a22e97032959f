// The engine against the slow evaluator, with objects of every API at once; and what must hold whatever the answer is.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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
  for (std::uint64_t seed = 1; seed <= 80 && !::testing::Test::HasFailure(); ++seed) {
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
  for (std::uint64_t seed = 1'000; seed < 1'012 && !::testing::Test::HasFailure(); ++seed) {
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
