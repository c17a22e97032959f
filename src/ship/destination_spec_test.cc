#include <gtest/gtest.h>

#include "ship/destination.h"

namespace weir::ship {
namespace {

TEST(DestinationSpec, AUrlAloneIsAWeirServer) {
  const auto spec = parse_destination("https://weir.example:4680 types=flows");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec.value().kind, "weir");
  EXPECT_EQ(spec.value().url, "https://weir.example:4680");
}

TEST(DestinationSpec, WordsBecomeAll) {
  const auto spec = parse_destination(
      "http name=siem url=https://x/y types=flows,audit filter='action = deny AND port IN {1, 2}' token_file=/t "
      "ca_file=/c certificate_file=/d key_file=/k");
  ASSERT_FALSE(spec.ok()) << "port is no field of audit logs";
  const auto good = parse_destination(
      "http  name=siem url=https://x/y types=flows filter='action = deny AND port IN {1, 2}' token_file=/t "
      "ca_file=/c certificate_file=/d key_file=/k");
  ASSERT_TRUE(good.ok()) << good.error().message;
  EXPECT_EQ(good.value().kind, "http");
  EXPECT_EQ(good.value().name, "siem");
  EXPECT_EQ(good.value().url, "https://x/y");
  EXPECT_EQ(good.value().logs, std::vector{model::LogType::kFlows});
  EXPECT_EQ(good.value().filter, "action = deny AND port IN {1, 2}");
  EXPECT_EQ(good.value().token_file, "/t");
  EXPECT_EQ(good.value().ca_file, "/c");
  EXPECT_EQ(good.value().certificate_file, "/d");
  EXPECT_EQ(good.value().key_file, "/k");
  const auto plain = parse_destination("stdout");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain.value().name, "stdout");
  EXPECT_EQ(plain.value().logs.size(), 4u);
}

TEST(DestinationSpec, MistakesNameTheWord) {
  const struct {
    const char *text, *want;
  } cases[] = {
      {"", "it is empty"},
      {"kafka url=x", "unknown kind 'kafka'"},
      {"weir", "url: http://… or https://… is wanted"},
      {"weir url=ftp://x", "url: http://"},
      {"stdout url=http://x", "url: stdout has none"},
      {"weir url=http://x what", "'what': key=value is wanted"},
      {"weir url=http://x what=1", "unknown word 'what'"},
      {"weir url=http://x types=flow", "types: 'flow' is no log"},
      {"weir url=http://x types=", "types: a log is missing"},
      {"weir url=http://x name=a/b", "name: 'a/b' is not of"},
      {"weir url=http://x filter='a", "a ' is not closed"},
      {"weir url=http://x filter=nope", "filter: "},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const auto spec = parse_destination(c.text);
    ASSERT_FALSE(spec.ok());
    EXPECT_NE(spec.error().message.find(c.want), std::string::npos) << spec.error().message;
  }
}

TEST(DestinationSpec, NamesOfSeveralDiffer) {
  EXPECT_TRUE(parse_destinations({"stdout", "weir url=http://x", "weir name=b url=http://x"}).ok());
  const auto same = parse_destinations({"weir url=http://x", "weir url=http://y"});
  ASSERT_FALSE(same.ok());
  EXPECT_NE(same.error().message.find("give it a name="), std::string::npos);
}

}  // namespace
}  // namespace weir::ship
