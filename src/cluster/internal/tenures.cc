#include "cluster/internal/tenures.h"

#include <algorithm>
#include <tuple>

namespace weir::cluster {

void Tenures::add(const IpAddress& ip, std::int64_t from_ns, std::int64_t to_ns, const model::Endpoint* endpoint) {
  if (from_ns >= to_ns) return;
  Tenure tenure{from_ns, to_ns, endpoint};
  const auto [it, fresh] = owners_.try_emplace(ip, Owner{tenure});
  if (fresh) return;
  Owner& owner = it->second;
  // Of two that began together, the one that lasts longer counts.
  const auto before = [](const Tenure& a, const Tenure& b) {
    return std::tie(a.from_ns, a.to_ns) < std::tie(b.from_ns, b.to_ns);
  };
  if (!before(tenure, owner.newest)) std::swap(tenure, owner.newest);
  if (owner.history == kNoHistory) {
    owner.history = static_cast<std::uint32_t>(histories_.size());
    histories_.emplace_back();
  }
  auto& history = histories_[owner.history];
  history.insert(std::upper_bound(history.begin(), history.end(), tenure, before), tenure);
}

void Tenures::end(const IpAddress& ip, const model::Endpoint* endpoint, std::int64_t to_ns) {
  const auto found = owners_.find(ip);
  if (found == owners_.end()) return;
  Owner& owner = found->second;
  if (owner.newest.endpoint == endpoint) owner.newest.to_ns = std::min(owner.newest.to_ns, to_ns);
  if (owner.history == kNoHistory) return;
  for (Tenure& tenure : histories_[owner.history]) {
    if (tenure.endpoint == endpoint) tenure.to_ns = std::min(tenure.to_ns, to_ns);
  }
}

const model::Endpoint* Tenures::earlier(std::uint32_t history, std::int64_t time_ns) const {
  const auto& tenures = histories_[history];
  const auto after = std::upper_bound(tenures.begin(), tenures.end(), time_ns,
                                      [](std::int64_t time, const Tenure& tenure) { return time < tenure.from_ns; });
  if (after == tenures.begin()) return nullptr;
  const Tenure& tenure = *std::prev(after);
  return time_ns < tenure.to_ns ? tenure.endpoint : nullptr;
}

}  // namespace weir::cluster
