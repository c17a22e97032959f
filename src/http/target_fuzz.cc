#include <cstddef>
#include <cstdint>

#include "http/internal/router.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::http;  // NOLINT(google-build-using-namespace): one function
  static const std::vector<Route> routes = {
      {Method::kGet, "/api/v1/values/{field}", {}}, {Method::kPost, "/{index}/_bulk", {}}, {Method::kGet, "/", {}}};
  Request request;
  if (!parse_target({reinterpret_cast<const char*>(data), size}, request.path, request.query)) return 0;
  CHECK(request.path.starts_with('/') && request.path.find('\0') == std::string::npos);
  const Match match = find_route(routes, request);
  CHECK(match.route == nullptr || match.path_known);
  for (const auto& [name, value] : request.parameters) CHECK(!value.empty() && value.find('/') == std::string::npos);
  return 0;
}
