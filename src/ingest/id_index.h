#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace weir::ingest {

/// Remembers which document ids were stored, so that a bulk request that is sent again doubles nothing.
///
/// Ids are noted in a log of their own before their rows are appended, and the place in that log is the rows' source
/// range in the store: after a crash those ids count whose range the store has. So ids and rows are stored together or
/// not at all.
/// Bounds:  the last kIdsPerFile ids at least, twice as many at most; 9 bytes of memory and 8 on disk each.
/// Threads: any number.
class IdIndex {
 public:
  static constexpr std::size_t kIdsPerFile = 1'000'000;
  static Result<std::unique_ptr<IdIndex>> open(const store::Store& store, const std::string& directory,
                                               std::size_t ids_per_file = kIdsPerFile);
  ~IdIndex();
  IdIndex(const IdIndex&) = delete;
  IdIndex& operator=(const IdIndex&) = delete;

  enum class Known : std::uint8_t {
    kNew,
    kStored,
    kPending,  ///< another request is storing it just now
  };
  /// Of each id, in order; those that are kNew are pending from now on, until commit() or abort(). An id that comes
  /// twice is kNew first and kPending then.
  std::vector<Known> begin(const std::vector<std::uint64_t>& ids);
  /// Notes the ids durably; the range is for append().
  Result<store::SourceRange> note(const std::vector<std::uint64_t>& ids);
  /// They were stored; those that were not are forgotten with abort().
  void commit(const std::vector<std::uint64_t>& ids);
  void abort(const std::vector<std::uint64_t>& ids);

  static std::uint64_t hash(std::string_view index, std::string_view id);

 private:
  struct State;
  explicit IdIndex(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::ingest
