#include "cluster/internal/tenures.h"

#include <algorithm>
#include <tuple>
#include <utility>

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
    if (free_histories_.empty()) {
      owner.history = static_cast<std::uint32_t>(histories_.size());
      histories_.emplace_back();
    } else {
      owner.history = free_histories_.back();
      free_histories_.pop_back();
    }
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

void Tenures::forget(std::int64_t time_ns) {
  const auto ended = [time_ns](const Tenure& tenure) { return tenure.to_ns < time_ns; };
  for (auto it = owners_.begin(); it != owners_.end();) {
    Owner& owner = it->second;
    if (owner.history != kNoHistory) {
      auto& history = histories_[owner.history];
      // One that another took over has ended then, whatever its own end says.
      std::int64_t next_from = owner.newest.from_ns;
      for (auto tenure = history.rbegin(); tenure != history.rend(); ++tenure) {
        tenure->to_ns = std::min(tenure->to_ns, next_from);
        next_from = tenure->from_ns;
      }
      history.erase(std::remove_if(history.begin(), history.end(), ended), history.end());
      if (history.empty()) {
        history.shrink_to_fit();
        free_histories_.push_back(std::exchange(owner.history, kNoHistory));
      }
    }
    if (owner.history == kNoHistory && ended(owner.newest)) {
      owners_.erase(it++);
    } else {
      ++it;
    }
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
