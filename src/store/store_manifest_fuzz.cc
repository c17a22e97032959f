#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "store/internal/manifest.h"

/// Any bytes: a manifest is refused or read up to a point, and what was read is what its rewriting says.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace store = weir::store;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::uint64_t good_end = 0;
  const auto contents = store::read_manifest(text, &good_end);
  if (!contents.ok()) return 0;
  CHECK(good_end <= size);
  store::ManifestEdit edit;
  for (const auto& [file, segment] : contents.value().segments) edit.added.push_back(segment);
  const auto again = store::read_manifest(store::manifest_line(edit));
  CHECK(again.ok());
  CHECK(again.value().segments.size() == contents.value().segments.size());
  return 0;
}
