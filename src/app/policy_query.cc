#include "app/policy_query.h"

#include <algorithm>
#include <string>
#include <vector>

namespace weir::app {

Result<PolicyEnd> find_policy_end(const cluster::Ledger& ledger, std::string_view text) {
  if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
    const model::Endpoint* pod = ledger.pod_named(text.substr(0, slash), text.substr(slash + 1));
    if (pod == nullptr) return Error{ErrorCode::kNotFound, "no pod " + std::string(text) + " in the manifests"};
    return PolicyEnd{pod, {}};
  }
  auto ip = IpAddress::parse(text);
  if (!ip.ok()) return invalid_argument("'" + std::string(text) + "' is neither namespace/pod nor an address");
  return PolicyEnd{nullptr, ip.value()};
}

const model::Endpoint* pod_named_at(const cluster::Ledger& ledger, std::string_view namespace_name,
                                    std::string_view name, std::int64_t time_ns) {
  for (const model::Endpoint* pod : ledger.pods()) {
    if (pod->name != name || pod->namespace_name != namespace_name) continue;
    const auto held = [&](const IpAddress& ip) { return ledger.endpoint_at(ip, time_ns) == pod; };
    if (std::any_of(pod->ips.begin(), pod->ips.end(), held)) return pod;
  }
  return nullptr;
}

void choose_addresses(PolicyEnd& source, PolicyEnd& dest) {
  const auto addresses = [](const PolicyEnd& end) { return end.pod != nullptr ? end.pod->ips : std::vector{end.ip}; };
  const std::vector<IpAddress> sources = addresses(source), dests = addresses(dest);
  if (!sources.empty()) source.ip = sources[0];
  if (!dests.empty()) dest.ip = dests[0];
  for (const IpAddress& from : sources) {
    for (const IpAddress& to : dests) {
      if (from.is_v4() != to.is_v4()) continue;
      source.ip = from;
      dest.ip = to;
      return;
    }
  }
}

}  // namespace weir::app
