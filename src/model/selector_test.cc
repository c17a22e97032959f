#include "model/selector.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace weir::model {
namespace {

LabelSet labels(std::vector<std::string> pairs) {
  std::sort(pairs.begin(), pairs.end());
  return {std::move(pairs)};
}

TEST(Selector, OnlyNotEqualAndNotInHoldForWhoHasNoSuchLabel) {
  const LabelSet none;
  const LabelSet other = labels({"ab=x", "a-b=x"});
  for (const char* text : {"a != 'x'", "a not in {'x'}", "a not in {}", "!has(a)", "!a == 'x'", "!a contains ''"}) {
    SCOPED_TRACE(text);
    const auto selector = Selector::parse(text);
    ASSERT_TRUE(selector.ok()) << selector.error().message;
    EXPECT_TRUE(selector.value().matches(none));
    EXPECT_TRUE(selector.value().matches(other));
  }
  for (const char* text : {"a == 'x'", "a == ''", "a in {'x'}", "a in {}", "a contains ''", "a starts with ''",
                           "a ends with ''", "has(a)"}) {
    SCOPED_TRACE(text);
    const auto selector = Selector::parse(text);
    ASSERT_TRUE(selector.ok()) << selector.error().message;
    EXPECT_FALSE(selector.value().matches(none));
    EXPECT_FALSE(selector.value().matches(other));
  }
}

TEST(Selector, ComparesAsWrittenAndAndBindsTighterThanOr) {
  const LabelSet pod = labels({"app=web-1", "tier=front", "empty=", "in=x", "has=y"});
  const struct {
    const char* text;
    bool matches;
  } cases[] = {
      {"app starts with 'web' && app ends with '-1' && app contains 'b-'", true},
      {"app startswith 'web'", true},
      {"app endswith'-1'", true},
      {"app ends with 'web'", false},
      {"tier == 'back' && app == 'x' || tier == 'front'", true},
      {"tier == 'front' || tier == 'back' && app == 'x'", true},
      {"(tier == 'front' || tier == 'back') && app == 'x'", false},
      {"empty == ''", true},
      {"in in{'x'}", true},
      {"has == 'y' && has( has )", true},
      {"app notin {'a', \"b\"}", true},
      {"!! ! has(app)", false},
      {" \t ", true},
      {"global()", true},
      {"all( ) && has(\tapp )", true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const auto selector = Selector::parse(c.text);
    ASSERT_TRUE(selector.ok()) << selector.error().message;
    EXPECT_EQ(selector.value().matches(pod), c.matches);
  }
}

TEST(Selector, AnErrorNamesTheColumn) {
  const struct {
    const char* text;
    const char* begins;
  } cases[] = {
      {"a", "column 2: expected '==', '!='"},
      {"a = 'b'", "column 3: expected '==', '!='"},
      {"a == b", "column 6: expected a quoted string, not 'b'"},
      {"a == 'b", "column 6: this quote is not closed"},
      {"a == 'b' &", "column 10: expected '&&', '||' or the end, not '&'"},
      {"a == 'b' && ", "column 13: the selector ends"},
      {"a == 'b'\n", "column 9: expected '&&', '||' or the end, not a line break"},
      {"a in {'b' 'c'}", "column 11: expected a quoted string or '}', not '''"},
      {"a in 'b'", "column 6: expected a set"},
      {"a !in {'b'}", "column 3: expected '=='"},
      {"a inx {'b'}", "column 5: expected a set"},
      {"a starts 'b'", "column 3: expected '=='"},
      {"has (a)", "column 5: expected '=='"},
      {"has()", "column 5: expected a label name in has()"},
      {"all(a)", "column 5: expected ')'"},
      {"(has(a)", "column 8: expected ')', not the end"},
      {"!", "column 2: the selector ends"},
      {"a == 'b' c == 'd'", "column 10: expected '&&'"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const auto selector = Selector::parse(c.text);
    ASSERT_FALSE(selector.ok());
    EXPECT_TRUE(selector.error().message.starts_with(c.begins)) << selector.error().message;
  }
}

TEST(Selector, NestingAndNamesHaveBounds) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '(') + "has(a)" +
           std::string(static_cast<std::size_t>(depth), ')');
  };
  EXPECT_TRUE(Selector::parse(nested(kMaxSelectorDepth)).ok());
  EXPECT_FALSE(Selector::parse(nested(kMaxSelectorDepth + 1)).ok());
  EXPECT_FALSE(Selector::parse(nested(100'000)).ok());
  EXPECT_TRUE(Selector::parse(std::string(100'001, '!') + "has(a)").ok());
  EXPECT_TRUE(Selector::parse("has(" + std::string(kMaxSelectorLabelBytes, 'a') + ")").ok());
  EXPECT_FALSE(Selector::parse("has(" + std::string(kMaxSelectorLabelBytes + 1, 'a') + ")").ok());
  EXPECT_FALSE(Selector::parse(std::string(kMaxSelectorLabelBytes + 1, 'a') + " == 'b'").ok());
}

TEST(Selector, CanonicalTextIsTheSameForSelectorsThatDifferInSpelling) {
  const struct {
    const char* text;
    const char* canonical;
  } cases[] = {
      {"a in {'c', \"b\", 'c'}", "a in {\"b\", \"c\"}"},
      {"a notin{}", "a not in {}"},
      {"((a=='b'))&&b!='c'", "(a == \"b\" && b != \"c\")"},
      {"a startswith 'x' || a endswith \"y\"", "(a starts with \"x\" || a ends with \"y\")"},
      {"!!has(a)", "has(a)"},
      {"!(!has(a))", "has(a)"},
      {"a contains 'say \"x\"'", "a contains 'say \"x\"'"},
      {"", "all()"},
      {"global( )", "global()"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const auto selector = Selector::parse(c.text);
    ASSERT_TRUE(selector.ok()) << selector.error().message;
    EXPECT_EQ(selector.value().canonical(), c.canonical);
  }
}

TEST(Selector, NamesTheKeysItMentions) {
  const auto selector = Selector::parse("b == 'x' && (has(a) || !c in {'y'}) && b != 'z'");
  ASSERT_TRUE(selector.ok());
  EXPECT_EQ(selector.value().label_keys(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(selector.value().root().kind, Selector::Kind::kAnd);
  EXPECT_EQ(selector.value().root().children.size(), 3u);
  EXPECT_TRUE(Selector().is_all());
}

}  // namespace
}  // namespace weir::model
