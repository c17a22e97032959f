#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/objects.h"

namespace weir::cluster {

/// What a reader passed over, for one line a kind to the user. Keys are "Kind (apiVersion)".
struct ManifestNotes {
  /// Policy kinds that decide verdicts in the real cluster but not yet here: verdicts may be wrong without them.
  std::map<std::string, std::uint64_t> not_evaluated;
  /// Kinds that flow logs have no use for.
  std::map<std::string, std::uint64_t> skipped;
  /// What is odd about objects that were read: "m.yaml: document 3 (AdminNetworkPolicy a): spec.ingress[0]: …". The
  /// first of them; `remarks` counts them all.
  std::vector<std::string> told;
  std::uint64_t remarks = 0;

  /// "AdminNetworkPolicy (policy.networking.k8s.io/v1alpha1): 3 objects not evaluated yet, …", policy kinds first, then
  /// remarks.
  std::vector<std::string> lines() const;
};

/// Limits of what is read; beyond them a manifest is an error. The API server itself takes objects up to 1.5 MiB.
inline constexpr std::size_t kMaxManifestBytes = std::size_t{2} << 30;
inline constexpr std::size_t kMaxManifestDepth = 64;
/// Nodes that YAML aliases may add to one file.
inline constexpr std::size_t kMaxAliasNodes = 1'000'000;

/// Reads Kubernetes and Calico objects as YAML or JSON: kubectl's output, List kinds, several documents a file.
///
/// In:      files, "-" for standard input, and folders: their *.yaml, *.yml and *.json, recursively, in sorted order.
/// Bounds:  file size, depth and alias expansion as above; memory about three times the largest file.
/// Errors:  the first malformed object, with file, document, object, field path and what is wrong:
///          "pods.yaml: document 3 (Pod shop/web): spec.containers[0].ports[0].containerPort: 'x' is not a port
///          number".
/// `notes` may be null.
Result<ClusterObjects> load_manifests(std::span<const std::string> paths, ManifestNotes* notes);

/// The same for one text, of which `name` stands in errors. `json`: it is JSON for sure; else JSON or YAML.
Status read_manifest_text(const std::string& name, std::string_view text, bool json, ClusterObjects& objects,
                          ManifestNotes& notes);

}  // namespace weir::cluster
