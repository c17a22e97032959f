#include "policy/history.h"

#include <algorithm>
#include <utility>

namespace weir::policy {

History::History(const EngineOptions& options, std::size_t max_engines)
    : options_(options), max_engines_(std::max<std::size_t>(1, max_engines)) {
  options_.trace_store = &traces_;
}

void History::put(std::int64_t from_ns, EngineInputs inputs) {
  versions_[from_ns] = {std::move(inputs), next_number_++};
}

void History::forget_before(std::int64_t time_ns) {
  auto current = versions_.upper_bound(time_ns);
  if (current == versions_.begin()) return;
  versions_.erase(versions_.begin(), --current);
}

Result<Engine*> History::engine_at(std::int64_t at_ns) {
  auto after = versions_.upper_bound(at_ns);
  if (after == versions_.begin()) return Error{ErrorCode::kNotFound, "policy: no policies are known of that time"};
  const Version& version = std::prev(after)->second;
  const auto same = [&](const Slot& slot) { return slot.version == version.number; };
  auto slot = std::find_if(engines_.begin(), engines_.end(), same);
  if (slot == engines_.end()) {
    if (engines_.size() < max_engines_) engines_.emplace_back();
    slot = std::prev(engines_.end());
    slot->version = 0;
    if (slot->engine == nullptr) {
      TRY_ASSIGN(slot->engine, Engine::create(options_, version.inputs));
    } else {
      TRY(slot->engine->update(version.inputs));
    }
    slot->version = version.number;
  }
  std::rotate(engines_.begin(), slot, slot + 1);
  return engines_.front().engine.get();
}

Result<Verdict> History::evaluate(const Query& query, std::int64_t at_ns) {
  TRY_ASSIGN(Engine * engine, engine_at(at_ns));
  return engine->evaluate(query);
}

}  // namespace weir::policy
