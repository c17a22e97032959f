// Any bytes as a manifest, once as YAML or JSON and once as JSON, and a ledger of what was read before the error, if
// there is one: never a crash.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "cluster/ledger.h"
#include "cluster/manifest_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool json : {false, true}) {
    weir::cluster::ClusterObjects objects;
    weir::cluster::ManifestNotes notes;
    const weir::Status status = weir::cluster::read_manifest_text("fuzz", text, json, objects, notes);
    (void)status.ok();
    (void)notes.lines();
    const weir::cluster::Ledger ledger(std::move(objects));
    (void)ledger.policy_set_at(0);
    for (const auto* pod : ledger.pods()) {
      for (const weir::IpAddress& ip : pod->ips) (void)ledger.resolve(ip, pod->namespace_name, 0);
    }
  }
  return 0;
}
