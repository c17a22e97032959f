#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/connection.h"

namespace weir::aggregate {

/// Small numbers for process names, so that a key holds one in a few bits.
///
/// Bounds:  kMaxNames, about 50 B each. sweep() forgets those out of use; a process may take any number of names.
/// Threads: one.
class ProcessNames {
 public:
  using Id = std::uint16_t;
  static constexpr Id kNone = 0;     ///< no process is known
  static constexpr Id kSeveral = 1;  ///< names that are not told apart
  static constexpr std::size_t kMaxNames = 16'384;
  static constexpr int kBits = 15;

  /// The name's number from 2 on, the same until a sweep() in which it is not in use; kSeveral if there is no room.
  Id intern(const model::ProcessName& name);
  /// As a record shows it. Valid until the next intern() or sweep().
  std::string_view text(Id id) const;

  std::size_t size() const { return ids_.size(); }
  /// Forgets the names that are not in `used`, which is indexed by Id.
  void sweep(const std::vector<bool>& used);
  /// Numbers given are below this.
  std::size_t end() const { return kFirst + names_.size(); }

 private:
  static constexpr std::size_t kFirst = 2;
  static_assert(kFirst + kMaxNames <= 1u << kBits);

  absl::flat_hash_map<model::ProcessName, Id> ids_;
  /// By Id - kFirst.
  std::vector<model::ProcessName> names_;
  std::vector<Id> free_;
};

}  // namespace weir::aggregate
