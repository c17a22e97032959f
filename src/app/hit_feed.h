#pragma once

#include <memory>

#include "app/connection_feed.h"
#include "capture/nflog_prefix.h"
#include "capture/nflog_reader.h"
#include "config/settings.h"
#include "meter/conntrack_meter.h"
#include "model/policy_set.h"

namespace weir::app {

/// Verdicts of the data plane's log rules (NFLOG).
///
/// What ingress policy denies never comes to the destination pod's interface: for sources that see connections there,
/// the denied packets are metered here, as connections that their destination reports.
class HitFeed {
 public:
  static Result<std::unique_ptr<HitFeed>> create(const config::Settings& settings, bool meter_denied_ingress);

  int fd() const { return reader_->fd(); }
  /// Takes what waits; denied connections go to `feed` too. True if there was any.
  bool read(NodePipeline& node, ConnectionFeed& feed, std::int64_t now_ns);
  /// The policies whose names the data plane may have had to cut: those that are now.
  void set_policies(const model::PolicySet& policies);
  bool has_conntrack() const { return reader_->has_conntrack(); }
  /// As those of ConnectionFeed.
  void drain(NodePipeline& node, std::int64_t now_ns);
  void report(NodePipeline& node, bool final);
  model::SourceCounts stats() const;

 private:
  HitFeed() = default;
  /// Where names were cut to fit into a prefix.
  capture::NflogRules rules_;
  std::unique_ptr<capture::NflogReader> reader_;
  /// Of denied ingress; null: the source knows of it.
  std::unique_ptr<meter::ConntrackMeter> denied_;
  std::vector<model::ConnectionUpdate> updates_;
  void take(NodePipeline& node, std::span<const model::ConnectionUpdate> updates);
};

}  // namespace weir::app
