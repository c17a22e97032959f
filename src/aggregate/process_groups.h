#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "aggregate/flow_store.h"

namespace weir::aggregate {

/// Which entries of a store give one record together: those of one key whose process names came after the first few.
/// Entries keep their names all the while, so that a flow ends under the name it started under, whoever was first.
class ProcessGroups {
 public:
  /// Looks at all entries; `limit` names of each key, in order of their entries, stay by themselves.
  /// Memory: about 30 B for each entry with a process while it runs, 5 B for each entry afterwards.
  void build(const FlowStore& store, std::uint32_t limit);

  /// Its record is that of another entry, which comes before it.
  bool is_follower(std::uint32_t position) const { return !roles_.empty() && roles_[position] == Role::kFollower; }
  /// Its record has no name, and is that of the entries from next() on as well.
  bool is_leader(std::uint32_t position) const { return !roles_.empty() && roles_[position] == Role::kLeader; }
  /// The entry after it in the same record, kNone if there is none.
  std::uint32_t next(std::uint32_t position) const { return next_[position]; }

 private:
  enum class Role : std::uint8_t { kAlone, kLeader, kFollower };
  struct Group {
    std::uint32_t first = 0;
    std::uint32_t alone = 0;
    std::uint32_t last = FlowStore::kNone;
  };
  void add(const FlowStore& store, std::uint32_t position, std::uint32_t limit);

  /// Empty: there is no process at all.
  std::vector<Role> roles_;
  std::vector<std::uint32_t> next_;
  /// By the hash of the key without its process; empty outside of build().
  absl::flat_hash_map<std::uint64_t, Group> groups_;
};

/// The sum of entries, as one record shows it.
struct MergedFlow {
  FlowEntry entry;
  FlowIdentity identity;
  TcpTotals tcp;
  /// In place of FlowIdentity::details.
  FlowDetails details;
  std::uint64_t names = 0;

  void clear();
  /// Adds all but the labels, which the caller intersects. Of the newest window's entries the last one tells the ends
  /// and the pending trace.
  void add(const FlowEntry& other, const FlowIdentity& its_identity, const TcpTotals& its_tcp,
           const DetailLimits& limits, std::size_t most_distinct);
};

}  // namespace weir::aggregate
