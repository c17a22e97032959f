#pragma once

#include <functional>
#include <string>
#include <vector>

#include "http/server.h"
#include "metrics/registry.h"

namespace weir::metrics {

/// What an agent serves: /metrics, /healthz (200 while the server's thread runs), /readyz (200 or 503) and /status (the
/// JSON text that `status` gives). `registry` must outlive the server.
std::vector<http::Route> agent_routes(const Registry& registry, std::function<bool()> ready,
                                      std::function<std::string()> status);

}  // namespace weir::metrics
