#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "app/agent_state.h"
#include "http/server.h"
#include "metrics/registry.h"

namespace weir::app {

/// What an agent serves at `metrics_address`: /metrics, /status, /healthz and /readyz.
///
/// Threads: one publishes; the server has a thread of its own, which gets what was published last.
class AgentEndpoint {
 public:
  /// `address`: ADDRESS:PORT; port 0 lets the kernel choose one.
  static Result<std::unique_ptr<AgentEndpoint>> start(const std::string& address);

  /// `ready`: the agent knows its cluster and has read its sources. Once true, it stays so.
  void publish(const AgentState& state, bool ready);
  SocketAddress address() const { return server_->address(); }

 private:
  AgentEndpoint() = default;
  double recent_cpu_percent(const AgentState& state);

  metrics::Registry registry_;
  std::atomic<bool> ready_{false};
  std::mutex mutex_;  // guards status_
  std::string status_ = "{}\n";
  /// Time (ns) and CPU seconds, of about the last minute.
  std::deque<std::pair<std::int64_t, double>> cpu_;
  /// Last: its thread uses all of the above.
  std::unique_ptr<http::Server> server_;
};

}  // namespace weir::app
