#include "api/tokens.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace weir::api {
namespace {

class TokensTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-tokens-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    path_ = folder_ + "/tokens";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  Result<Tokens> load(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), mode);
    return Tokens::load(path_);
  }
  std::string folder_, path_;
};

TEST_F(TokensTest, AreTakenInEachFormAndByRole) {
  const auto tokens =
      load("# ours\n\nall-0123456789abcdef\nread-0123456789abcdef read\n  ship-0123456789abcdef\tingest\n");
  ASSERT_TRUE(tokens.ok()) << tokens.error().message;
  const struct {
    const char *header, *role;
    unsigned want;  // 0: allowed
  } cases[] = {
      {"", "", 0},
      {"", "read", 401},
      {"Bearer all-0123456789abcdef", "read", 0},
      {"bearer  all-0123456789abcdef", "ingest", 0},
      {"Bearer read-0123456789abcdef", "read", 0},
      {"Bearer read-0123456789abcdef", "ingest", 403},
      {"Bearer ship-0123456789abcdef", "ingest", 0},
      {"Bearer ship-0123456789abcdef", "read", 403},
      {"Bearer all-0123456789abcdeg", "read", 401},
      {"Bearer ", "read", 401},
      {"Bearer", "read", 401},
      // any:ship-0123456789abcdef
      {"Basic YW55OnNoaXAtMDEyMzQ1Njc4OWFiY2RlZg==", "ingest", 0},
      {"ApiKey YW55OnNoaXAtMDEyMzQ1Njc4OWFiY2RlZg==", "ingest", 0},
      {"Basic !!", "ingest", 401},
      {"Digest x", "ingest", 401},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.header) + " for " + c.role);
    http::Request request;
    request.headers = {{"authorization", c.header}};
    http::Route route;
    route.role = c.role;
    const auto refused = tokens.value().check(request, route);
    EXPECT_EQ(refused ? refused->status : 0U, c.want);
  }
}

TEST_F(TokensTest, FilesThatAreOpenToOthersOrWrongAreRefused) {
  const struct {
    const char* text;
    mode_t mode;
    const char* want;
  } cases[] = {
      {"all-0123456789abcdef\n", 0644, "others may read or change it"},
      {"all-0123456789abcdef\n", 0660, "others may read or change it"},
      {"short\n", 0600, "tokens:1: a token has at least 16"},
      {"\nall-0123456789abcdef root\n", 0600, "tokens:2: the role 'root'"},
      {"# none\n", 0600, "it has no token"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const auto tokens = load(c.text, c.mode);
    ASSERT_FALSE(tokens.ok());
    EXPECT_NE(tokens.error().message.find(c.want), std::string::npos) << tokens.error().message;
  }
  EXPECT_FALSE(Tokens::load(folder_ + "/none").ok());
}

}  // namespace
}  // namespace weir::api
