#include "base/text_table.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(TextTable, PadsColumnsAndAlignsNumbersRight) {
  TextTable table({"NAME", "BYTES"});
  table.add({"a", "1200"});
  table.add(
      {"gr\xC3\xBC\xC3\x9F"
       "e",
       "7"});
  EXPECT_EQ(table.to_string(),
            "NAME   BYTES\na       1200\ngr\xC3\xBC\xC3\x9F"
            "e      7\n");
}

TEST(TextTable, ShortCounts) {
  const struct {
    std::uint64_t value;
    const char* want;
  } cases[] = {{0, "0"}, {9999, "9999"}, {12'400, "12.4K"}, {123'456, "123K"}, {3'100'000, "3.10M"}};
  for (const auto& c : cases) EXPECT_EQ(short_count(c.value), c.want);
}

}  // namespace
}  // namespace weir
