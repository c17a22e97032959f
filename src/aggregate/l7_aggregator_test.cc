#include "aggregate/l7_aggregator.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "aggregate/flow_fixture.h"

namespace weir::aggregate {
namespace {

using Lines = std::vector<std::string>;

model::HttpTransaction get(const std::string& url, std::uint16_t status = 200) {
  model::HttpTransaction t;
  t.tuple = {ip("10.0.0.1"), ip("10.0.0.2"), 40000, 80, 6};
  t.request_ns = 1000;
  t.response_ns = status == 0 ? 0 : 1300;
  t.method = "GET";
  t.url = url;
  t.host = "shop.test";
  t.user_agent = "curl";
  t.version = "HTTP/1.1";
  t.status = status;
  t.request_bytes = 10;
  t.response_bytes = 20;
  return t;
}

/// "COUNT SRC DST METHOD URL CODE AGENT TYPE IN/OUT"
Lines flush(L7Aggregator& aggregator) {
  Lines lines;
  aggregator.flush(100, 400, [&](const model::L7Record& r) {
    std::string line = std::to_string(r.count);
    for (const std::string_view part :
         {r.src_name_aggr, r.dest_name_aggr, r.method, r.url, r.response_code, r.user_agent, r.type}) {
      line += " " + std::string(part);
    }
    lines.push_back(line + " " + std::to_string(r.bytes_in) + "/" + std::to_string(r.bytes_out));
  });
  return lines;
}

TEST(L7Aggregator, MergesTransactionsThatAreEqualInTheKey) {
  World world;
  const auto* web = world.pod("shop", "web-1", "web-*");
  const auto* api = world.pod("shop", "api-1", "api-*");
  L7Aggregator aggregator;
  model::HttpTransaction t = get("/a?x=1");
  aggregator.add(t, web, api, nullptr);
  t.tuple.source_port = 40001;
  t.user_agent = "other";
  t.response_ns = 1500;
  aggregator.add(t, web, api, nullptr);
  aggregator.add(get("/a?x=1", 404), web, api, nullptr);
  aggregator.add(get("/a?x=1", 0), web, api, nullptr);
  aggregator.add(get("/a?x=1"), web, nullptr, nullptr);
  std::uint64_t mean = 0, max = 0;
  EXPECT_EQ(aggregator.transactions(), 5u);
  Lines lines;
  aggregator.flush(100, 400, [&](const model::L7Record& r) {
    EXPECT_FALSE(r.src_ip || r.src_port || r.dest_ip || r.dest_port);
    if (r.count != 2) return;
    mean = r.duration_mean;
    max = r.duration_max;
    EXPECT_EQ(r.url, "shop.test/a?x=1");
    EXPECT_EQ(r.bytes_in, 20u);
    EXPECT_EQ(r.bytes_out, 40u);
    EXPECT_EQ(r.type, "html/1.1");
    EXPECT_EQ(r.user_agent, "-");
  });
  EXPECT_EQ(mean, 400u);
  EXPECT_EQ(max, 500u);
}

TEST(L7Aggregator, UnaggregatedGivesOneRecordPerTransactionInOrderOfTime) {
  L7Aggregator aggregator(L7AggregatorOptions::unaggregated());
  const std::string long_url = "/1/2/3/4/5/6/7?" + std::string(1000, 'q');
  model::HttpTransaction t = get(long_url);
  t.original_source = ip("203.0.113.9");
  aggregator.add(t, nullptr, nullptr, nullptr);
  aggregator.add(t, nullptr, nullptr, nullptr);
  t.request_ns = 1;
  t.url = "/first";
  t.original_source = {};
  aggregator.add(t, nullptr, nullptr, nullptr);
  Lines urls;
  aggregator.flush(0, 1, [&](const model::L7Record& r) {
    EXPECT_EQ(r.count, 1u);
    EXPECT_EQ(r.src_ip->to_string(), "10.0.0.1");
    EXPECT_EQ(r.dest_port, 80);
    EXPECT_EQ(r.user_agent, "curl");
    EXPECT_EQ(r.num_original_source_ips, r.url == "shop.test/first" ? 0u : 1u);
    urls.emplace_back(r.url);
  });
  EXPECT_EQ(urls, (Lines{"shop.test/first", "shop.test" + long_url, "shop.test" + long_url}));
}

TEST(L7Aggregator, CutsTheUrlAsConfigured) {
  using Url = L7AggregatorOptions::Url;
  const struct {
    const char* what;
    Url url;
    int parts;
    int limit;
    const char* target;
    const char* want;
  } cases[] = {
      {"whole", Url::kFull, 5, 250, "/a/b?x=1", "shop.test/a/b?x=1"},
      {"five components", Url::kFull, 5, 250, "/1/2/3/4/5", "shop.test/1/2/3/4/5"},
      {"more go with the query", Url::kFull, 5, 250, "/1/2/3/4/5/6?x=1", "shop.test/1/2/3/4/5"},
      {"all components", Url::kFull, -1, 250, "/1/2/3/4/5/6?x=1", "shop.test/1/2/3/4/5/6?x=1"},
      {"250 bytes", Url::kFull, 5, 12, "/abcdef", "shop.test/ab"},
      {"no query", Url::kNoQuery, 5, 250, "/a?x=1", "shop.test/a"},
      {"no path", Url::kNoPath, 5, 250, "/a?x=1", "shop.test"},
      {"none", Url::kNone, 5, 250, "/a?x=1", "-"},
      {"asked through a proxy", Url::kFull, 1, 250, "http://x.test/a/b?y", "http://x.test/a"},
      {"CONNECT", Url::kFull, 5, 250, "x.test:443", "x.test:443"},
      {"all resources", Url::kFull, 5, 250, "*", "*"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    L7AggregatorOptions options;
    options.url = c.url;
    options.url_path_parts = c.parts;
    options.url_char_limit = c.limit;
    L7Aggregator aggregator(options);
    aggregator.add(get(c.target), nullptr, nullptr, nullptr);
    aggregator.flush(0, 1, [&](const model::L7Record& r) { EXPECT_EQ(r.url, c.want); });
  }
}

TEST(L7Aggregator, FieldsThatAreNotIncludedAreNotInTheKey) {
  World world;
  const auto* web = world.pod("shop", "web-1", "web-*");
  const auto* api = world.pod("shop", "api-1", "api-*");
  L7AggregatorOptions options;
  options.include_method = options.include_response_code = options.include_source = false;
  options.include_destination = options.include_service = false;
  options.url = L7AggregatorOptions::Url::kNone;
  L7Aggregator aggregator(options);
  aggregator.add(get("/a"), web, api, nullptr);
  model::HttpTransaction t = get("/b", 500);
  t.method = "PUT";
  aggregator.add(t, api, web, nullptr);
  EXPECT_EQ(flush(aggregator), (Lines{"2 - - - - - - html/1.1 20/40"}));
}

TEST(L7Aggregator, ListsOriginalClientsUpToALimitAndCountsAll) {
  L7AggregatorOptions options;
  options.max_original_ips = 2;
  L7Aggregator aggregator(options);
  for (const char* client : {"3.3.3.3", "1.1.1.1", "2.2.2.2", "1.1.1.1"}) {
    model::HttpTransaction t = get("/a");
    t.original_source = ip(client);
    aggregator.add(t, nullptr, nullptr, nullptr);
  }
  aggregator.flush(0, 1, [](const model::L7Record& r) {
    EXPECT_EQ(r.num_original_source_ips, 3u);
    ASSERT_EQ(r.original_source_ips.size(), 2u);
    EXPECT_EQ(r.original_source_ips[0].to_string(), "1.1.1.1");
  });
}

TEST(L7Aggregator, TransactionsAboveTheLimitAreCounted) {
  L7AggregatorOptions options;
  options.per_node_limit = 1;
  L7Aggregator aggregator(options);
  aggregator.add(get("/a"), nullptr, nullptr, nullptr);
  aggregator.add(get("/b"), nullptr, nullptr, nullptr);
  aggregator.add(get("/a"), nullptr, nullptr, nullptr);
  EXPECT_EQ(flush(aggregator).size(), 1u);
  EXPECT_EQ(aggregator.unlogged(), 1u);
}

}  // namespace
}  // namespace weir::aggregate
