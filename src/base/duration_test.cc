#include "base/duration.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using std::chrono::nanoseconds;

TEST(Duration, ReadsGoDurationsAndBareSeconds) {
  const struct {
    const char* text;
    std::int64_t want_ns;
    const char* shortest;
  } cases[] = {
      {"0", 0, "0s"},
      {"300", 300'000'000'000, "5m"},
      {"300s", 300'000'000'000, "5m"},
      {"5m0s", 300'000'000'000, "5m"},
      {"1h30m", 5'400'000'000'000, "1h30m"},
      {"250ms", 250'000'000, "250ms"},
      {"1.5s", 1'500'000'000, "1s500ms"},
      {"2d", 172'800'000'000'000, "2d"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    ASSERT_TRUE(parse_duration(c.text).ok());
    EXPECT_EQ(parse_duration(c.text).value(), nanoseconds(c.want_ns));
    EXPECT_EQ(format_duration(nanoseconds(c.want_ns)), c.shortest);
  }
}

TEST(Duration, RejectsTheRest) {
  for (const char* text : {"", "s", "-5s", "5x", "5s3", "5 s", "1e3s", "nan", "inf", "99999d", "5m 3s"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
}

}  // namespace
}  // namespace weir
