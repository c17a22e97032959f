#include "policy/history.h"

#include <gtest/gtest.h>

#include <string>

#include "policy/policy_test_world.h"

namespace weir::policy {
namespace {

class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    web_ = world_.add_pod("shop", "web", {"app=web"}, {"10.0.0.1"});
    db_ = world_.add_pod("shop", "db", {"app=db"}, {"10.0.0.2"});
  }
  /// A policy that closes the namespace.
  EngineInputs closed() {
    world_.network_policies.resize(1);
    world_.network_policies[0].namespace_name = "shop";
    world_.network_policies[0].name = "closed";
    return world_.inputs();
  }
  EngineInputs open() {
    world_.network_policies.clear();
    return world_.inputs();
  }
  Query query() const { return {web_, db_, web_->ips[0], db_->ips[0], 6, 40'000, 5432}; }

  World world_;
  const model::Endpoint *web_, *db_;
};

TEST_F(HistoryTest, AConnectionIsDecidedByThePoliciesOfItsTime) {
  History history({}, 1);
  history.put(100, open());
  history.put(200, closed());
  history.put(300, open());
  EXPECT_FALSE(history.evaluate(query(), 99).ok());
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(history.evaluate(query(), 100).value().allowed());
    EXPECT_TRUE(history.evaluate(query(), 199).value().allowed());
    EXPECT_FALSE(history.evaluate(query(), 200).value().allowed());
    EXPECT_FALSE(history.evaluate(query(), 299).value().allowed());
    EXPECT_TRUE(history.evaluate(query(), 5'000).value().allowed());
  }
  EXPECT_EQ(history.engines(), 1U);
}

TEST_F(HistoryTest, EqualTracesOfDifferentTimesHaveEqualPointers) {
  History history({}, 2);
  history.put(0, open());
  history.put(10, open());
  EXPECT_EQ(history.evaluate(query(), 5).value().ingress.enforced,
            history.evaluate(query(), 15).value().ingress.enforced);
  EXPECT_EQ(history.engines(), 2U);
}

TEST_F(HistoryTest, AVersionPutAgainReplacesTheOneOfItsTime) {
  History history({}, 2);
  history.put(0, open());
  EXPECT_TRUE(history.evaluate(query(), 5).value().allowed());
  history.put(0, closed());
  EXPECT_FALSE(history.evaluate(query(), 5).value().allowed());
}

TEST_F(HistoryTest, ForgottenVersionsAreNotKnownAndTheCurrentOneStays) {
  History history({}, 2);
  history.put(0, open());
  history.put(10, closed());
  history.put(20, open());
  history.forget_before(15);
  EXPECT_EQ(history.versions(), 2U);
  EXPECT_FALSE(history.evaluate(query(), 5).ok());
  EXPECT_FALSE(history.evaluate(query(), 15).value().allowed());
}

TEST_F(HistoryTest, BadInputsFailAndSpoilNoOtherTime) {
  History history({}, 1);
  history.put(0, closed());
  EngineInputs bad = open();
  bad.pods.push_back(bad.pods[0]);
  history.put(10, bad);
  EXPECT_FALSE(history.evaluate(query(), 5).value().allowed());
  EXPECT_FALSE(history.evaluate(query(), 15).ok());
  EXPECT_FALSE(history.evaluate(query(), 15).ok());
  EXPECT_FALSE(history.evaluate(query(), 5).value().allowed());
}

}  // namespace
}  // namespace weir::policy
