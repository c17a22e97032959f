#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "policy/engine.h"
#include "policy/trace_store.h"

namespace weir::policy {

/// Decides connections by the policies of their time.
///
/// Keeps versions of the inputs, each counting from its time to the next one's (copies of pointers; equal objects are
/// shared), and a few engines: the one that was not asked for longest is updated to the version that is asked for,
/// which costs what differs between the two.
///
/// Bounds:  memory is `max_engines` engines, and a list of pointers a version; forget_before() drops versions.
/// Threads: one, not synchronised.
class History {
 public:
  /// `options.trace_store` is replaced by one of the history's own, so that equal traces of all times have equal
  /// pointers.
  explicit History(const EngineOptions& options, std::size_t max_engines = 4);

  /// From `from_ns` (nanoseconds since the Unix epoch) on, these inputs decide, until the next version's time. Of two
  /// versions of one time the later put counts. The pods must outlive the history.
  void put(std::int64_t from_ns, EngineInputs inputs);
  /// Whether a version begins at exactly that time.
  bool has(std::int64_t from_ns) const { return versions_.contains(from_ns); }
  /// Drops the versions that ended before.
  void forget_before(std::int64_t time_ns);

  /// Fails before the first version, and where its inputs are no good (Engine::create()).
  Result<Verdict> evaluate(const Query& query, std::int64_t at_ns);
  /// The engine of that time, for other questions than evaluate(); valid until the next call of a member.
  Result<Engine*> engine_at(std::int64_t at_ns);

  std::size_t versions() const { return versions_.size(); }
  std::size_t engines() const { return engines_.size(); }

 private:
  struct Version {
    EngineInputs inputs;
    std::uint64_t number = 0;
  };
  struct Slot {
    std::unique_ptr<Engine> engine;
    /// Version::number; 0: none that is sound.
    std::uint64_t version = 0;
  };

  EngineOptions options_;
  std::size_t max_engines_;
  TraceStore traces_;
  std::map<std::int64_t, Version> versions_;
  std::uint64_t next_number_ = 1;
  /// The one asked last is first.
  std::vector<Slot> engines_;
};

}  // namespace weir::policy
