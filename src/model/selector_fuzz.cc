#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/selector.h"

/// Any text: it is refused with a column, or its canonical text is read again as the same selector, and its negation
/// answers the opposite.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using weir::model::Selector;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto selector = Selector::parse(text);
  if (!selector.ok()) {
    CHECK(selector.error().message.starts_with("column "));
    return 0;
  }
  static const weir::model::LabelSet kLabels{{"a=b", "app=web", "tier="}};
  const bool matched = selector.value().matches(kLabels);
  const std::string canonical = selector.value().canonical();
  const auto again = Selector::parse(canonical);
  // The canonical text brackets every chain, so that it may nest deeper than what was written.
  if (again.ok()) {
    CHECK(again.value().canonical() == canonical);
    CHECK(again.value().matches(kLabels) == matched);
  } else {
    CHECK(again.error().message.find("too deep") != std::string::npos ||
          again.error().message.find("longer than") != std::string::npos);
  }
  const auto negated = Selector::parse("!(" + std::string(text) + ")");
  if (negated.ok() && text.find_first_not_of(" \t") != std::string_view::npos) {
    CHECK(negated.value().matches(kLabels) != matched);
  }
  return 0;
}
