#include <cstddef>
#include <cstdint>

#include "ingest/bulk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto items = weir::ingest::parse_bulk(body, "flows");
  if (!items.ok()) return 0;
  for (const auto& item : items.value()) {
    (void)weir::ingest::log_of_index(item.index);
    // Documents are parts of the body.
    if (!item.source.empty())
      CHECK(item.source.data() >= body.data() && item.source.data() + item.source.size() <= body.data() + size);
  }
  return 0;
}
