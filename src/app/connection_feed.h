#pragma once

#include <cstdint>
#include <vector>

#include "app/node_pipeline.h"
#include "base/result.h"
#include "capture/interface_watch.h"
#include "model/agent_window.h"
#include "model/policy_hit.h"

namespace weir::app {

/// What a source has seen and lost since it began, and how many connections it has open.
struct FeedStats {
  model::SourceCounts counts;
  std::uint64_t open = 0;
  /// Connections that its meter had to end early or could not take, by reason.
  std::vector<model::NamedCount> dropped;
};

/// What a read found: whether anything came, and whether more may wait.
struct FeedRead {
  bool any = false, more = false;
};

/// A live source of connections with its meter: eBPF, conntrack or packets. It feeds a NodePipeline.
///
/// Threads: one; nothing blocks. The file descriptor is only for waiting; read() may be called at any time.
class ConnectionFeed {
 public:
  virtual ~ConnectionFeed() = default;
  virtual const char* name() const = 0;
  virtual int fd() const = 0;
  /// Of HTTP, inspect_http() only gets the packets that begin with a head.
  virtual bool http_heads_only() const { return false; }
  /// Takes what waits, a batch of it.
  virtual FeedRead read(NodePipeline& node, std::int64_t now_ns) = 0;
  /// Once a drain interval: fetches what the kernel has counted, ends what timed out.
  virtual void drain(NodePipeline& node, std::int64_t now_ns) = 0;
  /// Hands on what was counted by now. Every few seconds: connections get their context while it can be had.
  virtual void report(NodePipeline& node) = 0;
  /// A window ends: fetches what the kernel has counted, and hands on all. `final`: the agent ends.
  virtual void flush(NodePipeline& node, std::int64_t now_ns, bool final) = 0;
  virtual Status add_interface(const capture::PodInterface& interface) = 0;
  virtual void remove_interface(const capture::PodInterface& interface) = 0;
  /// A verdict of the data plane; for sources that do not see denied packets themselves.
  virtual void on_hit(const model::PolicyHit&) {}
  /// Takes over the options that can change while running.
  virtual void reconfigure(const config::Settings&) {}
  virtual FeedStats stats() = 0;
};

}  // namespace weir::app
