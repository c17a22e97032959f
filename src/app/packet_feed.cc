#include "app/packet_feed.h"

#include <array>
#include <limits>

#include "app/stage_options.h"

namespace weir::app {
namespace {

constexpr std::size_t kBatch = 256;
/// A removed interface's ring is read to its end long before.
constexpr std::int64_t kLastPacketsNs = 10'000'000'000;

}  // namespace

Result<std::unique_ptr<PacketFeed>> PacketFeed::create(const config::Settings& settings, bool resume, Role role) {
  std::unique_ptr<PacketFeed> feed(new PacketFeed(role));
  capture::AfPacketOptions options;
  options.payloads_only = role == Role::kPayloadsOnly;
  options.ring_bytes = static_cast<std::uint32_t>(settings.packet_ring_kb) * 1024;
  TRY_ASSIGN(feed->packets_, capture::AfPacket::create(options));
  feed->decoder_ = std::make_unique<packet::Decoder>(decoder_options(settings));
  meter::MeterOptions meter = pod_meter_options(settings);
  if (resume) meter.resume_until_ns = std::numeric_limits<std::int64_t>::max();
  TRY_ASSIGN(feed->meter_, meter::Meter::create(meter));
  return feed;
}

FeedRead PacketFeed::read(NodePipeline& node, std::int64_t now_ns) {
  now_ns_ = now_ns;
  std::array<packet::PacketView, kBatch> views;
  std::array<packet::DecodedPacket, kBatch> packets;
  const std::size_t count = packets_->next_batch(views);
  std::size_t decoded = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (decoder_->decode(views[i], packets[decoded]) == packet::DecodeStatus::kOk) ++decoded;
  }
  const std::span<const packet::DecodedPacket> batch(packets.data(), decoded);
  meter_->process(batch, &notes_);
  inspect(node, batch);
  take(node);
  return {count != 0, count == kBatch};
}

void PacketFeed::inspect(NodePipeline& node, std::span<const packet::DecodedPacket> packets) {
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (!wants_dns(packets[i])) continue;
    node.inspect_dns(packets[i], notes_.places[i].slot, notes_.places[i].forward);
  }
  for (const std::uint32_t i : notes_.inspect) {
    const meter::PacketPlace place = notes_.places[i];
    if (!node.inspect_http(packets[i], place.slot, place.forward)) meter_->stop_inspecting(place.slot);
  }
}

void PacketFeed::take(NodePipeline& node) {
  if (role_ == Role::kConnections) {
    node.take(meter_->updates());
  } else {
    node.take_inspected(meter_->updates());
  }
  meter_->clear_updates();
}

void PacketFeed::drain(NodePipeline& node, std::int64_t now_ns) {
  now_ns_ = now_ns;
  meter_->advance(now_ns);
  std::erase_if(gone_, [&](const Gone& gone) {
    if (now_ns < gone.until_ns) return false;
    meter_->end_interface(gone.zone);
    return true;
  });
  take(node);
}

void PacketFeed::remove_interface(const capture::PodInterface& interface) {
  packets_->remove_interface(interface);
  gone_.push_back({interface.zone, now_ns_ + kLastPacketsNs});
}

/// The rings hold what comes in 200 ms of a busy pod; a hundred thousand updates take longer.
void PacketFeed::report(NodePipeline& node) {
  constexpr int kSpansBetweenReads = 16, kBatchesInARow = 64;
  int spans = 0;
  for (auto updates = meter_->flush(); !updates.empty(); updates = meter_->flush()) {
    if (role_ == Role::kConnections) node.collect(updates);
    if (++spans % kSpansBetweenReads != 0) continue;
    for (int i = 0; i < kBatchesInARow && read(node, now_ns_).more; ++i) continue;
  }
}

void PacketFeed::flush(NodePipeline& node, std::int64_t, bool final) {
  if (final) meter_->end_input();
  report(node);
}

Status PacketFeed::add_interface(const capture::PodInterface& interface) {
  meter_->set_interface(interface.zone, interface.since_ns);
  return packets_->add_interface(interface);
}

FeedStats PacketFeed::stats() {
  const capture::AfPacketStats packets = packets_->stats();
  const meter::MeterStats& meter = meter_->stats();
  FeedStats stats;
  stats.counts = {name(), meter.started, packets.packets, {{"ring_full", packets.dropped}}};
  stats.open = meter.open;
  stats.dropped = {{"evicted", meter.evicted}};
  return stats;
}

}  // namespace weir::app
