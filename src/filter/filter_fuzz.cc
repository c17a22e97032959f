#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "filter/filter.h"

/// Any text: it is refused with a column, or it compiles and answers, and NOT of it answers the opposite.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto filter = weir::filter::Filter::compile(text);
  if (!filter.ok()) {
    CHECK(filter.error().message.starts_with("column "));
    return 0;
  }
  static const weir::model::LabelSet labels{{"app=web", "tier="}};
  static const weir::model::PolicyTrace trace{{"0|default|shop/default.web|allow|0"}, weir::model::Action::kAllow};
  weir::model::FlowRecord record;
  record.source_namespace = "shop";
  record.source_labels = &labels;
  record.policies.enforced = &trace;
  record.source_ip = weir::IpAddress::v4(0x0A000001u);
  record.dest_port = 80;
  const bool matched = filter.value().matches(record);
  const auto negated = weir::filter::Filter::compile("NOT (" + std::string(text) + ")");
  if (negated.ok()) CHECK(negated.value().matches(record) != matched);  // else too deep or too long
  return 0;
}
