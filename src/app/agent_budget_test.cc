#include "app/agent_budget.h"

#include <gtest/gtest.h>

namespace weir::app {
namespace {

TEST(CpuBudget, WidensStepByStepAboveTheLimitAndComesBackWhenCalm) {
  CpuBudget budget;
  EXPECT_FALSE(budget.on_window(4, 10, 50));
  EXPECT_TRUE(budget.on_window(6, 10, 50));
  EXPECT_EQ(budget.step(), 1);
  EXPECT_TRUE(budget.on_window(6, 10, 50));
  EXPECT_FALSE(budget.on_window(9, 10, 50)) << "no step beyond the last";
  EXPECT_EQ(budget.step(), CpuBudget::kMaxStep);
  EXPECT_FALSE(budget.on_window(1, 10, 50));
  EXPECT_FALSE(budget.on_window(3, 10, 50)) << "between half the limit and the limit nothing moves";
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(budget.on_window(1, 10, 50));
  EXPECT_TRUE(budget.on_window(1, 10, 50));
  EXPECT_EQ(budget.step(), 1);
}

TEST(CpuBudget, ALimitOfZeroIsNone) {
  CpuBudget budget;
  EXPECT_FALSE(budget.on_window(10, 10, 0));
  EXPECT_EQ(budget.step(), 0);
  EXPECT_TRUE(budget.on_window(6, 10, 50));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(budget.on_window(10, 10, 0));
  EXPECT_TRUE(budget.on_window(10, 10, 0)) << "taken away while running";
  EXPECT_EQ(budget.step(), 0);
}

TEST(CpuBudget, StepsWidenAggregationUpToTheWidest) {
  CpuBudget budget;
  config::Settings settings;
  EXPECT_EQ(budget.applied_to(settings).aggregation_level_allowed, 2);
  budget.on_window(10, 10, 50);
  EXPECT_EQ(budget.applied_to(settings).aggregation_level_allowed, 3);
  EXPECT_EQ(budget.applied_to(settings).aggregation_level_denied, 2);
  EXPECT_TRUE(budget.applied_to(settings).l7_log);
  budget.on_window(10, 10, 50);
  EXPECT_EQ(budget.applied_to(settings).aggregation_level_allowed, 3);
  EXPECT_EQ(budget.applied_to(settings).aggregation_level_denied, 3);
  EXPECT_FALSE(budget.applied_to(settings).l7_log);
}

TEST(MemoryBudget, OnlyLowersBounds) {
  config::Settings settings;
  settings.memory_limit_mb = 64;
  bound_by_memory(settings);
  EXPECT_LT(settings.max_connections, 100'000);
  EXPECT_LT(settings.max_flow_keys, 100'000);
  settings.max_connections = 1000;
  bound_by_memory(settings);
  EXPECT_EQ(settings.max_connections, 1000);
}

}  // namespace
}  // namespace weir::app
