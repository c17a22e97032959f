#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/connection_feed.h"
#include "capture/ebpf_source.h"
#include "config/settings.h"
#include "meter/delta_meter.h"
#include "packet/decoder.h"

namespace weir::app {

/// Connections that programs in the kernel count at the pods' interfaces (eBPF).
class EbpfFeed final : public ConnectionFeed {
 public:
  /// `resume`: an earlier run has counted the TCP connections that are met in mid-stream.
  static Result<std::unique_ptr<EbpfFeed>> create(const config::Settings& settings, bool resume);

  /// How it is attached, and what it cannot see, one line each.
  std::vector<std::string> notes() const;

  const char* name() const override { return "ebpf"; }
  int fd() const override { return source_->fd(); }
  bool http_heads_only() const override { return true; }
  FeedRead read(NodePipeline& node, std::int64_t now_ns) override;
  void drain(NodePipeline& node, std::int64_t now_ns) override;
  void report(NodePipeline& node) override;
  void flush(NodePipeline& node, std::int64_t now_ns, bool final) override;
  Status add_interface(const capture::PodInterface& interface) override { return source_->attach(interface); }
  void remove_interface(const capture::PodInterface& interface) override;
  FeedStats stats() override;

 private:
  EbpfFeed() = default;
  bool inspect(NodePipeline& node);
  void take(NodePipeline& node);

  std::unique_ptr<capture::EbpfSource> source_;
  std::unique_ptr<meter::DeltaMeter> meter_;
  std::unique_ptr<packet::Decoder> decoder_;
  /// Interfaces that are gone, whose last counts come with the next drain.
  std::vector<std::uint16_t> gone_;
  std::uint64_t failed_drains_ = 0;
};

}  // namespace weir::app
