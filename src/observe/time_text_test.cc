#include "observe/time_text.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace weir::observe {
namespace {

/// 2026-11-24 18:00:00 UTC.
constexpr std::int64_t kNow = 1'795'543'200;

class InZone : public ::testing::Test {
 protected:
  /// Two hours east of Greenwich, no summer time.
  void SetUp() override {
    ::setenv("TZ", "TST-2", 1);
    ::tzset();
  }
  void TearDown() override {
    ::unsetenv("TZ");
    ::tzset();
  }
};

TEST_F(InZone, TimesAreRead) {
  const struct {
    const char* text;
    std::int64_t want;
  } cases[] = {{"now", kNow},
               {"3s", kNow - 3},
               {"4m", kNow - 240},
               {"1h43m", kNow - 6180},
               {"1d", kNow - 86'400},
               {"@1700000000", 1'700'000'000},
               {"2026-11-24T18:00:00Z", kNow},
               {"2026-11-24T19:00:00+01:00", kNow},
               {"2026-11-24T18:00:00.123Z", kNow},
               {"2026-11-24T18:00:00.123456789-00:30", kNow + 1800},
               {"2026-11-24T17-01:00", kNow},
               {"2026-11-24T18:00Z", kNow},
               {"2026-11-24 20:00:00", kNow},
               {"2026-11-24T20:00", kNow},
               {"2026-11-24", kNow - 20 * 3600},
               {"Tue, 24 Nov 2026 16:00:00 -0200", kNow},
               {"Nov 24 20:00:00.000", kNow},
               {"Nov  4 20:00:00.000", kNow - 20 * 86'400},
               {"Dec 24 20:00:00.000", kNow - 335 * 86'400}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const Result<std::int64_t> time = parse_time(c.text, kNow);
    ASSERT_TRUE(time.ok()) << time.error().message;
    EXPECT_EQ(time.value(), c.want);
  }
}

TEST_F(InZone, WhatIsNoTimeIsRefused) {
  for (const char* text : {"", "yesterday", "10", "-5m", "2026-13-01", "2026-02-30", "2026-11-24T25:00:00Z",
                           "2026-11-24T18:00:00Zz", "2026-11-24T18:00:00.Z", "@-1", "@1x", "Foo 24 20:00:00.000",
                           "Tue, 24 Nov 2026 16:00:00", "2026-11-24T18:00:00+1"}) {
    SCOPED_TRACE(text);
    EXPECT_FALSE(parse_time(text, kNow).ok());
  }
}

TEST_F(InZone, TimesAreWritten) {
  const struct {
    const char* format;
    const char* want;
  } cases[] = {{"StampMilli", "Nov 24 20:00:00.000"},
               {"YearMonthDay", "2026-11-24"},
               {"YearMonthDayHour", "2026-11-24T20+02:00"},
               {"YearMonthDayHourMinute", "2026-11-24T20:00+02:00"},
               {"RFC3339", "2026-11-24T20:00:00+02:00"},
               {"rfc3339milli", "2026-11-24T20:00:00.000+02:00"},
               {"RFC3339Nano", "2026-11-24T20:00:00.000000000+02:00"},
               {"RFC1123Z", "Tue, 24 Nov 2026 20:00:00 +0200"},
               {"%H:%M:%S%z", "20:00:00+0200"}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.format);
    const Result<TimeFormat> format = parse_time_format(c.format);
    ASSERT_TRUE(format.ok());
    const std::string text = format_time(format.value(), kNow);
    EXPECT_EQ(text, c.want);
  }
  EXPECT_FALSE(parse_time_format("short").ok());
}

TEST_F(InZone, EveryFormatIsReadBack) {
  for (const std::string_view name : kTimeFormatNames) {
    SCOPED_TRACE(name);
    const std::string text = format_time(parse_time_format(name).value(), kNow);
    const Result<std::int64_t> time = parse_time(text, kNow);
    ASSERT_TRUE(time.ok()) << text;
    EXPECT_EQ(time.value(), name == "YearMonthDay" ? kNow - 20 * 3600 : kNow);
  }
}

}  // namespace
}  // namespace weir::observe
