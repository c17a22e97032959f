// Any bytes as the manifests of `weir policy lint` and `weir policy trace`: whatever can be read is examined, and
// traced from its first pod to its last.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "app/policy_lint.h"
#include "app/policy_trace.h"
#include "cluster/manifest_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::cluster::ClusterObjects objects;
  weir::cluster::ManifestNotes notes;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!weir::cluster::read_manifest_text("fuzz", text, false, objects, notes).ok()) return 0;
  const auto findings = weir::app::lint_policies(objects);
  if (findings.ok()) {
    if (weir::app::findings_text(findings.value()).empty()) std::abort();
    if (!weir::app::findings_json(findings.value()).ends_with("]\n")) std::abort();
  }
  if (objects.pods.empty()) return 0;
  const auto name = [](const weir::cluster::Pod& pod) { return pod.meta.namespace_name + "/" + pod.meta.name; };
  weir::app::TraceQuestion question;
  question.source = name(objects.pods.front());
  question.dest = name(objects.pods.back()) + ":80";
  question.staged = size % 2 == 1;
  question.json = size % 4 > 1;
  (void)weir::app::trace_policies(std::move(objects), question).ok();
  return 0;
}
