#pragma once

#include <string_view>
#include <vector>

#include "http/server.h"

namespace weir::http {

struct Match {
  const Route* route = nullptr;
  /// Some route has the path, with another method.
  bool path_known = false;
};

/// The route of a request; fills its parameters. Empty parts match no parameter.
Match find_route(const std::vector<Route>& routes, Request& request);

}  // namespace weir::http
