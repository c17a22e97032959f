#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/labels.h"

namespace weir::model {

/// Limits of a selector's text and nesting; beyond them it is refused.
inline constexpr std::size_t kMaxSelectorBytes = std::size_t{1} << 20;
inline constexpr int kMaxSelectorDepth = 200;
inline constexpr std::size_t kMaxSelectorLabelBytes = 512;

/// A Calico selector: "app == 'web' && tier in {'a', 'b'} && !has(retired)". Empty text is all().
///
/// `!=` and `not in` hold for who has no such label; all other comparisons do not. `!a == 'b'` negates the comparison.
/// Source: Calico's selector syntax (projectcalico.org/v3).
class Selector {
 public:
  enum class Kind : std::uint8_t {
    kAll,
    /// Who is in no namespace. As a matter of labels alone it is true, like all().
    kGlobal,
    kHas,
    kEquals,
    kNotEquals,
    kIn,
    kNotIn,
    kContains,
    kStartsWith,
    kEndsWith,
    kNot,
    kAnd,
    kOr,
  };

  struct Node {
    Kind kind = Kind::kAll;
    /// Of kHas to kEndsWith: the key.
    std::string label;
    /// One for the comparisons with a string. Of kIn and kNotIn: sorted, distinct, maybe none.
    std::vector<std::string> values;
    /// One for kNot, two or more for kAnd and kOr, else none.
    std::vector<Node> children;
    friend bool operator==(const Node&, const Node&) = default;
  };

  /// all().
  Selector() = default;
  /// From a tree that keeps Node's rules.
  explicit Selector(Node root) : root_(std::move(root)) {}
  /// Errors: "column 7: …", columns from 1 in bytes.
  static Result<Selector> parse(std::string_view text);

  /// Allocates nothing.
  bool matches(const LabelSet& labels) const;

  /// The normal form: equal for selectors that differ only in blanks, quotes, brackets around the whole, double
  /// negations, and the order and repetition in sets. "all()" for the empty one.
  std::string canonical() const;

  const Node& root() const { return root_; }
  /// Every key it mentions, sorted, once.
  std::vector<std::string> label_keys() const;
  bool is_all() const { return root_.kind == Kind::kAll; }

  friend bool operator==(const Selector&, const Selector&) = default;

 private:
  Node root_;
};

}  // namespace weir::model
