#include "app/replay_pipeline.h"

#include <algorithm>
#include <array>

#include "app/stage_options.h"
#include "capture/capture_file.h"
#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t floor_seconds(std::int64_t ns) { return ns / kSecond - (ns % kSecond < 0 ? 1 : 0); }
std::int64_t ceil_seconds(std::int64_t ns) { return -floor_seconds(-ns); }

}  // namespace

Result<std::unique_ptr<ReplayPipeline>> ReplayPipeline::create(const config::Settings& settings,
                                                               const std::vector<std::string>& cluster_paths,
                                                               const std::string& node, RecordSinks sinks) {
  std::unique_ptr<ReplayPipeline> pipeline(new ReplayPipeline());
  ReplayPipeline& p = *pipeline;
  p.interval_ns_ = settings.flush_interval.count();
  cluster::ClusterObjects objects;
  if (!cluster_paths.empty()) {
    cluster::ManifestNotes notes;
    TRY_ASSIGN(objects, cluster::load_manifests(cluster_paths, &notes));
    p.notes_ = notes.lines();
  }
  TRY_ASSIGN(p.node_,
             NodePipeline::create(settings, std::move(objects), !cluster_paths.empty(), node, std::move(sinks)));
  const std::span<const model::Endpoint* const> pods = p.node_->ledger().pods();
  const auto on_node = [&](const model::Endpoint* pod) { return pod->node == node; };
  if (!node.empty() && std::none_of(pods.begin(), pods.end(), on_node)) {
    return invalid_argument("--node " + node + ": no pod of the manifests runs there (spec.nodeName)");
  }
  p.decoder_ = std::make_unique<packet::Decoder>(decoder_options(settings));
  TRY_ASSIGN(p.meter_, meter::Meter::create(meter_options(settings)));
  return pipeline;
}

Status ReplayPipeline::read_file(const std::string& path) {
  ++stats_.files;
  TRY_ASSIGN(const std::unique_ptr<capture::CaptureFile> file, capture::CaptureFile::open(path));
  std::array<packet::PacketView, kBatch> views;
  std::array<packet::DecodedPacket, kBatch> packets;
  while (const std::size_t count = file->next_batch(views)) {
    std::size_t decoded = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (decoder_->decode(views[i], packets[decoded]) == packet::DecodeStatus::kOk) ++decoded;
    }
    process({packets.data(), decoded});
  }
  stats_.frames += file->stats().packets;
  stats_.wire_bytes += file->stats().wire_bytes;
  if (!file->status().ok()) {
    ++stats_.damaged_files;
    return file->status();
  }
  return {};
}

void ReplayPipeline::process(std::span<const packet::DecodedPacket> packets) {
  while (!packets.empty()) {
    move_window(packets.front().time_ns);
    std::size_t same = packets.size();
    if (interval_ns_ > 0) {
      const auto beyond = [&](const packet::DecodedPacket& packet) { return packet.time_ns >= window_end_ns_; };
      same = static_cast<std::size_t>(std::find_if(packets.begin(), packets.end(), beyond) - packets.begin());
    } else {
      for (const packet::DecodedPacket& packet : packets) {
        window_start_ns_ = std::min(window_start_ns_, packet.time_ns);
        window_end_ns_ = std::max(window_end_ns_, packet.time_ns);
      }
    }
    process_in_window(packets.first(same));
    packets = packets.subspan(same);
  }
}

void ReplayPipeline::process_in_window(std::span<const packet::DecodedPacket> packets) {
  meter_->process(packets, &packet_notes_);
  inspect(packets);
  take_updates();
}

void ReplayPipeline::inspect(std::span<const packet::DecodedPacket> packets) {
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (!meter::DnsInspector::wants(packets[i])) continue;
    const meter::PacketPlace place = packet_notes_.places[i];
    node_->inspect_dns(packets[i], place.slot, place.forward);
  }
  for (const std::uint32_t i : packet_notes_.inspect) {
    const meter::PacketPlace place = packet_notes_.places[i];
    if (!node_->inspect_http(packets[i], place.slot, place.forward)) meter_->stop_inspecting(place.slot);
  }
}

void ReplayPipeline::take_updates() {
  node_->take(meter_->updates());
  meter_->clear_updates();
}

void ReplayPipeline::move_window(std::int64_t time_ns) {
  if (!started_) {
    started_ = true;
    window_start_ns_ = interval_ns_ > 0 ? time_ns - time_ns % interval_ns_ : time_ns;
    window_end_ns_ = window_start_ns_ + interval_ns_;
    return;
  }
  if (interval_ns_ == 0) return;
  for (int silent = 0; time_ns >= window_end_ns_; ++silent) {
    meter_->advance(window_end_ns_);
    node_->advance(window_end_ns_);
    take_updates();
    close_window();
    window_start_ns_ = window_end_ns_;
    if (!node_->has_open_flows() || silent >= kMaxSilentWindows) window_start_ns_ = time_ns - time_ns % interval_ns_;
    window_end_ns_ = window_start_ns_ + interval_ns_;
  }
}

void ReplayPipeline::close_window() {
  for (auto updates = meter_->flush(); !updates.empty(); updates = meter_->flush()) node_->collect(updates);
  const std::int64_t start = floor_seconds(window_start_ns_);
  node_->close_window(start, std::max(ceil_seconds(window_end_ns_), start));
}

void ReplayPipeline::finish() {
  node_->finish_input();
  take_updates();
  meter_->end_input();
  if (started_) close_window();
}

ReplayStats ReplayPipeline::stats() const {
  ReplayStats stats = stats_;
  stats.decode = decoder_->stats();
  stats.meter = meter_->stats();
  stats.node = node_->stats();
  return stats;
}

}  // namespace weir::app
