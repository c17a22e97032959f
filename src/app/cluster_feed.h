#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "app/node_pipeline.h"
#include "cluster/manifest_watch.h"
#include "config/settings.h"

namespace weir::app {

/// What the agent knows of the cluster and how it changes: manifests, or the API server. Threads: one.
class ClusterFeed {
 public:
  static Result<std::unique_ptr<ClusterFeed>> open(const config::Settings& settings, const std::string& node,
                                                   std::function<void(std::string_view)> note);

  /// Whether there is any source of pods and policies.
  bool configured() const { return manifests_ != nullptr; }
  /// Applies what changed since the last call; the policies are compiled anew where they must be.
  Status apply(NodePipeline& node, std::int64_t now_ns);

 private:
  ClusterFeed() = default;
  std::function<void(std::string_view)> note_;
  std::unique_ptr<cluster::ManifestWatch> manifests_;
};

}  // namespace weir::app
