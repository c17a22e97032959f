#include "packet/internal/fragment_table.h"

#include <gtest/gtest.h>

namespace weir::packet {
namespace {

FragmentKey key(std::uint32_t id) { return {IpAddress::v4(1), IpAddress::v4(2), id, 17}; }

TEST(FragmentTable, TheNewestFirstFragmentOfAKeyCounts) {
  FragmentTable table;
  table.remember(key(1), {10, 20, 17, false}, 0);
  table.remember(key(1), {11, 21, 17, false}, 5);
  ASSERT_NE(table.find(key(1), 6), nullptr);
  EXPECT_EQ(table.find(key(1), 6)->source_port, 11);
  EXPECT_EQ(table.find(key(2), 6), nullptr);
}

TEST(FragmentTable, AnEntryIsVoidAfterAMinuteAndNotBeforeItsTime) {
  FragmentTable table;
  table.remember(key(1), {10, 20, 17, false}, 1'000);
  EXPECT_NE(table.find(key(1), 60'000'001'000), nullptr);
  EXPECT_EQ(table.find(key(1), 60'000'001'001), nullptr);
  // Captures of several interfaces go back a little in time.
  EXPECT_NE(table.find(key(1), 0), nullptr);
}

TEST(FragmentTable, AFullTableKeepsTheNewest) {
  FragmentTable table;
  constexpr std::uint32_t kMany = 100'000;
  for (std::uint32_t id = 0; id < kMany; ++id) table.remember(key(id), {1, 2, 17, false}, id);
  EXPECT_NE(table.find(key(kMany - 1), kMany), nullptr);
  EXPECT_EQ(table.find(key(0), kMany), nullptr);
}

}  // namespace
}  // namespace weir::packet
