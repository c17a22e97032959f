#include "aggregate/flow_store.h"

#include <utility>

namespace weir::aggregate {
namespace {
constexpr std::size_t kInitialSlots = 1024;
}  // namespace

FlowStore::FlowStore() { rebuild_slots(kInitialSlots); }

void FlowStore::place(std::uint64_t hash, std::uint32_t position) {
  std::size_t at = hash & mask_;
  while (slots_[at].position != kNone) at = (at + 1) & mask_;
  slots_[at] = {static_cast<std::uint32_t>(hash >> 32), position};
}

void FlowStore::rebuild_slots(std::size_t slots) {
  slots_.assign(slots, Slot{});
  mask_ = slots - 1;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) place(hash_key(entries_[i].key, identities_[i].addresses), i);
}

std::uint32_t FlowStore::insert(std::uint64_t hash, const FlowKey& key, FlowIdentity identity) {
  if (2 * (entries_.size() + 1) > slots_.size()) rebuild_slots(2 * slots_.size());
  const auto position = static_cast<std::uint32_t>(entries_.size());
  entries_.emplace_back().key = key;
  identities_.push_back(std::move(identity));
  tcp_.emplace_back();
  place(hash, position);
  return position;
}

void FlowStore::compact() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].open == 0) continue;
    if (kept != i) {
      entries_[kept] = entries_[i];
      identities_[kept] = std::move(identities_[i]);
      tcp_[kept] = tcp_[i];
    }
    ++kept;
  }
  if (kept == entries_.size()) return;
  entries_.resize(kept);
  identities_.resize(kept);
  tcp_.resize(kept);
  rebuild_slots(slots_.size());
}

}  // namespace weir::aggregate
