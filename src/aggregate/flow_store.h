#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "aggregate/flow_details.h"
#include "aggregate/flow_key.h"
#include "aggregate/huge_page_allocator.h"
#include "model/connection.h"
#include "model/endpoint.h"
#include "model/labels.h"

namespace weir::aggregate {

/// What nearly every report of a flow reads or writes: the key and the counters, two cache lines.
struct alignas(64) FlowEntry {
  FlowKey key;
  /// Flows open now; flows of this window; of those, started and completed in it.
  std::uint32_t open = 0, flows = 0, started = 0, completed = 0;
  std::uint64_t packets_in = 0;

  std::uint64_t packets_out = 0, bytes_in = 0, bytes_out = 0;
  const model::LabelSet* source_labels = nullptr;
  const model::LabelSet* dest_labels = nullptr;
  const model::PolicyTrace* pending = nullptr;
  /// By model::Outcome, without kUnknown.
  std::array<std::uint32_t, 3> outcomes{};
  /// The window of the newest report: what only describes the newest window is reset when this lags.
  std::uint32_t window = 0;

  std::uint32_t count(model::Outcome outcome) const { return outcomes[static_cast<std::size_t>(outcome) - 1]; }
};
static_assert(sizeof(FlowEntry) == 128);

/// What a record shows beside the counters: read once per window.
struct FlowIdentity {
  /// The newest report's. Only what the level keeps of them is shown.
  const model::Endpoint* source = nullptr;
  const model::Endpoint* dest = nullptr;
  const model::ServiceRef* service = nullptr;
  KeyAddresses addresses;
  std::unique_ptr<FlowDetails> details;
};

/// TCP facts over the samples of a window; sums of microseconds and bytes, and numbers of samples.
struct alignas(64) TcpTotals {
  std::uint64_t smooth_rtt_sum = 0, min_rtt_sum = 0, mss_sum = 0;
  std::uint64_t retransmissions = 0, resets = 0;
  std::uint32_t smooth_rtt_samples = 0, min_rtt_samples = 0, mss_samples = 0;
  std::uint32_t smooth_rtt_max = 0, min_rtt_max = 0;
  std::uint16_t mss_min = 0;
  // A line of its own: only what comes from sockets touches it.
  alignas(64) std::uint64_t window_sum = 0;
  std::uint64_t lost = 0, timeouts = 0;
  std::uint32_t window_samples = 0, window_min = 0;
  /// Not of TCP, but from sockets too: the newest process id of the window; those before it are in FlowDetails.
  std::uint32_t process_id = 0;
};
static_assert(sizeof(TcpTotals) == 128 && offsetof(TcpTotals, window_sum) == 64);

/// Entries by key: dense arrays in order of first insertion, and a flat table of (hash tag, position) with linear
/// probing at a load of at most 1/2. A look-up that hits touches one slot and one entry, both of which can be
/// prefetched. Nothing is erased one by one: compact() drops entries all at once and keeps the order.
class FlowStore {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  FlowStore();
  // always_inline: g++ 12 takes a function that only prefetches for one without effect, and drops the calls.
  [[gnu::always_inline]] inline void prefetch_slot(std::uint64_t hash) const {
    __builtin_prefetch(&slots_[hash & mask_]);
  }
  /// The entry that the hash most likely means. Wants the slot to be cached.
  [[gnu::always_inline]] inline void prefetch_entry(std::uint64_t hash) const {
    const Slot slot = slots_[hash & mask_];
    if (slot.position == kNone) return;
    const auto* line = reinterpret_cast<const char*>(&entries_[slot.position]);
    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + 64, 1);
    __builtin_prefetch(&tcp_[slot.position], 1);
  }
  /// Position of the entry, kNone if there is none.
  std::uint32_t find(std::uint64_t hash, const FlowKey& key, const KeyAddresses& addresses) const {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot slot = slots_[at];
      if (slot.position == kNone) return kNone;
      if (slot.tag == tag && entries_[slot.position].key == key &&
          (!has_addresses(key.level()) || identities_[slot.position].addresses == addresses)) {
        return slot.position;
      }
    }
  }
  /// Adds an entry with zero counters; the key must not be there. References to entries do not survive it.
  std::uint32_t insert(std::uint64_t hash, const FlowKey& key, FlowIdentity identity);

  std::size_t size() const { return entries_.size(); }
  FlowEntry& entry(std::uint32_t position) { return entries_[position]; }
  const FlowEntry& entry(std::uint32_t position) const { return entries_[position]; }
  FlowIdentity& identity(std::uint32_t position) { return identities_[position]; }
  const FlowIdentity& identity(std::uint32_t position) const { return identities_[position]; }
  TcpTotals& tcp(std::uint32_t position) { return tcp_[position]; }
  const TcpTotals& tcp(std::uint32_t position) const { return tcp_[position]; }

  /// Removes the entries without an open flow; the others keep their order.
  void compact();

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t position = kNone;
  };
  void rebuild_slots(std::size_t slots);
  void place(std::uint64_t hash, std::uint32_t position);

  template <typename T>
  using Array = std::vector<T, HugePageAllocator<T>>;

  Array<Slot> slots_;
  std::size_t mask_ = 0;
  Array<FlowEntry> entries_;
  Array<FlowIdentity> identities_;
  Array<TcpTotals> tcp_;
};

}  // namespace weir::aggregate
