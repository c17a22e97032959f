// Any bytes as a manifest, once as YAML or JSON and once as JSON: an error or objects, never a crash.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cluster/manifest_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool json : {false, true}) {
    weir::cluster::ClusterObjects objects;
    weir::cluster::ManifestNotes notes;
    const weir::Status status = weir::cluster::read_manifest_text("fuzz", text, json, objects, notes);
    (void)status.ok();
    (void)notes.lines();
  }
  return 0;
}
