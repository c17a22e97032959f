#include "flowlog/fields_doc.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace weir::flowlog {
namespace {

TEST(FieldsDoc, ThePageIsThatOfTheTable) {
  const std::string path = std::string(WEIR_SOURCE_DIR) + "/docs/fields.md";
  if (std::getenv("WEIR_GOLDEN") != nullptr) std::ofstream(path) << fields_markdown();
  std::ifstream file(path);
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(page, fields_markdown()) << "run flowlog_test with WEIR_GOLDEN=write and review the difference";
}

}  // namespace
}  // namespace weir::flowlog
