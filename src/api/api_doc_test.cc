#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "api/server_api.h"

namespace weir::api {
namespace {

TEST(ApiDoc, ThePageHasTheTableOfEndpoints) {
  constexpr std::string_view kBegin = "<!-- begin: made from src/api/endpoints.cc by ./dev golden -->\n",
                             kEnd = "<!-- end -->\n";
  const std::string path = WEIR_SOURCE_DIR "/docs/server.md";
  std::ifstream file(path);
  std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::size_t begin = page.find(kBegin), end = page.find(kEnd);
  ASSERT_TRUE(begin != std::string::npos && end != std::string::npos);
  const std::size_t from = begin + kBegin.size();
  if (std::getenv("WEIR_GOLDEN") != nullptr) {
    page.replace(from, end - from, api_markdown());
    std::ofstream(path) << page;
    return;
  }
  EXPECT_EQ(page.substr(from, end - from), api_markdown()) << "run api_test with WEIR_GOLDEN=write";
}

}  // namespace
}  // namespace weir::api
