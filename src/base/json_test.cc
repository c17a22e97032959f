#include "base/json.h"

#include <gtest/gtest.h>

namespace weir::json {
namespace {

TEST(Json, EscapesWhatRfc8259Requires) {
  const struct {
    std::string text, want;
  } cases[] = {
      {"plain", "\"plain\""},
      {"a\"b\\c", "\"a\\\"b\\\\c\""},
      {std::string("\0\n\x1f\x7f", 4), "\"\\u0000\\n\\u001f\\u007f\""},
      {"gr\xC3\xBC\xC3\x9F", "\"gr\xC3\xBC\xC3\x9F\""},
      {"\xF0\x9F\x8C\x8A", "\"\xF0\x9F\x8C\x8A\""},
      {"\xC3(", "\"\xEF\xBF\xBD(\""},                                // a lead without its tail
      {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},  // a surrogate
      {"\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                  // an overlong slash
  };
  for (const auto& c : cases) {
    std::string out;
    append_string(out, c.text);
    EXPECT_EQ(out, c.want);
  }
}

TEST(Json, WritesAddressesAsText) {
  std::string out;
  append_ip(out, IpAddress::v4(0x0A000001));
  EXPECT_EQ(out, "\"10.0.0.1\"");
}

}  // namespace
}  // namespace weir::json
