#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/node_pipeline.h"
#include "base/bounded_queue.h"
#include "cluster/manifest_watch.h"
#include "config/settings.h"
#include "kube/api_client.h"

namespace weir::app {

/// What the agent knows of the cluster and how it changes: from the API server of `kubeconfig`, else from the manifests
/// of `cluster`, else from the API server that a pod's service account names.
///
/// Threads: one; an API client has a thread of its own behind a queue. `note` is called from both.
class ClusterFeed {
 public:
  static Result<std::unique_ptr<ClusterFeed>> open(const config::Settings& settings, const std::string& node,
                                                   std::function<void(std::string_view)> note);

  /// Whether there is any source of pods and policies.
  bool configured() const { return manifests_ != nullptr || api_ != nullptr; }
  /// Readable when there is something to apply; -1: only time tells.
  int fd() const { return queue_ != nullptr ? queue_->fd() : -1; }
  /// Applies what is known at the start: waits for the API server's lists, at most so long (then notes what is
  /// missing).
  Status start(NodePipeline& node, std::chrono::milliseconds patience);
  /// Applies what changed since the last call; the policies are compiled anew where they must be.
  Status apply(NodePipeline& node, std::int64_t now_ns);
  /// How long after one apply() the next is wanted. A pod of manifests counts from the call that finds it, and may have
  /// another's address. The API server's changes carry their own time, but a data plane hears of a policy as soon as we
  /// do: who it denies before we know of it is denied by no policy that we could name.
  std::int64_t apply_interval_ns() const { return 100'000'000; }

  /// All objects were known once.
  bool synced() const;
  /// "manifests", the API server's URL, or "none".
  std::string source() const;
  /// Empty without an API server.
  kube::ApiClientStatus api_status() const;

 private:
  ClusterFeed() = default;
  /// Applies what the API client told, up to a queue full of it; how much it was.
  std::size_t take_queued(NodePipeline& node);
  std::function<void(std::string_view)> note_;
  std::unique_ptr<cluster::ManifestWatch> manifests_;
  std::unique_ptr<BoundedQueue<cluster::ObjectChange>> queue_;
  std::unique_ptr<kube::ApiClient> api_;
  std::vector<cluster::ObjectChange> changes_;
};

}  // namespace weir::app
