// Any bytes as a query of `weir policy eval`: exactly one line of JSON comes back, with a verdict or an error.

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "app/policy_eval.h"
#include "cluster/manifest_reader.h"

namespace {

constexpr const char* kManifests = R"(
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: b}
status: {podIP: 10.0.0.1}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: b}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80, endPort: 90}]}]}
)";

weir::app::PolicyEval make_eval() {
  weir::cluster::ClusterObjects objects;
  weir::cluster::ManifestNotes notes;
  if (!weir::cluster::read_manifest_text("fuzz", kManifests, false, objects, notes).ok()) std::abort();
  return std::move(weir::app::PolicyEval::create(std::move(objects), {})).value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static weir::app::PolicyEval eval = make_eval();
  std::string answer;
  const bool verdict = eval.answer({reinterpret_cast<const char*>(data), size}, 1, answer);
  if (answer.empty() || answer.find('\n') != answer.size() - 1) std::abort();
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(answer).get(object) != simdjson::SUCCESS) std::abort();
  if ((object["error"].error() == simdjson::SUCCESS) == verdict) std::abort();
  return 0;
}
