#include "app/cluster_feed.h"

#include <poll.h>

namespace weir::app {
namespace {

constexpr std::size_t kQueuedChanges = 4096;

}  // namespace

Result<std::unique_ptr<ClusterFeed>> ClusterFeed::open(const config::Settings& settings, const std::string& node,
                                                       std::function<void(std::string_view)> note) {
  std::unique_ptr<ClusterFeed> feed(new ClusterFeed());
  feed->note_ = std::move(note);
  if (settings.kubeconfig.empty() && !settings.cluster.empty()) {
    feed->manifests_ = std::make_unique<cluster::ManifestWatch>(settings.cluster);
    return feed;
  }
  Result<kube::ApiServer> server = kube::find_api_server(settings.kubeconfig);
  if (!server.ok() && !settings.kubeconfig.empty()) return server.error();
  if (!server.ok()) {
    feed->note_("cluster: none, so no connection is a pod's: " + server.error().message);
    return feed;
  }
  TRY_ASSIGN(feed->queue_, BoundedQueue<cluster::ObjectChange>::create(kQueuedChanges));
  kube::ApiClientOptions options;
  options.node = node;
  const auto log = [feed = feed.get()](const std::string& line) { feed->note_("cluster: " + line); };
  TRY_ASSIGN(feed->api_, kube::ApiClient::create(std::move(server).value(), options, *feed->queue_, log));
  return feed;
}

std::size_t ClusterFeed::take_queued(NodePipeline& node) {
  changes_.clear();
  const std::size_t taken = queue_->pop(changes_, kQueuedChanges);
  for (const cluster::ObjectChange& change : changes_) node.ledger().apply(change);
  return taken;
}

Status ClusterFeed::start(NodePipeline& node, std::chrono::milliseconds patience) {
  if (api_ == nullptr) return apply(node, 0);
  api_->start();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    // Asked before the queue is emptied: what was known when it said so is then applied.
    const bool complete = api_->status().synced;
    while (take_queued(node) > 0) continue;
    if (complete) break;
    if (std::chrono::steady_clock::now() > deadline) {
      const kube::ApiClientStatus status = api_->status();
      note_("cluster: " + status.url + " has not told all yet, names may be missing" +
            (status.last_error.empty() ? "" : ": " + status.last_error));
      break;
    }
    // The last list may add nothing to the queue: asked again soon in any case.
    pollfd wait{queue_->fd(), POLLIN, 0};
    ::poll(&wait, 1, 20);
  }
  return node.refresh_policies();
}

Status ClusterFeed::apply(NodePipeline& node, std::int64_t now_ns) {
  if (manifests_ != nullptr) {
    const cluster::ManifestWatch::Changes changes = manifests_->poll(now_ns);
    for (const std::string& error : changes.errors) note_("cluster: " + error);
    for (const cluster::ObjectChange& change : changes.objects) node.ledger().apply(change);
  }
  if (queue_ != nullptr) take_queued(node);
  return node.refresh_policies();
}

bool ClusterFeed::synced() const { return api_ == nullptr || api_->status().synced; }

std::string ClusterFeed::source() const {
  if (manifests_ != nullptr) return "manifests";
  return api_ != nullptr ? api_->status().url : "none";
}

kube::ApiClientStatus ClusterFeed::api_status() const {
  return api_ != nullptr ? api_->status() : kube::ApiClientStatus{};
}

}  // namespace weir::app
