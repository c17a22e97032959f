#include "app/agent_endpoint.h"

#include "app/agent_metrics.h"
#include "app/agent_status.h"
#include "metrics/agent_routes.h"

namespace weir::app {

Result<std::unique_ptr<AgentEndpoint>> AgentEndpoint::start(const std::string& address) {
  std::unique_ptr<AgentEndpoint> endpoint(new AgentEndpoint());
  AgentEndpoint& e = *endpoint;
  http::ServerOptions options;
  TRY_ASSIGN(options.address, SocketAddress::parse(address));
  auto routes = metrics::agent_routes(
      e.registry_, [&e] { return e.ready_.load(); },
      [&e] {
        const std::lock_guard lock(e.mutex_);
        return e.status_;
      });
  TRY_ASSIGN(e.server_, http::Server::start(options, std::move(routes)));
  return endpoint;
}

double AgentEndpoint::recent_cpu_percent(const AgentState& state) {
  constexpr std::int64_t kRecentNs = 60'000'000'000;
  const double used = state.cost.cpu_user_seconds + state.cost.cpu_system_seconds;
  // A clock that was set back begins anew.
  if (!cpu_.empty() && cpu_.back().first > state.now_ns) cpu_.clear();
  if (cpu_.empty()) cpu_.emplace_back(state.now_ns, used);
  while (cpu_.size() > 2 && cpu_[1].first <= state.now_ns - kRecentNs) cpu_.pop_front();
  const std::int64_t wall_ns = state.now_ns - cpu_.front().first;
  const double percent = wall_ns > 0 ? 100 * (used - cpu_.front().second) / (static_cast<double>(wall_ns) / 1e9) : 0;
  cpu_.emplace_back(state.now_ns, used);
  return percent;
}

void AgentEndpoint::publish(const AgentState& state, bool ready) {
  publish_metrics(state, registry_);
  std::string status = status_json(state, recent_cpu_percent(state));
  {
    const std::lock_guard lock(mutex_);
    status_.swap(status);
  }
  if (ready) ready_ = true;
}

}  // namespace weir::app
