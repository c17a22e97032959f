#pragma once

#include <memory>

#include "app/connection_feed.h"
#include "capture/af_packet.h"
#include "config/settings.h"
#include "meter/meter.h"
#include "packet/decoder.h"

namespace weir::app {

/// Packets at the pods' interfaces (AF_PACKET), metered and inspected here.
class PacketFeed final : public ConnectionFeed {
 public:
  enum class Role : std::uint8_t {
    kConnections,   ///< the source of connections
    kPayloadsOnly,  ///< another source meters them: only DNS and HTTP are looked into
  };
  /// `resume`: an earlier run has counted the TCP connections that are met in mid-stream.
  static Result<std::unique_ptr<PacketFeed>> create(const config::Settings& settings, bool resume, Role role);

  const char* name() const override { return role_ == Role::kConnections ? "afpacket" : "payloads"; }
  int fd() const override { return packets_->fd(); }
  bool http_heads_only() const override { return role_ == Role::kPayloadsOnly; }
  FeedRead read(NodePipeline& node, std::int64_t now_ns) override;
  void drain(NodePipeline& node, std::int64_t now_ns) override;
  void report(NodePipeline& node) override;
  void flush(NodePipeline& node, std::int64_t now_ns, bool final) override;
  Status add_interface(const capture::PodInterface& interface) override;
  void remove_interface(const capture::PodInterface& interface) override;
  FeedStats stats() override;

 private:
  explicit PacketFeed(Role role) : role_(role) {}
  void inspect(NodePipeline& node, std::span<const packet::DecodedPacket> packets);
  void take(NodePipeline& node);

  Role role_;
  std::unique_ptr<capture::AfPacket> packets_;
  std::unique_ptr<packet::Decoder> decoder_;
  std::unique_ptr<meter::Meter> meter_;
  meter::PacketNotes notes_;
  /// Interfaces that are gone, and until when packets of theirs may still come.
  struct Gone {
    std::uint16_t zone;
    std::int64_t until_ns;
  };
  std::vector<Gone> gone_;
  std::int64_t now_ns_ = 0;
};

}  // namespace weir::app
