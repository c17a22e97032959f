#include "filter/filter.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "model/fields.h"
#include "model/protocol.h"

namespace weir::filter {
namespace {

using model::FieldKind;
using model::FlowRecord;

constexpr std::size_t kRows = std::tuple_size_v<decltype(model::kFlowFields)>;

template <std::size_t kRow>
constexpr const auto& kField = std::get<kRow>(model::kFlowFields);

bool passes_text(const Test& test, std::string_view text) {
  if (test.op == Test::Op::kRegex)
    return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *test.regex);
  return std::any_of(test.texts.begin(), test.texts.end(), [&](const TextPattern& p) { return p.matches(text); });
}

bool passes_number(const Test& test, std::uint64_t number) {
  switch (test.op) {
    case Test::Op::kAnyOf:
      return std::find(test.numbers.begin(), test.numbers.end(), number) != test.numbers.end();
    case Test::Op::kLess:
      return number < test.numbers.front();
    case Test::Op::kLessOrEqual:
      return number <= test.numbers.front();
    case Test::Op::kGreater:
      return number > test.numbers.front();
    case Test::Op::kGreaterOrEqual:
      return number >= test.numbers.front();
    case Test::Op::kRegex:
    case Test::Op::kEmpty:
      return false;
  }
  return false;
}

bool passes_address(const Test& test, const IpAddress& ip) {
  if (std::any_of(test.prefixes.begin(), test.prefixes.end(), [&](const IpPrefix& p) { return p.contains(ip); })) {
    return true;
  }
  if (test.texts.empty() && test.regex == nullptr) return false;
  char text[kMaxIpText];
  return passes_text(test, {text, static_cast<std::size_t>(ip.format(text) - text)});
}

bool passes_protocol(const Test& test, std::uint8_t protocol) {
  if (test.op == Test::Op::kAnyOf && passes_number(test, protocol)) return true;
  if (test.texts.empty() && test.regex == nullptr) return false;
  return passes_text(test, model::protocol_name(protocol));  // at most 5 characters: no allocation
}

bool passes_labels(const Test& test, const model::LabelSet* labels) {
  const std::string& key = test.target.label_key;
  if (key.empty()) {
    if (test.op == Test::Op::kEmpty) return labels == nullptr || labels->pairs.empty();
    return labels != nullptr && std::any_of(labels->pairs.begin(), labels->pairs.end(),
                                            [&](const std::string& pair) { return passes_text(test, pair); });
  }
  const std::string_view value = labels != nullptr ? labels->find(key) : std::string_view();
  if (test.op == Test::Op::kEmpty) return value.data() == nullptr;
  return value.data() != nullptr && passes_text(test, value);
}

bool passes_policies(const Test& test, const model::PolicyTraces& traces) {
  using Traces = Target::Traces;
  const model::PolicyTrace* enforced = test.target.traces != Traces::kPending ? traces.enforced : nullptr;
  const model::PolicyTrace* pending = test.target.traces != Traces::kEnforced ? traces.pending : nullptr;
  const auto passes = [&](const model::PolicyTrace* trace) {
    return trace != nullptr && std::any_of(trace->entries.begin(), trace->entries.end(),
                                           [&](const std::string& entry) { return passes_text(test, entry); });
  };
  if (test.op == Test::Op::kEmpty) {
    const auto is_empty = [](const model::PolicyTrace* trace) { return trace == nullptr || trace->entries.empty(); };
    return is_empty(enforced) && is_empty(pending);
  }
  return passes(enforced) || passes(pending);
}

template <typename T>
constexpr bool kIsSpan = false;
template <typename T>
constexpr bool kIsSpan<std::span<T>> = true;

template <std::size_t kRow, typename Value>
bool passes_value(const Test& test, const Value& value) {
  if constexpr (std::is_same_v<Value, const model::LabelSet*>) {
    return passes_labels(test, value);
  } else if constexpr (std::is_same_v<Value, model::PolicyTraces>) {
    return passes_policies(test, value);
  } else if constexpr (kIsSpan<Value>) {
    if (test.op == Test::Op::kEmpty) return value.empty();
    return std::any_of(value.begin(), value.end(), [&](const auto& v) { return passes_value<kRow>(test, v); });
  } else if constexpr (std::is_same_v<Value, std::string_view>) {
    if (test.op == Test::Op::kEmpty) return value.empty() || value == "-";
    return passes_text(test, value);
  } else if constexpr (std::is_same_v<Value, IpAddress>) {
    return passes_address(test, value);
  } else if constexpr (kField<kRow>.kind == FieldKind::kProtocol) {
    return test.op != Test::Op::kEmpty && passes_protocol(test, value);
  } else if constexpr (std::is_integral_v<Value>) {
    if (test.op == Test::Op::kEmpty) return value == 0;
    return passes_number(test, static_cast<std::uint64_t>(std::max<Value>(value, 0)));
  } else {
    if (test.op == Test::Op::kEmpty) return !value.has_value();
    return value.has_value() && passes_value<kRow>(test, *value);
  }
}

using Passes = bool (*)(const Test&, const FlowRecord&);

template <std::size_t kRow>
bool passes_row(const Test& test, const FlowRecord& record) {
  return passes_value<kRow>(test, kField<kRow>.get(record));
}

constexpr auto kPasses = []<std::size_t... kRow>(std::index_sequence<kRow...>) {
  return std::array<Passes, kRows>{&passes_row<kRow>...};
}
(std::make_index_sequence<kRows>{});

bool passes(const Test& test, const FlowRecord& record) {
  // Absence must hold for every field of a word; anything else for one of them.
  const auto row_passes = [&](std::uint8_t row) { return kPasses[row](test, record); };
  if (test.op == Test::Op::kEmpty) return std::all_of(test.target.rows.begin(), test.target.rows.end(), row_passes);
  return std::any_of(test.target.rows.begin(), test.target.rows.end(), row_passes);
}

bool holds(const Expression& expression, const FlowRecord& record) {
  const auto child_holds = [&](const Expression& child) { return holds(child, record); };
  const auto& children = expression.children;
  switch (expression.kind) {
    case Expression::Kind::kAnd:
      return std::all_of(children.begin(), children.end(), child_holds);
    case Expression::Kind::kOr:
      return std::any_of(children.begin(), children.end(), child_holds);
    case Expression::Kind::kNot:
      return !holds(children.front(), record);
    case Expression::Kind::kTest:
      return passes(expression.test, record);
  }
  return false;
}

}  // namespace

Result<Filter> Filter::compile(std::string_view text) {
  TRY_ASSIGN(Expression expression, parse(text));
  return Filter(std::make_shared<const Expression>(std::move(expression)));
}

bool Filter::matches(const FlowRecord& record) const { return holds(*expression_, record); }

}  // namespace weir::filter
