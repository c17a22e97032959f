#include "app/cluster_feed.h"

namespace weir::app {

Result<std::unique_ptr<ClusterFeed>> ClusterFeed::open(const config::Settings& settings, const std::string&,
                                                       std::function<void(std::string_view)> note) {
  std::unique_ptr<ClusterFeed> feed(new ClusterFeed());
  feed->note_ = std::move(note);
  if (!settings.cluster.empty()) feed->manifests_ = std::make_unique<cluster::ManifestWatch>(settings.cluster);
  return feed;
}

Status ClusterFeed::apply(NodePipeline& node, std::int64_t now_ns) {
  if (manifests_ != nullptr) {
    const cluster::ManifestWatch::Changes changes = manifests_->poll(now_ns);
    for (const std::string& error : changes.errors) note_(error);
    for (const cluster::ObjectChange& change : changes.objects) node.ledger().apply(change);
  }
  return node.refresh_policies();
}

}  // namespace weir::app
