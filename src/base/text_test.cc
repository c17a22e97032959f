#include "base/text.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Text, ComparesAsciiLettersWithoutCase) {
  EXPECT_TRUE(equal_ignoring_case("Content-LENGTH", "content-length"));
  EXPECT_FALSE(equal_ignoring_case("for", "fo"));
  EXPECT_FALSE(equal_ignoring_case("\xC4", "\xE4")) << "only ASCII";
  EXPECT_FALSE(equal_ignoring_case("@", "`")) << "only letters";
}

TEST(Text, TrimsBlanksTabsAndLineBreaks) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
}

}  // namespace
}  // namespace weir
