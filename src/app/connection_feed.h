#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/node_pipeline.h"
#include "base/result.h"
#include "capture/interface_watch.h"

namespace weir::app {

/// What a feed has seen and lost since it began.
struct FeedStats {
  struct Loss {
    std::string reason;
    std::uint64_t count = 0;
  };
  /// Events, packets or drained entries read.
  std::uint64_t events = 0;
  /// Connections open now.
  std::uint64_t open = 0;
  std::vector<Loss> lost;
};

/// A live source of connections with its meter: eBPF, conntrack or packets. It feeds a NodePipeline.
///
/// Threads: one; nothing blocks. The file descriptor is only for waiting: read() is called when it is readable, and now
/// and then anyway.
class ConnectionFeed {
 public:
  virtual ~ConnectionFeed() = default;
  virtual const char* name() const = 0;
  virtual int fd() const = 0;
  /// Takes what waits. True if more may wait.
  virtual bool read(NodePipeline& node) = 0;
  /// Once a drain interval: fetches what the kernel has counted, ends what timed out.
  virtual void drain(NodePipeline& node, std::int64_t now_ns) = 0;
  /// A window ends: everything counted by now goes on.
  virtual void flush(NodePipeline& node, std::int64_t now_ns) = 0;
  virtual Status add_interface(const capture::PodInterface& interface) = 0;
  virtual void remove_interface(const capture::PodInterface& interface) = 0;
  virtual FeedStats stats() const = 0;
};

}  // namespace weir::app
