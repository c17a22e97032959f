#include "policy/internal/prefix_classes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "policy/policy_test_world.h"

namespace weir::policy {
namespace {

AddressSet block(const std::string& cidr, const std::vector<std::string>& except = {}) {
  AddressSet result{{IpPrefix::parse(cidr).value()}, {}};
  for (const std::string& one : except) result.except.push_back(IpPrefix::parse(one).value());
  return result;
}

/// The blocks that `ip` is in, by its class and by looking.
void expect_class(const PrefixClasses& classes, const std::vector<const AddressSet*>& blocks, const IpAddress& ip) {
  SCOPED_TRACE(ip.to_string());
  const std::uint32_t number = classes.classify(ip);
  ASSERT_LT(number, classes.size());
  for (std::uint32_t i = 0; i < blocks.size(); ++i) {
    const auto& of_block = classes.classes_of(i);
    const bool in = std::find(of_block.begin(), of_block.end(), number) != of_block.end();
    const auto holds = [&](const IpPrefix& prefix) { return prefix.contains(ip); };
    const bool want = std::any_of(blocks[i]->include.begin(), blocks[i]->include.end(), holds) &&
                      std::none_of(blocks[i]->except.begin(), blocks[i]->except.end(), holds);
    EXPECT_EQ(in, want) << "set " << i;
  }
}

/// The first and last addresses of every prefix, and the ones before and after.
std::vector<IpAddress> edges(const std::vector<const AddressSet*>& blocks) {
  std::vector<IpAddress> result;
  const auto add = [&](const IpPrefix& prefix) {
    IpAddress last = prefix.address;
    for (unsigned bit = prefix.length; bit < 128; ++bit)
      last.bytes[bit / 8] |= static_cast<std::uint8_t>(128U >> (bit % 8));
    IpAddress before = prefix.address, after = last;
    for (int i = 15; i >= 0 && before.bytes[static_cast<std::size_t>(i)]-- == 0; --i) {
    }
    for (int i = 15; i >= 0 && ++after.bytes[static_cast<std::size_t>(i)] == 0; --i) {
    }
    result.insert(result.end(), {prefix.address, last, before, after});
  };
  for (const AddressSet* one : blocks) {
    std::for_each(one->include.begin(), one->include.end(), add);
    std::for_each(one->except.begin(), one->except.end(), add);
  }
  return result;
}

TEST(PrefixClasses, AgreeWithLookingAtEveryEdge) {
  const std::vector<AddressSet> given = {
      block("0.0.0.0/0"),
      block("0.0.0.0/0", {"10.0.0.0/8", "192.168.0.0/16", "10.0.0.0/24"}),
      block("10.0.0.0/8", {"10.0.0.0/8"}),
      block("10.1.0.0/16"),
      block("10.1.2.3"),
      block("255.255.255.255"),
      block("0.0.0.0/1"),
      block("::/0", {"2001:db8::/32"}),
      block("2001:db8::/32", {"2001:db8:1::/48"}),
      block("2001:db8:1::/64"),
      block("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
      block("192.168.0.0/16", {"2001:db8::/32"}),
  };
  std::vector<const AddressSet*> blocks;
  blocks.reserve(given.size());
  for (const AddressSet& one : given) blocks.push_back(&one);
  const PrefixClasses classes(blocks);
  for (const IpAddress& ip : edges(blocks)) expect_class(classes, blocks, ip);
}

TEST(PrefixClasses, AddressesInTheSameBlocksShareAClass) {
  const std::vector<AddressSet> given = {block("10.0.0.0/8"), block("172.16.0.0/12", {"172.16.9.0/24"})};
  const PrefixClasses classes(std::vector<const AddressSet*>{&given[0], &given[1]});
  EXPECT_EQ(classes.size(), 3U);
  const auto of = [&](const char* ip) { return classes.classify(IpAddress::parse(ip).value()); };
  EXPECT_EQ(of("172.16.0.1"), of("172.31.255.255"));
  EXPECT_EQ(of("172.16.9.1"), PrefixClasses::kNone);
  EXPECT_EQ(of("2001:db8::1"), PrefixClasses::kNone);
  EXPECT_NE(of("10.0.0.1"), of("172.16.0.1"));
}

TEST(PrefixClasses, WithoutBlocksThereIsOneClass) {
  const PrefixClasses classes({});
  EXPECT_EQ(classes.size(), 1U);
  EXPECT_EQ(classes.classify(IpAddress::v4(0x0A000001)), PrefixClasses::kNone);
  EXPECT_EQ(classes.classify(IpAddress{}), PrefixClasses::kNone);
}

TEST(PrefixClasses, RandomBlocksAgreeWithLooking) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    const auto random_prefix = [&] {
      IpPrefix prefix;
      const bool v4 = dice.one_in(2);
      prefix.length = static_cast<std::uint8_t>(v4 ? 96 + dice.roll(33) : dice.roll(129));
      prefix.address =
          v4 ? IpAddress::v4(static_cast<std::uint32_t>(dice.roll(8) << 29 | dice.roll(4) << 15 | dice.roll(4)))
             : IpAddress{};
      if (!v4) prefix.address.bytes[0] = static_cast<std::uint8_t>(0x20 + dice.roll(4));
      if (!v4) prefix.address.bytes[7] = static_cast<std::uint8_t>(dice.roll(4));
      return IpPrefix::parse(prefix.to_string()).value();
    };
    std::vector<AddressSet> given(dice.roll(90));
    for (AddressSet& one : given) {
      for (std::size_t i = 1 + dice.roll(3); i > 0; --i) one.include.push_back(random_prefix());
      for (std::size_t i = dice.roll(4); i > 0; --i) one.except.push_back(random_prefix());
    }
    std::vector<const AddressSet*> blocks;
    blocks.reserve(given.size());
    for (const AddressSet& one : given) blocks.push_back(&one);
    const PrefixClasses classes(blocks);
    for (const IpAddress& ip : edges(blocks)) expect_class(classes, blocks, ip);
  }
}

}  // namespace
}  // namespace weir::policy
