#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/node_pipeline.h"
#include "app/replay_stats.h"
#include "config/settings.h"
#include "meter/meter.h"
#include "packet/decoder.h"

namespace weir::app {

/// The node half of Weir over capture files, on one thread: capture → meter → NodePipeline.
///
/// Windows are those of the capture's clock: [k × interval, (k+1) × interval), or one for the whole input.
class ReplayPipeline {
 public:
  /// `cluster_paths` empty: nobody is a pod. `node`: the one whose pods are local; empty: all are.
  static Result<std::unique_ptr<ReplayPipeline>> create(const config::Settings& settings,
                                                        const std::vector<std::string>& cluster_paths,
                                                        const std::string& node, RecordSinks sinks);

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

  /// Meters decoded packets, closing windows where their time asks for it.
  void process(std::span<const packet::DecodedPacket> packets);
  void process_in_window(std::span<const packet::DecodedPacket> packets);
  void inspect(std::span<const packet::DecodedPacket> packets);
  void take_updates();
  void close_window();
  void move_window(std::int64_t time_ns);

  std::vector<std::string> notes_;
  std::unique_ptr<packet::Decoder> decoder_;
  std::unique_ptr<meter::Meter> meter_;
  std::unique_ptr<NodePipeline> node_;
  meter::PacketNotes packet_notes_;

  std::int64_t interval_ns_ = 0;
  /// A packet came: the window under way is set.
  bool started_ = false;
  /// Interval 0: from the oldest to the newest packet.
  std::int64_t window_start_ns_ = 0, window_end_ns_ = 0;
  ReplayStats stats_;
};

}  // namespace weir::app
