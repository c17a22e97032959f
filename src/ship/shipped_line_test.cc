#include <gtest/gtest.h>

#include "ship/destination.h"

namespace weir::ship {
namespace {

TEST(ShippedLine, GetsHostAndOfFlowsTheEndOfItsWindow) {
  using model::LogType;
  const struct {
    const char* line;
    LogType log;
    const char* want;
  } cases[] = {
      {R"({"start_time":1,"end_time":2,"x":3})", LogType::kFlows,
       R"({"host":"n\"1","@timestamp":2000,"start_time":1,"end_time":2,"x":3})"},
      {R"({"start_time":1,"end_time": 2})", LogType::kFlows,
       R"({"host":"n\"1","@timestamp":2000,"start_time":1,"end_time": 2})"},
      {R"({"start_time":1,"end_time":2})", LogType::kDns, R"({"host":"n\"1","start_time":1,"end_time":2})"},
      {R"({"host":"other","end_time":2})", LogType::kFlows, R"({"@timestamp":2000,"host":"other","end_time":2})"},
      {R"({"@timestamp":5,"end_time":2,"host" :"o"})", LogType::kFlows, R"({"@timestamp":5,"end_time":2,"host" :"o"})"},
      {R"({"a":"\"host\" b"})", LogType::kFlows, R"({"host":"n\"1","a":"\"host\" b"})"},
      {R"({"end_time":"x"})", LogType::kFlows, R"({"host":"n\"1","end_time":"x"})"},
      {"{}", LogType::kFlows, R"({"host":"n\"1"})"},
      {"not JSON", LogType::kFlows, "not JSON"},
      {"", LogType::kFlows, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.line);
    std::string out = "before ";
    append_shipped_line(out, c.line, "n\"1", c.log);
    EXPECT_EQ(out, std::string("before ") + c.want);
  }
}

}  // namespace
}  // namespace weir::ship
