#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace weir {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return invalid_argument("odd");
  return value / 2;
}

Result<int> quarter(int value) {
  TRY_ASSIGN(const int once, half(value));
  TRY_ASSIGN(const int twice, half(once));
  return twice;
}

Status check_quarter(int value) {
  TRY(quarter(value));
  return {};
}

TEST(Result, TryAssignPassesTheValueOn) { EXPECT_EQ(quarter(12).value(), 3); }

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(check_quarter(6).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(check_quarter(8).ok());
}

TEST(Result, HoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  EXPECT_EQ(*std::move(result).value(), 7);
}

}  // namespace
}  // namespace weir
