#include "collect/hit_table.h"

#include <absl/strings/string_view.h>

namespace weir::collect {
namespace {

constexpr std::size_t kMaxIdleIds = 4096;

bool is_staged(const model::PolicyHit& hit) {
  return hit.id.starts_with("snp/") || hit.id.starts_with("sgnp/") || hit.id.starts_with("sknp/");
}

}  // namespace

std::uint32_t HitTable::number_of(std::string_view id) {
  const auto found = id_numbers_.find(absl::string_view(id.data(), id.size()));
  if (found != id_numbers_.end()) return found->second;
  const auto number = static_cast<std::uint32_t>(ids_.size());
  ids_.emplace_back(id);
  id_numbers_.emplace(id, number);
  return number;
}

void HitTable::append(Ends& ends, const model::PolicyHit& hit) {
  std::uint32_t at = free_;
  if (at == kNone) {
    at = static_cast<std::uint32_t>(pool_.size());
    pool_.emplace_back();
  } else {
    free_ = pool_[at].next;
  }
  pool_[at] = {hit.time_ns, kNone, number_of(hit.id), hit.rule, hit.kind, hit.action};
  (ends.first == kNone ? ends.first : pool_[ends.last].next) = at;
  ends.last = at;
}

void HitTable::release(Ends& ends) {
  if (ends.first == kNone) return;
  pool_[ends.last].next = free_;
  free_ = ends.first;
  ends = {};
}

void HitTable::add(const model::PolicyHit& hit) {
  if (is_staged(hit)) return;
  const Key key{hit.tuple, hit.egress};
  auto found = paths_.find(key);
  if (found == paths_.end()) {
    if (paths_.size() >= kMaxPaths) {
      ++dropped_;
      return;
    }
    // Policies come and go, and their names with them.
    if (paths_.empty() && ids_.size() > kMaxIdleIds) {
      ids_.clear();
      id_numbers_.clear();
    }
    found = paths_.try_emplace(key).first;
  }
  Ends& ends = found->second;
  bool next_packet = ends.first != kNone && pool_[ends.last].action != model::Action::kPass;
  for (std::uint32_t at = ends.first; at != kNone && !next_packet; at = pool_[at].next) {
    const Hit& other = pool_[at];
    next_packet = other.kind == hit.kind && other.rule == hit.rule && ids_[other.id] == hit.id;
  }
  if (next_packet) release(ends);
  append(ends, hit);
}

const HitTable::Path& HitTable::take(const model::Tuple& tuple, bool egress) {
  taken_.clear();
  const auto found = paths_.find(Key{tuple, egress});
  if (found == paths_.end() || pool_[found->second.last].action == model::Action::kPass) return taken_;
  for (std::uint32_t at = found->second.first; at != kNone; at = pool_[at].next) {
    const Hit& hit = pool_[at];
    model::PolicyHit& out = taken_.emplace_back();
    out.tuple = tuple;
    out.egress = egress;
    out.action = hit.action;
    out.kind = hit.kind;
    out.id = ids_[hit.id];
    out.rule = hit.rule;
    out.time_ns = hit.time_ns;
  }
  release(found->second);
  paths_.erase(found);
  return taken_;
}

void HitTable::expire(std::int64_t now_ns) {
  absl::erase_if(paths_, [&](auto& entry) {
    if (now_ns - pool_[entry.second.last].time_ns <= kKeepNs) return false;
    ++unmatched_;
    release(entry.second);
    return true;
  });
  // What a burst of hits took goes back.
  constexpr std::size_t kKeptHits = 4096;
  if (!paths_.empty() || pool_.size() <= kKeptHits) return;
  paths_ = {};
  pool_ = {};
  free_ = kNone;
}

}  // namespace weir::collect
