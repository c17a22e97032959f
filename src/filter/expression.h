#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "model/log_type.h"

namespace re2 {
class RE2;
}

namespace weir::filter {

/// What the values of a field are, as far as tests go.
enum class ValueClass : std::uint8_t { kText, kNumber, kAddress, kProtocol, kLabels, kPolicies };

/// What a test looks at: rows of model::log_fields() of one class. It holds if it holds for any of them.
struct Target {
  model::LogType log = model::LogType::kFlows;
  std::vector<std::uint8_t> rows;
  ValueClass values = ValueClass::kText;
  /// kLabels: the value of this key, not the whole "key=value".
  std::string label_key;
  enum class Traces : std::uint8_t { kBoth, kEnforced, kPending };
  /// kPolicies.
  Traces traces = Traces::kBoth;
};

/// Text to compare with: exact, or with `*` (any text) and `?` (any one byte); a backslash takes the next byte as it
/// is.
struct TextPattern {
  std::string text;
  bool wildcard = false;
  bool matches(std::string_view value) const;
};

/// One comparison. A list field passes if any element does; an absent value passes only kEmpty.
struct Test {
  enum class Op : std::uint8_t { kAnyOf, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kRegex, kEmpty };
  Target target;
  Op op = Op::kAnyOf;
  // The values, by the class of the target. Addresses and protocols take text patterns beside their own kind.
  std::vector<TextPattern> texts;
  std::vector<std::uint64_t> numbers;
  std::vector<IpPrefix> prefixes;
  std::shared_ptr<const re2::RE2> regex;
};

/// A parsed filter. `!=`, `NOT IN` and `!~` are kNot of their positive form.
struct Expression {
  enum class Kind : std::uint8_t { kAnd, kOr, kNot, kTest };
  Kind kind = Kind::kTest;
  /// kAnd, kOr: at least two; kNot: one.
  std::vector<Expression> children;
  Test test;
};

inline constexpr std::size_t kMaxFilterBytes = 64 * 1024;
/// Parentheses and NOTs inside each other.
inline constexpr int kMaxFilterDepth = 64;

/// Parses a filter over the records of a log. Errors name the column and what was expected: "column 14: unknown field
/// 'sorce_ip'; did you mean source_ip?".
Result<Expression> parse(std::string_view text, model::LogType log = model::LogType::kFlows);

}  // namespace weir::filter
