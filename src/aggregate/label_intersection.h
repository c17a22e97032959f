#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "model/labels.h"

namespace weir::aggregate {

/// Intersections of label sets, made once per pair and shared by pointer. Owns the sets it makes.
class LabelIntersections {
 public:
  /// The pairs that both hold with equal values, without keys under projectcalico.org/. Equal pointers: that set
  /// itself. The result lives until sweep() finds it unused.
  const model::LabelSet* intersect(const model::LabelSet* a, const model::LabelSet* b) {
    if (a == b) return a;
    Memo& memo = memos_[slot(a, b)];
    if (memo.a != a || memo.b != b) memo = {a, b, compute(*a, *b)};
    return memo.result;
  }

  /// Forgets which pairs were asked for: the addresses of the given sets may come to mean others.
  void forget_pairs() { memos_.fill({}); }
  /// Number of sets held.
  std::size_t size() const { return sets_.size(); }
  /// Frees the sets for which `in_use` is false.
  void sweep(const std::function<bool(const model::LabelSet*)>& in_use);

 private:
  static constexpr std::size_t kMemos = 4096;
  struct Memo {
    const model::LabelSet* a = nullptr;
    const model::LabelSet* b = nullptr;
    const model::LabelSet* result = nullptr;
  };
  static std::size_t slot(const model::LabelSet* a, const model::LabelSet* b);
  const model::LabelSet* compute(const model::LabelSet& a, const model::LabelSet& b);

  std::array<Memo, kMemos> memos_{};
  /// By the pairs joined with newlines, so that equal results share one set.
  std::unordered_map<std::string, std::unique_ptr<model::LabelSet>> sets_;
};

}  // namespace weir::aggregate
