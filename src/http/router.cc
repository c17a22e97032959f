#include <algorithm>

#include "http/internal/router.h"

namespace weir::http {
namespace {

/// Takes the part up to the next '/' off the front.
std::string_view next_part(std::string_view& path) {
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view part = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return part;
}

bool matches(std::string_view pattern, std::string_view path, Fields& parameters) {
  parameters.clear();
  if (std::count(pattern.begin(), pattern.end(), '/') != std::count(path.begin(), path.end(), '/')) return false;
  while (!pattern.empty() || !path.empty()) {
    const std::string_view want = next_part(pattern), part = next_part(path);
    if (want.starts_with('{')) {
      if (part.empty()) return false;
      parameters.emplace_back(want.substr(1, want.size() - 2), part);
    } else if (want != part) {
      return false;
    }
  }
  return true;
}

}  // namespace

Match find_route(const std::vector<Route>& routes, Request& request) {
  Match match;
  const Method method = request.method == Method::kHead ? Method::kGet : request.method;
  for (const Method wanted : {request.method, method}) {
    for (const Route& route : routes) {
      if (!matches(route.path, request.path, request.parameters)) continue;
      match.path_known = true;
      if (route.method != wanted) continue;
      match.route = &route;
      return match;
    }
  }
  request.parameters.clear();
  return match;
}

}  // namespace weir::http
