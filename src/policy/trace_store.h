#pragma once

#include <memory>
#include <set>

#include "model/policy_trace.h"

namespace weir::policy {

/// Owns traces, equal ones once. Engines that share a store give equal traces equal pointers, and the traces outlive
/// the engines: a policy change replaces the engine under open connections, and splits no records.
///
/// Bounds: grows with the distinct traces there ever were. Threads: one, not synchronised.
class TraceStore {
 public:
  const model::PolicyTrace* intern(model::PolicyTrace trace) { return &*traces_.insert(std::move(trace)).first; }
  std::size_t size() const { return traces_.size(); }

 private:
  struct ByContent {
    bool operator()(const model::PolicyTrace& a, const model::PolicyTrace& b) const { return a.entries < b.entries; }
  };
  std::set<model::PolicyTrace, ByContent> traces_;
};

}  // namespace weir::policy
