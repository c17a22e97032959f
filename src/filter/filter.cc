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

#include "model/log_fields.h"
#include "model/protocol.h"

namespace weir::filter {
namespace {

using model::FieldKind;
using model::LogType;

bool passes_text(const Test& test, std::string_view text) {
  if (test.op == Test::Op::kRegex)
    return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *test.regex);
  return std::any_of(test.texts.begin(), test.texts.end(), [&](const TextPattern& p) { return p.matches(text); });
}

/// `Number`: std::uint64_t or double.
template <typename Number>
bool passes_number(const Test& test, Number number) {
  const auto value = [&] { return static_cast<Number>(test.numbers.front()); };
  switch (test.op) {
    case Test::Op::kAnyOf:
      return std::any_of(test.numbers.begin(), test.numbers.end(),
                         [&](std::uint64_t wanted) { return static_cast<Number>(wanted) == number; });
    case Test::Op::kLess:
      return number < value();
    case Test::Op::kLessOrEqual:
      return number <= value();
    case Test::Op::kGreater:
      return number > value();
    case Test::Op::kGreaterOrEqual:
      return number >= value();
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
  if (test.op == Test::Op::kAnyOf && passes_number(test, std::uint64_t{protocol})) return true;
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

template <FieldKind kKind, typename Value>
bool passes_value(const Test& test, const Value& value) {
  if constexpr (std::is_same_v<Value, const model::LabelSet*>) {
    return passes_labels(test, value);
  } else if constexpr (std::is_same_v<Value, model::PolicyTraces>) {
    return passes_policies(test, value);
  } else if constexpr (kIsSpan<Value>) {
    if (test.op == Test::Op::kEmpty) return value.empty();
    return std::any_of(value.begin(), value.end(), [&](const auto& v) { return passes_value<kKind>(test, v); });
  } else if constexpr (std::is_same_v<Value, model::DnsRrset>) {
    return std::any_of(value.rdata.begin(), value.rdata.end(),
                       [&](const auto& data) { return passes_text(test, data); });
  } else if constexpr (std::is_same_v<Value, model::DnsServer>) {
    return passes_address(test, value.ip);
  } else if constexpr (std::is_convertible_v<Value, std::string_view>) {
    if (test.op == Test::Op::kEmpty) return value.empty() || value == "-";
    return passes_text(test, value);
  } else if constexpr (std::is_same_v<Value, double>) {
    if (test.op == Test::Op::kEmpty) return value == 0;
    return passes_number(test, value);
  } else if constexpr (std::is_same_v<Value, IpAddress>) {
    return passes_address(test, value);
  } else if constexpr (kKind == FieldKind::kProtocol) {
    return test.op != Test::Op::kEmpty && passes_protocol(test, value);
  } else if constexpr (std::is_integral_v<Value>) {
    if (test.op == Test::Op::kEmpty) return value == 0;
    return passes_number(test, static_cast<std::uint64_t>(std::max<Value>(value, 0)));
  } else if constexpr (requires { value.has_value(); }) {
    if (test.op == Test::Op::kEmpty) return !value.has_value();
    return value.has_value() && passes_value<kKind>(test, *value);
  } else {
    // Lists of objects that no filter can name.
    return false;
  }
}

template <LogType kLog>
using Passes = bool (*)(const Test&, const model::RecordOf<kLog>&);

template <LogType kLog, std::size_t kRow>
bool passes_row(const Test& test, const model::RecordOf<kLog>& record) {
  using FieldType = std::remove_cvref_t<decltype(std::get<kRow>(model::kStoredFields<kLog>))>;
  constexpr FieldKind kKind =
      model::kind_of_field<FieldType, model::RecordOf<kLog>>(std::get<kRow>(model::kStoredFields<kLog>));
  return passes_value<kKind>(test, FieldType::get(record));
}

template <LogType kLog>
constexpr std::size_t kRows = std::tuple_size_v<std::remove_cvref_t<decltype(model::kStoredFields<kLog>)>>;

template <LogType kLog>
constexpr auto kPasses = []<std::size_t... kRow>(std::index_sequence<kRow...>) {
  return std::array<Passes<kLog>, kRows<kLog>>{&passes_row<kLog, kRow>...};
}
(std::make_index_sequence<kRows<kLog>>{});

template <LogType kLog>
bool passes(const Test& test, const model::RecordOf<kLog>& record) {
  CHECK(test.target.log == kLog);
  // Absence must hold for every field of a word; anything else for one of them.
  const auto row_passes = [&](std::uint8_t row) { return kPasses<kLog>[row](test, record); };
  if (test.op == Test::Op::kEmpty) return std::all_of(test.target.rows.begin(), test.target.rows.end(), row_passes);
  return std::any_of(test.target.rows.begin(), test.target.rows.end(), row_passes);
}

template <LogType kLog>
bool holds(const Expression& expression, const model::RecordOf<kLog>& record) {
  const auto child_holds = [&](const Expression& child) { return holds<kLog>(child, record); };
  const auto& children = expression.children;
  switch (expression.kind) {
    case Expression::Kind::kAnd:
      return std::all_of(children.begin(), children.end(), child_holds);
    case Expression::Kind::kOr:
      return std::any_of(children.begin(), children.end(), child_holds);
    case Expression::Kind::kNot:
      return !holds<kLog>(children.front(), record);
    case Expression::Kind::kTest:
      return passes<kLog>(expression.test, record);
  }
  return false;
}

}  // namespace

Result<Filter> Filter::compile(std::string_view text, LogType log) {
  TRY_ASSIGN(Expression expression, parse(text, log));
  return Filter(std::make_shared<const Expression>(std::move(expression)));
}

bool Filter::matches(const model::FlowRecord& record) const { return holds<LogType::kFlows>(*expression_, record); }
bool Filter::matches(const model::DnsRecord& record) const { return holds<LogType::kDns>(*expression_, record); }
bool Filter::matches(const model::L7Record& record) const { return holds<LogType::kL7>(*expression_, record); }
bool Filter::matches(const model::AgentWindow& record) const { return holds<LogType::kAgent>(*expression_, record); }
bool Filter::matches(const model::AuditRecord& record) const { return holds<LogType::kAudit>(*expression_, record); }

}  // namespace weir::filter
