#pragma once

#include <memory>

#include "app/connection_feed.h"
#include "capture/conntrack_reader.h"
#include "config/settings.h"

namespace weir::app {

/// The connection tracker's address translations, for sources that see packets before or after them.
class NatFeed {
 public:
  static Result<std::unique_ptr<NatFeed>> create(const config::Settings& settings);

  int fd() const { return reader_->fd(); }
  /// Takes what waits. True if there was any.
  bool read(NodePipeline& node, std::int64_t now_ns);
  model::SourceCounts stats() const;

 private:
  NatFeed() = default;
  std::unique_ptr<capture::ConntrackReader> reader_;
};

}  // namespace weir::app
