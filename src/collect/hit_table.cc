#include "collect/hit_table.h"

#include <algorithm>

namespace weir::collect {
namespace {

bool is_verdict(const model::PolicyHit& hit) { return hit.action != model::Action::kPass; }

bool is_staged(const model::PolicyHit& hit) {
  return hit.id.starts_with("snp/") || hit.id.starts_with("sgnp/") || hit.id.starts_with("sknp/");
}

bool same_rule(const model::PolicyHit& a, const model::PolicyHit& b) {
  return a.kind == b.kind && a.rule == b.rule && a.id == b.id;
}

}  // namespace

void HitTable::add(const model::PolicyHit& hit) {
  if (is_staged(hit)) return;
  const Key key{hit.tuple, hit.egress};
  const auto found = paths_.find(key);
  if (found == paths_.end() && paths_.size() >= kMaxPaths) {
    ++dropped_;
    return;
  }
  Path& path = found != paths_.end() ? found->second : paths_[key];
  const auto known = [&](const model::PolicyHit& other) { return same_rule(other, hit); };
  const bool next_packet = !path.empty() && (is_verdict(path.back()) || std::any_of(path.begin(), path.end(), known));
  if (next_packet) path.clear();
  path.push_back(hit);
}

HitTable::Path HitTable::take(const model::Tuple& tuple, bool egress) {
  const auto found = paths_.find(Key{tuple, egress});
  if (found == paths_.end() || !is_verdict(found->second.back())) return {};
  Path path = std::move(found->second);
  paths_.erase(found);
  return path;
}

void HitTable::expire(std::int64_t now_ns) {
  absl::erase_if(paths_, [&](const auto& entry) {
    const bool old = now_ns - entry.second.back().time_ns > kKeepNs;
    if (old) ++unmatched_;
    return old;
  });
}

}  // namespace weir::collect
