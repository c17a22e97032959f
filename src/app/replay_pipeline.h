#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "aggregate/dns_aggregator.h"
#include "aggregate/flow_aggregator.h"
#include "aggregate/l7_aggregator.h"
#include "app/replay_stats.h"
#include "cluster/ledger.h"
#include "collect/collector.h"
#include "config/settings.h"
#include "meter/dns_inspector.h"
#include "meter/http_inspector.h"
#include "meter/meter.h"
#include "packet/decoder.h"
#include "policy/engine.h"

namespace weir::app {

/// Where records go; an empty function: that log is not wanted. A record and all it points to live only for the call.
struct ReplaySinks {
  std::function<void(const model::FlowRecord&)> flow;
  std::function<void(const model::DnsRecord&)> dns;
  std::function<void(const model::L7Record&)> l7;
};

/// The node half of Weir over capture files, on one thread: capture → meter → collect → aggregate.
///
/// Windows are those of the capture's clock: [k × interval, (k+1) × interval), or one for the whole input.
class ReplayPipeline {
 public:
  /// `cluster_paths` empty: nobody is a pod. `node`: the one whose pods are local; empty: all are.
  static Result<std::unique_ptr<ReplayPipeline>> create(const config::Settings& settings,
                                                        const std::vector<std::string>& cluster_paths,
                                                        const std::string& node, ReplaySinks sinks);

  /// Runs one capture through. On damage, what came before it has been processed, and the error says where it is.
  Status read_file(const std::string& path);
  /// The input ended: closes the last window.
  void finish();

  ReplayStats stats() const;
  /// What a user should know of the manifests: kinds passed over.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  static constexpr std::size_t kBatch = 256;
  /// Windows without a packet that are still closed one by one, so that open connections show in each.
  static constexpr int kMaxSilentWindows = 1000;

  ReplayPipeline() = default;
  Status load_cluster(const config::Settings& settings, const std::vector<std::string>& paths, const std::string& node);
  Status create_stages(const config::Settings& settings);

  /// Meters decoded packets, closing windows where their time asks for it.
  void process(std::span<const packet::DecodedPacket> packets);
  void process_in_window(std::span<const packet::DecodedPacket> packets);
  void inspect(std::span<const packet::DecodedPacket> packets);
  void take_transactions();
  void take_updates();
  void collect(std::span<const model::ConnectionUpdate> updates);
  void close_window();
  void move_window(std::int64_t time_ns);

  ReplaySinks sinks_;
  std::vector<std::string> notes_;
  std::unique_ptr<cluster::Ledger> ledger_;
  std::unique_ptr<policy::Engine> engine_;
  std::unique_ptr<packet::Decoder> decoder_;
  std::unique_ptr<meter::Meter> meter_;
  std::unique_ptr<meter::DnsInspector> dns_inspector_;
  std::unique_ptr<meter::HttpInspector> http_inspector_;
  std::unique_ptr<collect::Collector> collector_;
  std::unique_ptr<aggregate::FlowAggregator> flows_;
  std::unique_ptr<aggregate::DnsAggregator> dns_;
  std::unique_ptr<aggregate::L7Aggregator> l7_;
  meter::PacketNotes packet_notes_;

  std::int64_t interval_ns_ = 0;
  /// A packet came: the window under way is set.
  bool started_ = false;
  /// Interval 0: from the oldest to the newest packet.
  std::int64_t window_start_ns_ = 0, window_end_ns_ = 0;
  ReplayStats stats_;
};

}  // namespace weir::app
