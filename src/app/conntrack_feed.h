#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/connection_feed.h"
#include "capture/conntrack_reader.h"
#include "config/settings.h"
#include "meter/conntrack_meter.h"

namespace weir::app {

/// The kernel's connection tracker, metered; denied connections come from the data plane's log rules.
class ConntrackFeed final : public ConnectionFeed {
 public:
  /// Connections that began before `counted_until_ns` were counted by an earlier run.
  static Result<std::unique_ptr<ConntrackFeed>> create(const config::Settings& settings, std::int64_t counted_until_ns);

  /// What is not as it should be in the tracker's own settings, one line each.
  const std::vector<std::string>& problems() const { return reader_->settings().problems; }

  const char* name() const override { return "conntrack"; }
  int fd() const override { return reader_->fd(); }
  FeedRead read(NodePipeline& node, std::int64_t now_ns) override;
  void drain(NodePipeline& node, std::int64_t now_ns) override;
  void report(NodePipeline& node) override;
  void flush(NodePipeline& node, std::int64_t now_ns, bool final) override;
  Status add_interface(const capture::PodInterface&) override { return {}; }
  void remove_interface(const capture::PodInterface&) override {}
  void on_hit(const model::PolicyHit& hit) override { meter_->add(hit); }
  void reconfigure(const config::Settings& settings) override {
    dump_interval_ns_ = settings.conntrack_dump_interval.count();
  }
  FeedStats stats() override;

 private:
  ConntrackFeed() = default;
  void dump_now(NodePipeline& node, std::int64_t now_ns);
  void take(NodePipeline& node);

  std::unique_ptr<capture::ConntrackReader> reader_;
  std::unique_ptr<meter::ConntrackMeter> meter_;
  std::int64_t dump_interval_ns_ = 0, next_dump_ns_ = 0;
};

}  // namespace weir::app
