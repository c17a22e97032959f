#include "api/internal/request_parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace weir::api {
namespace {

constexpr std::int64_t kNow = 1'767'323'045;  // 2026-01-02T03:04:05Z

TEST(RequestParameters, TimesHaveManyForms) {
  const struct {
    const char* text;
    std::int64_t want;
  } good[] = {
      {"now", kNow},
      {"now-15m", kNow - 900},
      {"-1h30m", kNow - 5400},
      {"1767323045", kNow},
      {"2026-01-02T03:04:05Z", kNow},
      {"2026-01-02T03:04:05.999Z", kNow},
      {"2026-01-02T04:04:05+01:00", kNow},
      {"2026-01-01T21:34:05-05:30", kNow},
  };
  for (const auto& c : good) {
    SCOPED_TRACE(c.text);
    const auto time = parse_time(c.text, kNow);
    ASSERT_TRUE(time.ok()) << time.error().message;
    EXPECT_EQ(time.value(), c.want);
  }
  for (const char* bad :
       {"", "-", "yesterday", "now+1h", "-1parsec", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+1"}) {
    SCOPED_TRACE(bad);
    EXPECT_FALSE(parse_time(bad, kNow).ok());
  }
}

TEST(RequestParameters, BecomeARequest) {
  http::Request request;
  request.query = {{"from", "100"},
                   {"to", "200"},
                   {"filter", "ns = a"},
                   {"group_by", "a, b"},
                   {"metrics", "count,sum(bytes_in),distinct(dest_name)"},
                   {"interval", "1m"},
                   {"order", "a,-b,c:desc,d:asc"},
                   {"limit", "7"},
                   {"cursor", "x"},
                   {"dedupe", "false"},
                   {"columns", "c,d"}};
  const auto parsed = parse_request(request, model::LogType::kFlows, kNow);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const query::Request& r = parsed.value();
  EXPECT_EQ(r.from, 100);
  EXPECT_EQ(r.to, 200);
  EXPECT_EQ(r.filter, "ns = a");
  EXPECT_EQ(r.group_by, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(r.metrics.size(), 3u);
  EXPECT_EQ(r.metrics[1].name(), "sum(bytes_in)");
  EXPECT_EQ(r.metrics[2].name(), "distinct(dest_name)");
  EXPECT_EQ(r.interval, 60);
  ASSERT_EQ(r.order.size(), 4u);
  EXPECT_FALSE(r.order[0].descending);
  EXPECT_TRUE(r.order[1].descending);
  EXPECT_EQ(r.order[1].column, "b");
  EXPECT_TRUE(r.order[2].descending);
  EXPECT_FALSE(r.order[3].descending);
  EXPECT_EQ(r.limit, 7u);
  EXPECT_EQ(r.cursor, "x");
  EXPECT_FALSE(r.deduplicate);
  EXPECT_EQ(r.columns, (std::vector<std::string>{"c", "d"}));
}

TEST(RequestParameters, WithoutAnyTheLastHourIsMeant) {
  const auto parsed = parse_request({}, model::LogType::kDns, kNow);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().log, model::LogType::kDns);
  EXPECT_EQ(parsed.value().to, kNow + 1);
  EXPECT_EQ(parsed.value().from, kNow + 1 - 3600);
  EXPECT_EQ(parsed.value().limit, 100u);
  EXPECT_TRUE(parsed.value().deduplicate);
}

TEST(RequestParameters, MistakesNameTheParameter) {
  const struct {
    const char *name, *value, *want;
  } cases[] = {
      {"from", "x", "from: "},           {"to", "x", "to: "},
      {"limit", "0", "limit: "},         {"limit", "100001", "limit: "},
      {"limit", "1x", "limit: "},        {"interval", "0s", "interval: "},
      {"dedupe", "1", "dedupe: "},       {"metrics", "median(x)", "metrics: 'median(x)'"},
      {"metrics", "sum(x", "metrics: "}, {"order", "a:up", "order: "},
      {"log", "x", "log: 'x'"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.name) + "=" + c.value);
    http::Request request;
    request.query = {{c.name, c.value}};
    const auto parsed = parse_request(request, model::LogType::kFlows, kNow);
    ASSERT_FALSE(parsed.ok());
    EXPECT_NE(parsed.error().message.find(c.want), std::string::npos) << parsed.error().message;
  }
}

TEST(RequestParameters, UnknownOnesAndThoseGivenTwiceAreRefused) {
  const auto& all = endpoints();
  const auto flows = std::find_if(all.begin(), all.end(), [](const Endpoint& e) { return e.path == "/api/v1/flows"; });
  http::Request request;
  request.query = {{"from", "1"}, {"limit", "2"}};
  EXPECT_TRUE(check_parameters(*flows, request).ok());
  request.query = {{"form", "1"}};
  EXPECT_NE(check_parameters(*flows, request).error().message.find("unknown parameter 'form'; there are from, to"),
            std::string::npos);
  request.query = {{"from", "1"}, {"from", "2"}};
  EXPECT_FALSE(check_parameters(*flows, request).ok());
}

TEST(Endpoints, EachHasItsOwnMethodAndPath) {
  std::set<std::pair<int, std::string_view>> seen;
  for (const Endpoint& endpoint : endpoints()) {
    EXPECT_TRUE(seen.emplace(static_cast<int>(endpoint.method), endpoint.path).second) << endpoint.path;
    EXPECT_FALSE(endpoint.answers.empty());
    std::set<std::string_view> names;
    for (const Parameter& parameter : endpoint.parameters)
      EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name;
  }
}

}  // namespace
}  // namespace weir::api
