#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "model/policy_hit.h"

namespace weir::collect {

/// One step of a trace, as it is shown. Its text belongs to the SlotTable that it came from.
struct TraceHit {
  /// Policy or profile; empty where no profile matched. Of a tier's end: the last enforced policy of that tier.
  std::string_view id;
  /// Of the rule; -1 for a default action.
  std::int32_t rule = -1;
  model::Action action = model::Action::kAllow;
  model::HitKind kind = model::HitKind::kPolicyRule;
  bool staged = false;
  /// Kept, but not part of a path: the end of a tier that has nothing enforced.
  bool hidden = false;
  bool used = false;
  /// Of a staged policy's default action: it counts only if its tier's end, in this slot, was a pass.
  std::uint16_t tier_end = 0;

  bool is_verdict() const { return used && !staged && action != model::Action::kPass; }
  friend bool operator==(const TraceHit&, const TraceHit&) = default;
};

/// The policies that apply to an endpoint in one direction, and the place that a hit of each has in a trace.
///
/// A place for each staged policy and for the end of each tier; enforced policies share the next one, since of them
/// only one decides; the last is for profiles. Immutable. Traces borrow its text: it outlives them.
class SlotTable {
 public:
  struct Policy {
    std::string id;
    bool staged = false;
  };
  struct Tier {
    std::string name;
    /// That apply, in their order.
    std::vector<Policy> policies;
  };
  static constexpr std::size_t kMaxSlots = 0xFFFF;

  /// Policies beyond kMaxSlots places are left out: their hits are unknown.
  SlotTable(std::vector<Tier> tiers, std::vector<std::string> profiles);
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  /// The hit's place, and the hit as it is shown; false: it belongs to none of the policies.
  bool find(const model::PolicyHit& hit, std::uint16_t& slot, TraceHit& out) const;
  std::uint16_t size() const { return static_cast<std::uint16_t>(profile_slot_ + 1); }

 private:
  struct Place {
    std::uint16_t slot = 0;
    std::uint16_t tier = 0;
    bool staged = false;
  };
  struct End {
    std::uint16_t slot = 0;
    /// Of the tier's policies, the last that is enforced; empty: none.
    std::string_view last_enforced;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash_bytes(text.data(), text.size()); }
  };
  using ByName = absl::flat_hash_map<std::string_view, Place, TextHash, std::equal_to<>>;

  bool find_tier_end(const model::PolicyHit& hit, std::uint16_t& slot, TraceHit& out) const;

  std::vector<Tier> tiers_;
  std::vector<std::string> profiles_;
  std::vector<End> ends_;
  ByName policies_, tier_names_, profile_names_;
  std::uint16_t profile_slot_ = 0;
};

/// The trace of one direction of a connection at one endpoint, put together from the hits as they come.
///
/// In:      PolicyHits of the connection and direction, in their order; those of one packet come in order of
/// evaluation. Out:     path(): what was hit, in order of evaluation, up to the enforced verdict. Bounds:  32 B a
/// place, made ten at a time from the first hit on; at most SlotTable::size(). Threads: one.       Source: the trace
/// rules of Calico's flow logs.
class TraceSlots {
 public:
  enum class Added : std::uint8_t {
    kNew,
    kSame,       ///< it was known
    kDifferent,  ///< it contradicts the trace, which stays as it is: report and end the flow, then call replace()
    kUnknown,    ///< of no policy in the table, as the table is older or younger than the packet: passed over
  };

  Added add(const SlotTable& table, const model::PolicyHit& hit);
  /// Puts the hit where add() found another one: the flow goes on under a trace of its own.
  void replace(const SlotTable& table, const model::PolicyHit& hit);
  /// Forgets all, as when the endpoint's policies have changed.
  void reset() { *this = {}; }

  bool has_verdict() const { return verdict_ >= 0; }
  /// Only with has_verdict().
  model::Action action() const { return slots_[static_cast<std::size_t>(verdict_)].action; }
  /// False, and `out` empty: there is no verdict yet.
  bool path(std::vector<TraceHit>& out) const;
  /// Some step of the path denies, a staged one included: decides at which level the flow is aggregated.
  bool has_deny() const;

  /// Since clear_dirty() the path has changed; true at first.
  bool dirty() const { return dirty_; }
  void clear_dirty() { dirty_ = false; }
  /// Of the packets that were hit by the verdict's rule.
  std::uint64_t packets() const { return packets_; }
  std::uint64_t bytes() const { return bytes_; }
  /// Places made so far.
  std::size_t capacity() const { return slots_.size(); }

 private:
  static constexpr std::size_t kStep = 10;

  void make_room(std::uint16_t slot);
  void put(std::uint16_t slot, const TraceHit& hit);
  bool is_shown(const TraceHit& hit) const;

  std::vector<TraceHit> slots_;
  std::int32_t verdict_ = -1;
  /// Of the newest hit.
  std::int32_t newest_ = -1;
  bool dirty_ = true;
  std::uint64_t packets_ = 0, bytes_ = 0;
};

}  // namespace weir::collect
