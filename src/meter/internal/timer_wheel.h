#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "meter/internal/slot_lists.h"

namespace weir::meter {

/// A slot's place in the wheel; kept by whoever owns the slot.
struct Timer {
  std::uint8_t bucket = 0;
  bool scheduled = false;
};

/// Says which slots are due for a look, in order of time, one tick (2^30 ns, about a second) exact.
///
/// 256 lists of slots, one a tick. A deadline further away gets a look on the way. Postponing a deadline costs nothing:
/// the look comes too early, and the caller schedules again. Bringing it forward appends the slot to an earlier list
/// and leaves the old note behind, stale: it no longer equals the slot's Timer and is passed over when its tick comes.
/// At most kStalePerSlot stale notes a slot exist; above that a look comes late. Threads: one.
class TimerWheel {
 public:
  static constexpr int kTickBits = 30;
  static constexpr std::size_t kStalePerSlot = 8;
  static constexpr std::size_t kBuckets = 256;

  explicit TimerWheel(std::size_t max_slots) : max_stale_(max_slots * kStalePerSlot) {}

  static std::int64_t tick_of(std::int64_t time_ns) { return time_ns >> kTickBits; }
  std::int64_t tick() const { return tick_; }
  /// Only while nothing is scheduled.
  void start(std::int64_t tick) { tick_ = tick; }

  /// Sees to it that `slot` gets a look at or before the tick after `deadline_tick`.
  void schedule(SlotPool& pool, model::ConnectionSlot slot, Timer& timer, std::int64_t deadline_tick) {
    const auto ahead = static_cast<std::uint8_t>(std::clamp<std::int64_t>(deadline_tick - tick_, 0, kBuckets - 2));
    const auto now = static_cast<std::uint8_t>(tick_);
    if (timer.scheduled) {
      const auto scheduled_ahead = static_cast<std::uint8_t>(timer.bucket - now);
      if (ahead >= scheduled_ahead || stale_ >= max_stale_) return;
      ++stale_;
    }
    timer = {static_cast<std::uint8_t>(now + ahead), true};
    pool.push(buckets_[timer.bucket], slot);
  }

  /// Moves on to `tick` and calls due(slot) for all whose tick has passed; it may schedule the slot again.
  /// `timer_of(slot)` gives a Timer&, `prefetch(slot)` hints that it will be asked for.
  template <typename TimerOf, typename Prefetch, typename Due>
  void advance(SlotPool& pool, std::int64_t tick, TimerOf&& timer_of, Prefetch&& prefetch, Due&& due) {
    if (tick <= tick_) return;
    const std::int64_t from = std::max(tick_, tick - static_cast<std::int64_t>(kBuckets));
    tick_ = tick;
    for (std::int64_t t = from; t < tick; ++t) {
      const auto bucket = static_cast<std::uint8_t>(t);
      SlotList list = buckets_[bucket];
      buckets_[bucket] = {};
      for (auto slot = pool.pop(list); slot != kNoSlot; slot = pool.pop(list)) {
        constexpr std::uint32_t kPrefetchAhead = 8;
        const auto later = pool.peek(list, kPrefetchAhead);
        if (later != kNoSlot) prefetch(later);
        if (take(timer_of(slot), bucket)) due(slot);
      }
    }
  }

  /// Takes out the slot whose look comes next, or kNoSlot.
  template <typename TimerOf>
  model::ConnectionSlot take_next(SlotPool& pool, TimerOf&& timer_of) {
    for (std::size_t ahead = 0; ahead < kBuckets; ++ahead) {
      const auto bucket = static_cast<std::uint8_t>(tick_ + static_cast<std::int64_t>(ahead));
      for (auto slot = pool.pop(buckets_[bucket]); slot != kNoSlot; slot = pool.pop(buckets_[bucket])) {
        if (take(timer_of(slot), bucket)) return slot;
      }
    }
    return kNoSlot;
  }

 private:
  /// False: a stale note.
  bool take(Timer& timer, std::uint8_t bucket) {
    if (!timer.scheduled || timer.bucket != bucket) {
      --stale_;
      return false;
    }
    timer.scheduled = false;
    return true;
  }

  std::array<SlotList, kBuckets> buckets_{};
  std::int64_t tick_ = 0;
  std::size_t max_stale_;
  std::size_t stale_ = 0;
};

}  // namespace weir::meter
