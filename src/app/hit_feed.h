#pragma once

#include <memory>

#include "app/connection_feed.h"
#include "capture/nflog_prefix.h"
#include "capture/nflog_reader.h"
#include "config/settings.h"

namespace weir::app {

/// Verdicts of the data plane's log rules (NFLOG).
class HitFeed {
 public:
  static Result<std::unique_ptr<HitFeed>> create(const config::Settings& settings);

  int fd() const { return reader_->fd(); }
  /// Takes what waits; denied connections go to `feed` too. True if there was any.
  bool read(NodePipeline& node, ConnectionFeed& feed, std::int64_t now_ns);
  /// The policies whose names the data plane may have had to cut: those that are now.
  void set_policies(std::span<const model::NetworkPolicy> policies);
  bool has_conntrack() const { return reader_->has_conntrack(); }
  model::SourceCounts stats() const;

 private:
  HitFeed() = default;
  /// Where names were cut to fit into a prefix.
  capture::NflogRules rules_;
  std::unique_ptr<capture::NflogReader> reader_;
};

}  // namespace weir::app
