#include "app/ebpf_feed.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <limits>

#include "app/stage_options.h"

namespace weir::app {
namespace {

/// For DNS messages and heads of requests, until the next drain or a quarter of it is full.
constexpr std::uint32_t kRingBytes = 2u << 20;

/// Where the kernel's maps outlive us; empty if there is no BPF file system. Agents in several network namespaces of
/// one machine have pins of their own.
std::string pin_path(const config::Settings& settings) {
  if (settings.bpf_pin_directory.empty()) return {};
  struct statfs filesystem {};
  if (::statfs(settings.bpf_pin_directory.c_str(), &filesystem) != 0 || filesystem.f_type != BPF_FS_MAGIC) return {};
  struct stat network {};
  if (::stat("/proc/self/ns/net", &network) != 0) return {};
  return settings.bpf_pin_directory + "/weir-" + std::to_string(network.st_ino);
}

}  // namespace

Result<std::unique_ptr<EbpfFeed>> EbpfFeed::create(const config::Settings& settings, bool resume) {
  std::unique_ptr<EbpfFeed> feed(new EbpfFeed());
  capture::EbpfOptions options;
  options.max_flows = static_cast<std::uint32_t>(settings.flow_table_entries);
  options.ring_bytes = kRingBytes;
  options.dns = true;
  options.http_bytes = settings.l7_log ? options.http_bytes : 0;
  options.pin_path = pin_path(settings);
  TRY_ASSIGN(feed->source_, capture::EbpfSource::create(options));
  meter::MeterOptions meter = pod_meter_options(settings);
  if (resume) meter.resume_until_ns = std::numeric_limits<std::int64_t>::max();
  TRY_ASSIGN(feed->meter_, meter::DeltaMeter::create(meter));
  feed->decoder_ = std::make_unique<packet::Decoder>(decoder_options(settings));
  return feed;
}

std::vector<std::string> EbpfFeed::notes() const {
  std::vector<std::string> notes{std::string("ebpf: attached by ") + source_->attachment()};
  if (const Status sockets = source_->sockets_status(); !sockets.ok()) {
    notes.push_back("ebpf: no process names and no figures of sockets: " + sockets.error().message);
  }
  if (source_->replaced_pins()) {
    notes.push_back("ebpf: maps of an agent of another version were replaced; what they had counted is lost");
  }
  return notes;
}

FeedRead EbpfFeed::read(NodePipeline& node, std::int64_t) {
  const bool any = inspect(node);
  return {any, any};
}

bool EbpfFeed::inspect(NodePipeline& node) {
  const std::span<const packet::PacketView> frames = source_->packets();
  packet::DecodedPacket packet;
  for (const packet::PacketView& frame : frames) {
    if (decoder_->decode(frame, packet) != packet::DecodeStatus::kOk) continue;
    const meter::PacketPlace place = meter_->place(packet);
    if (wants_dns(packet)) {
      node.inspect_dns(packet, place.slot, place.forward);
    } else if (packet.tuple.protocol == model::kProtoTcp) {
      node.inspect_http(packet, place.slot, place.forward);
    }
  }
  take(node);
  return !frames.empty();
}

void EbpfFeed::take(NodePipeline& node) {
  node.take(meter_->updates());
  meter_->clear_updates();
}

void EbpfFeed::drain(NodePipeline& node, std::int64_t now_ns) {
  while (true) {
    const Result<std::span<const model::FlowDelta>> deltas = source_->drain();
    if (!deltas.ok()) {
      ++failed_drains_;
      break;
    }
    if (deltas.value().empty()) break;
    meter_->process(deltas.value());
    take(node);
  }
  while (inspect(node)) {
  }
  meter_->advance(now_ns);
  for (const std::uint16_t zone : gone_) meter_->end_interface(zone);
  gone_.clear();
  take(node);
}

void EbpfFeed::report(NodePipeline& node) {
  for (auto updates = meter_->flush(); !updates.empty(); updates = meter_->flush()) node.collect(updates);
}

void EbpfFeed::flush(NodePipeline& node, std::int64_t, bool final) {
  if (final) meter_->end_input();
  report(node);
}

void EbpfFeed::remove_interface(const capture::PodInterface& interface) {
  source_->detach(interface);
  gone_.push_back(interface.zone);
}

FeedStats EbpfFeed::stats() {
  const capture::EbpfStats source = source_->stats();
  const meter::DeltaMeterStats& meter = meter_->stats();
  FeedStats stats;
  stats.counts = {name(),
                  source.drained_flows,
                  source.dns_frames + source.http_frames,
                  {{"map_full_packets", source.lost_full.packets},
                   {"map_busy_packets", source.lost_busy.packets},
                   {"unknown_interface_packets", source.unknown_interface.packets},
                   {"dns_ring_full", source.dns_dropped},
                   {"http_ring_full", source.http_dropped},
                   {"socket_samples", source.socket_samples_lost},
                   {"failed_drains", failed_drains_}}};
  stats.open = meter.open;
  stats.dropped = {{"evicted", meter.evicted}};
  return stats;
}

}  // namespace weir::app
