#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "meter/internal/paged_array.h"
#include "meter/internal/slot_lists.h"
#include "meter/internal/timer_wheel.h"
#include "model/connection.h"

/// How the slots of a connection table go round: free, in use, touched, ended, free again. What the meters of packets,
/// of kernel deltas and of tracker entries share. An Entry has a `timer` and a `listed`, its slot's places in the
/// lists, which outlive its connections.
namespace weir::meter {

/// Why a connection gave its slot back.
enum class End : std::uint8_t { kTimeout, kReplaced, kEvicted, kInterfaceGone };

template <typename Stats>
void count_end(Stats& stats, End why) {
  --stats.open;
  ++stats.ended;
  switch (why) {
    case End::kTimeout:
      ++stats.timed_out;
      break;
    case End::kReplaced:
      ++stats.replaced;
      break;
    case End::kEvicted:
      ++stats.evicted;
      break;
    case End::kInterfaceGone:
      ++stats.interface_gone;
      break;
  }
}

/// An empty entry for the next connection in its slot.
template <typename Entry>
void renew(Entry& entry) {
  const Timer timer = entry.timer;
  const bool listed = entry.listed;
  entry = {};
  entry.timer = timer;
  entry.listed = listed;
}

/// The connection has news for the next flush.
template <typename Entry>
void list_touched(SlotPool& lists, SlotList& touched, Entry& entry, model::ConnectionSlot slot) {
  if (entry.listed) return;
  entry.listed = true;
  lists.push(touched, slot);
}

inline void free_released(SlotPool& lists, SlotList& released, SlotList& free) {
  for (auto slot = lists.pop(released); slot != kNoSlot; slot = lists.pop(released)) lists.push(free, slot);
}

/// Fills `out` up to `most` updates with what touched entries have to say. `has_news(entry)`: its final update has not
/// gone out already. `drain(entry, slot, update)` moves what it counted.
template <typename Entry, typename HasNews, typename Drain>
void flush_touched(SlotPool& lists, SlotList& touched, PagedArray<Entry>& entries, std::size_t most,
                   std::vector<model::ConnectionUpdate>& out, HasNews has_news, Drain drain) {
  constexpr std::uint32_t kPrefetchAhead = 8;
  constexpr std::size_t kCacheLine = 64;
  out.clear();
  while (out.size() < most) {
    const model::ConnectionSlot later = lists.peek(touched, kPrefetchAhead);
    if (later != kNoSlot) {
      const auto* entry = reinterpret_cast<const char*>(&entries[later]);
      for (std::size_t at = 0; at < sizeof(Entry); at += kCacheLine) __builtin_prefetch(entry + at, 1);
    }
    const model::ConnectionSlot slot = lists.pop(touched);
    if (slot == kNoSlot) return;
    Entry& entry = entries[slot];
    entry.listed = false;
    if (has_news(entry)) drain(entry, slot, out.emplace_back());
  }
}

/// The connection that gives way to a new one: the one whose timeout is looked at next. One that had traffic since its
/// look was planned gets another chance, but the search ends. Some connection must be open.
template <typename Entry, typename IsFree, typename DeadlineTick>
model::ConnectionSlot choose_evicted(TimerWheel& wheel, SlotPool& lists, PagedArray<Entry>& entries, IsFree is_free,
                                     DeadlineTick deadline_tick) {
  constexpr int kChances = 16;
  const auto timer_of = [&](model::ConnectionSlot slot) -> Timer& { return entries[slot].timer; };
  for (int chance = 0;; ++chance) {
    const model::ConnectionSlot slot = wheel.take_next(lists, timer_of);
    CHECK(slot != kNoSlot);
    Entry& entry = entries[slot];
    if (is_free(entry)) continue;
    const std::uint8_t planned = entry.timer.bucket;
    wheel.schedule(lists, slot, entry.timer, deadline_tick(entry));
    if (entry.timer.bucket == planned || chance == kChances) return slot;
  }
}

}  // namespace weir::meter
