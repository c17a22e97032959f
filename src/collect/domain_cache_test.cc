#include "collect/domain_cache.h"

#include <gtest/gtest.h>

namespace weir::collect {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

model::DnsTransaction answer(const char* client, const char* name, const char* address, std::int64_t at_s,
                             std::uint32_t ttl = 60) {
  model::DnsTransaction transaction;
  transaction.client = ip(client);
  transaction.qname = name;
  transaction.answer_ns = at_s * kSecond;
  transaction.answers.push_back(
      {.name = "cdn.example", .type = 1, .rclass = 1, .ttl = ttl, .data = address, .address = ip(address)});
  return transaction;
}

std::vector<std::string_view> names(const DomainCache& cache, const char* client, const char* address,
                                    std::int64_t at_s) {
  const auto found = cache.find(ip(client), ip(address), at_s * kSecond);
  return {found.begin(), found.end()};
}

TEST(DomainCache, GivesTheNameAskedForNotTheAliasThatAnswered) {
  DomainCache cache({});
  cache.learn(answer("10.0.0.1", "www.example.com", "192.0.2.1", 1));
  EXPECT_EQ(names(cache, "10.0.0.1", "192.0.2.1", 2), (std::vector<std::string_view>{"www.example.com"}));
}

TEST(DomainCache, OneClientsLookUpNeverExplainsAnothers) {
  DomainCache cache({});
  cache.learn(answer("10.0.0.1", "www.example.com", "192.0.2.1", 1));
  EXPECT_TRUE(names(cache, "10.0.0.2", "192.0.2.1", 2).empty());
}

TEST(DomainCache, SeveralNamesOfOneAddressAreAllKeptInOrder) {
  DomainCache cache({});
  cache.learn(answer("10.0.0.1", "b.example", "192.0.2.1", 1));
  const auto before = cache.find(ip("10.0.0.1"), ip("192.0.2.1"), kSecond);
  cache.learn(answer("10.0.0.1", "a.example", "192.0.2.1", 2));
  cache.learn(answer("10.0.0.1", "b.example", "192.0.2.1", 3));
  EXPECT_EQ(names(cache, "10.0.0.1", "192.0.2.1", 4), (std::vector<std::string_view>{"b.example", "a.example"}));
  ASSERT_EQ(before.size(), 1u) << "a span that a connection holds must not change";
  EXPECT_EQ(before[0], "b.example");
}

TEST(DomainCache, AnAnswerExplainsUntilItsTtlAndTheGraceArePast) {
  DomainCache cache({.grace = std::chrono::seconds(10)});
  cache.learn(answer("10.0.0.1", "a.example", "192.0.2.1", 100, 60));
  EXPECT_FALSE(names(cache, "10.0.0.1", "192.0.2.1", 170).empty());
  EXPECT_TRUE(names(cache, "10.0.0.1", "192.0.2.1", 171).empty());
  cache.learn(answer("10.0.0.1", "new.example", "192.0.2.1", 200, 60));
  EXPECT_EQ(names(cache, "10.0.0.1", "192.0.2.1", 201), (std::vector<std::string_view>{"new.example"}));
}

TEST(DomainCache, AtItsLimitExpiredEntriesGoFirstThenNewOnesAreCountedAsDropped) {
  DomainCache cache({.grace = std::chrono::seconds(0), .max_entries = 2});
  cache.learn(answer("10.0.0.1", "a.example", "192.0.2.1", 1, 10));
  cache.learn(answer("10.0.0.1", "b.example", "192.0.2.2", 1, 1000));
  cache.learn(answer("10.0.0.1", "c.example", "192.0.2.3", 5, 1000));
  EXPECT_EQ(cache.dropped(), 1u);
  cache.learn(answer("10.0.0.1", "c.example", "192.0.2.3", 20, 1000));
  EXPECT_EQ(cache.dropped(), 1u);
  EXPECT_FALSE(names(cache, "10.0.0.1", "192.0.2.3", 21).empty());
}

}  // namespace
}  // namespace weir::collect
