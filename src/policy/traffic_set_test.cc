#include "policy/internal/traffic_set.h"

#include <gtest/gtest.h>

#include "policy/internal/domains.h"
#include "policy/internal/http_match.h"
#include "policy/internal/traffic_classes.h"
#include "policy/policy_test_world.h"

namespace weir::policy {
namespace {

TEST(TrafficSet, OperationsAgreeWithLookingAtEachPort) {
  Dice dice(5);
  const std::uint8_t protocols[] = {6, 17, 132, 1, 58, 47, 0, 255};
  const auto random_set = [&] {
    TrafficSet set;
    for (std::size_t i = dice.roll(4); i > 0; --i) {
      const auto first = static_cast<std::uint16_t>(dice.one_in(3) ? 65'530 + dice.roll(6) : dice.roll(8));
      set.unite(TrafficSet::ports(protocols[dice.roll(8)], first,
                                  static_cast<std::uint16_t>(std::min<std::size_t>(65'535, first + dice.roll(5)))));
    }
    if (dice.one_in(3)) set.complement();
    return set;
  };
  for (int round = 0; round < 200; ++round) {
    const TrafficSet a = random_set(), b = random_set();
    TrafficSet either = a, both = a, only = a, other = a;
    either.unite(b);
    both.intersect(b);
    only.subtract(b);
    other.complement();
    for (const std::uint8_t protocol : protocols) {
      for (const std::uint16_t port :
           std::initializer_list<std::uint16_t>{0, 1, 2, 3, 5, 8, 12, 13, 40'000, 65'529, 65'530, 65'534, 65'535}) {
        const bool in_a = a.contains(protocol, port), in_b = b.contains(protocol, port);
        ASSERT_EQ(either.contains(protocol, port), in_a || in_b);
        ASSERT_EQ(both.contains(protocol, port), in_a && in_b);
        ASSERT_EQ(only.contains(protocol, port), in_a && !in_b);
        ASSERT_EQ(other.contains(protocol, port), !in_a);
      }
    }
    other.complement();
    ASSERT_EQ(other, a) << "equal sets compare equal";
  }
}

TEST(TrafficSet, ARangeThatEndsBeforeItBeginsIsEmpty) {
  EXPECT_TRUE(TrafficSet::ports(6, 81, 80).empty());
  EXPECT_TRUE(TrafficSet::all().contains(47, 0));
  EXPECT_TRUE(TrafficSet::all().is_all());
}

TEST(TrafficClasses, TellApartWhatSetsTellApart) {
  TrafficClasses classes;
  const TrafficSet set = TrafficSet::ports(6, 80, 89);
  EXPECT_TRUE(classes.cut(set));
  EXPECT_FALSE(classes.cut(set));
  classes.number();
  EXPECT_EQ(classes.classify(6, 80), classes.classify(6, 89));
  EXPECT_NE(classes.classify(6, 79), classes.classify(6, 80));
  EXPECT_NE(classes.classify(6, 89), classes.classify(6, 90));
  EXPECT_NE(classes.classify(17, 1), classes.classify(6, 1));
  EXPECT_EQ(classes.classify(47, 1), classes.classify(47, 2));
  EXPECT_NE(classes.classify(47, 1), classes.classify(50, 1));
  std::vector<std::uint32_t> of_set;
  classes.for_each_class(set, [&](std::uint32_t one) { of_set.push_back(one); });
  EXPECT_EQ(of_set, std::vector<std::uint32_t>{classes.classify(6, 85)});
}

TEST(Domains, WildcardsStandForWholeLeadingLabelsAndCiliumsForPartsOfOne) {
  struct Case {
    const char *pattern, *name;
    bool want;
  };
  for (const Case& one :
       {Case{"example.org", "EXAMPLE.org.", true}, Case{"example.org", "www.example.org", false},
        Case{"*.k8s.io", "a.b.k8s.io", true}, Case{"*.k8s.io", "k8s.io", false}, Case{"*.k8s.io", "ak8s.io", false},
        Case{"~*.example.org", "www.example.org", true}, Case{"~*.example.org", "a.www.example.org", false},
        Case{"~*", "any.thing", true}, Case{"~*", "", false}, Case{"~w*w.ex*e.org", "wwww.example.org", true},
        Case{"~w*w.ex*e.org", "ww.exampl.org", false}, Case{"a*b.org", "ab.org", false}, Case{"", "", true},
        Case{"~**a", "xa", true}}) {
    EXPECT_EQ(domain_matches(one.pattern, one.name), one.want) << one.pattern << " " << one.name;
  }
}

TEST(HttpPaths, AreNormalisedBeforeTheyAreCompared) {
  EXPECT_EQ(normalized_path("/a;x=1/./b//c/../d?q#f"), "/a/b/d");
  EXPECT_EQ(normalized_path("/%61%2Fb"), "/a/b");
  EXPECT_EQ(normalized_path("/a\\b"), "/a/b");
  EXPECT_EQ(normalized_path("/../../x"), "/x");
  EXPECT_EQ(normalized_path(""), "/");
  for (const char* bad : {"/%252e", "/%252F", "/%255c", "/%00", "/%2", "/%zz"}) {
    EXPECT_FALSE(normalized_path(bad).has_value()) << bad;
  }
  EXPECT_TRUE(path_matches({"/", true}, "/x"));
  EXPECT_TRUE(http_matches({{"*"}, {}}, {"PATCH", "/%00"})) << "without paths the path does not matter";
}

}  // namespace
}  // namespace weir::policy
