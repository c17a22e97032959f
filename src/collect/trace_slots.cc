#include "collect/trace_slots.h"

#include <algorithm>
#include <utility>

namespace weir::collect {

using model::Action;
using model::HitKind;
using model::PolicyHit;

SlotTable::SlotTable(std::vector<Tier> tiers, std::vector<std::string> profiles)
    : tiers_(std::move(tiers)), profiles_(std::move(profiles)) {
  // One place stays for the profiles.
  std::size_t slot = 0;
  const auto narrow = [](std::size_t n) { return static_cast<std::uint16_t>(n); };
  for (std::size_t tier = 0; tier < tiers_.size(); ++tier) {
    const std::size_t staged = static_cast<std::size_t>(std::count_if(
        tiers_[tier].policies.begin(), tiers_[tier].policies.end(), [](const Policy& p) { return p.staged; }));
    if (slot + staged + 1 >= kMaxSlots) break;
    End end;
    for (const Policy& policy : tiers_[tier].policies) {
      policies_.emplace(policy.id, Place{narrow(slot), narrow(tier), policy.staged});
      if (policy.staged) {
        ++slot;
      } else {
        end.last_enforced = policy.id;
      }
    }
    end.slot = narrow(slot++);
    ends_.push_back(end);
    tier_names_.emplace(tiers_[tier].name, Place{end.slot, narrow(tier), false});
  }
  profile_slot_ = narrow(slot);
  for (const std::string& profile : profiles_) profile_names_.emplace(profile, Place{profile_slot_, 0, false});
}

bool SlotTable::find(const PolicyHit& hit, std::uint16_t& slot, TraceHit& out) const {
  out = {};
  out.used = true;
  out.action = hit.action;
  out.kind = hit.kind;
  const auto rule_of = [&](const ByName& names) {
    const auto found = names.find(hit.id);
    if (found == names.end()) return false;
    slot = found->second.slot;
    out.id = found->first;
    out.rule = hit.rule;
    out.staged = found->second.staged;
    return true;
  };
  switch (hit.kind) {
    case HitKind::kPolicyRule:
      return rule_of(policies_);
    case HitKind::kProfileRule:
      return rule_of(profile_names_);
    case HitKind::kTierEnd:
      return find_tier_end(hit, slot, out);
    case HitKind::kNoProfile:
      break;
  }
  slot = profile_slot_;
  return true;
}

bool SlotTable::find_tier_end(const PolicyHit& hit, std::uint16_t& slot, TraceHit& out) const {
  auto found = tier_names_.find(hit.id);
  if (found == tier_names_.end()) {
    found = policies_.find(hit.id);
    if (found == policies_.end()) return false;
  }
  const End& end = ends_[found->second.tier];
  if (found->second.staged) {
    slot = found->second.slot;
    out.id = found->first;
    out.staged = true;
    out.tier_end = end.slot;
    return true;
  }
  slot = end.slot;
  out.id = end.last_enforced;
  if (out.id.empty()) {
    // Nothing here is enforced: a pass is no one's, and a drop can only be the tier's own.
    out.hidden = hit.action == Action::kPass;
    out.id = tiers_[found->second.tier].name;
  }
  return true;
}

TraceSlots::Added TraceSlots::add(const SlotTable& table, const PolicyHit& hit) {
  std::uint16_t slot = 0;
  TraceHit step;
  if (!table.find(hit, slot, step)) return Added::kUnknown;
  make_room(slot);
  const TraceHit& known = slots_[slot];
  const bool other_verdict = step.is_verdict() && verdict_ >= 0 && verdict_ != slot;
  if (other_verdict || (known.used && !(known == step))) return Added::kDifferent;
  newest_ = slot;
  if (step.is_verdict()) {
    packets_ += hit.packets;
    bytes_ += hit.bytes;
  }
  if (known.used) return Added::kSame;
  put(slot, step);
  return Added::kNew;
}

void TraceSlots::replace(const SlotTable& table, const PolicyHit& hit) {
  std::uint16_t slot = 0;
  TraceHit step;
  if (!table.find(hit, slot, step)) return;
  make_room(slot);
  // What lies between the packet's hit before and this one was not hit this time. A hit at or before the newest begins
  // another packet.
  const std::int32_t from = newest_ < slot ? newest_ + 1 : 0;
  for (std::int32_t i = from; i < slot; ++i) slots_[static_cast<std::size_t>(i)] = {};
  if (verdict_ >= from && verdict_ <= slot) verdict_ = -1;
  newest_ = slot;
  if (step.is_verdict()) {
    packets_ = hit.packets;
    bytes_ = hit.bytes;
  }
  put(slot, step);
}

void TraceSlots::put(std::uint16_t slot, const TraceHit& hit) {
  slots_[slot] = hit;
  if (hit.is_verdict()) verdict_ = slot;
  dirty_ = true;
}

void TraceSlots::make_room(std::uint16_t slot) {
  if (slot < slots_.size()) return;
  const std::size_t size = (std::size_t{slot} / kStep + 1) * kStep;
  slots_.reserve(size);
  slots_.resize(size);
}

bool TraceSlots::is_shown(const TraceHit& hit) const {
  if (!hit.used || hit.hidden) return false;
  if (!hit.staged || hit.kind != HitKind::kTierEnd) return true;
  const bool reached = hit.tier_end < slots_.size() && slots_[hit.tier_end].used;
  return reached && slots_[hit.tier_end].action == Action::kPass;
}

bool TraceSlots::path(std::vector<TraceHit>& out) const {
  out.clear();
  for (std::int32_t i = 0; i <= verdict_; ++i) {
    const TraceHit& hit = slots_[static_cast<std::size_t>(i)];
    if (is_shown(hit)) out.push_back(hit);
  }
  return has_verdict();
}

bool TraceSlots::has_deny() const {
  for (std::int32_t i = 0; i <= verdict_; ++i) {
    const TraceHit& hit = slots_[static_cast<std::size_t>(i)];
    if (is_shown(hit) && hit.action == Action::kDeny) return true;
  }
  return false;
}

}  // namespace weir::collect
