#include <gtest/gtest.h>

#include "base/file.h"
#include "cluster/internal/field.h"
#include "model/selector.h"
#include "tests/support/shared_data.h"

namespace weir::cluster {
namespace {

void check_answer(const Field& vector) {
  const std::string text(vector["selector"].text());
  SCOPED_TRACE(text);
  const auto selector = model::Selector::parse(text);
  const bool refused = vector["parseError"].boolean(false);
  ASSERT_EQ(selector.ok(), !refused) << (selector.ok() ? "" : selector.error().message);
  if (refused) return;
  EXPECT_EQ(selector.value().matches(vector["labels"].labels()), vector["match"].boolean(false));
}

void check_canonical(const Field& vector) {
  const std::string text(vector["selector"].text());
  SCOPED_TRACE(text);
  const auto selector = model::Selector::parse(text);
  ASSERT_TRUE(selector.ok()) << selector.error().message;
  EXPECT_EQ(selector.value().canonical(), vector["canonical"].text());
}

TEST(SelectorVectors, EveryOneHolds) {
  WEIR_REQUIRE_SHARED_DATA(data);
  const auto file = FileBytes::open((data / "policy/vectors/calico-selectors.json").string());
  ASSERT_TRUE(file.ok()) << file.error().message;
  int seen = 0;
  const Status status = read_json(file.value().text(), false, [&](std::size_t, const Value& root) -> Status {
    FieldFailure failure;
    const Field vectors(root, failure);
    const auto each = [&](std::string_view list, void (*check)(const Field&)) {
      vectors[list].each_item([&](const Field& vector) {
        ++seen;
        check(vector);
      });
    };
    each("evaluate", check_answer);
    each("derived", check_answer);
    each("canonical", check_canonical);
    if (failure.failed()) return invalid_argument(failure.message);
    return {};
  });
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(seen, 58);
}

}  // namespace
}  // namespace weir::cluster
