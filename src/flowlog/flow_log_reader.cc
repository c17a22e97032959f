#include "flowlog/flow_log_reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "flowlog/json_values.h"
#include "model/fields.h"
#include "model/protocol.h"

// One pass over the line's members. Lines mostly come in the order of the field table, so the member after field i is
// first compared with field i + 1. Text stays where the parser unescaped it; lists and sets live in State.

namespace weir::flowlog {
namespace {

using model::FieldKind;

constexpr std::size_t kFields = std::tuple_size_v<decltype(model::kFlowFields)>;

template <std::size_t kIndex>
constexpr const auto& kField = std::get<kIndex>(model::kFlowFields);

constexpr std::array<std::string_view, kFields> kNames = [] {
  std::array<std::string_view, kFields> names;
  std::size_t i = 0;
  model::for_each_flow_field([&](const auto& field) { names[i++] = field.name; });
  return names;
}();

/// Lists and sets of one record, at stable addresses.
struct Lists {
  std::deque<std::vector<std::string_view>> texts;
  std::deque<std::vector<std::uint16_t>> ports;
  std::deque<std::vector<IpAddress>> addresses;
  std::deque<model::LabelSet> labels;
  std::deque<model::PolicyTrace> traces;

  void clear() {
    texts.clear();
    ports.clear();
    addresses.clear();
    labels.clear();
    traces.clear();
  }
};

/// The action of the last entry, "index|tier|policy|action" with or without "|rule".
model::Action verdict_of(const std::vector<std::string>& entries) {
  if (entries.empty()) return model::Action::kAllow;
  const std::string& last = entries.back();
  if (last.find("|deny|") != std::string::npos || last.ends_with("|deny")) return model::Action::kDeny;
  if (last.find("|pass|") != std::string::npos || last.ends_with("|pass")) return model::Action::kPass;
  return model::Action::kAllow;
}

Wrong read_trace(ondemand::value& value, Lists& lists, const model::PolicyTrace*& out) {
  model::PolicyTrace& trace = lists.traces.emplace_back();
  const Wrong wrong = read_array(value, trace.entries, read_string);
  trace.verdict = verdict_of(trace.entries);
  out = &trace;
  return wrong;
}

Wrong read_policies(ondemand::value& value, Lists& lists, model::PolicyTraces& out) {
  return read_members(value, [&](std::string_view key, ondemand::value& member) -> Wrong {
    if (is_null(member)) return kFine;
    if (key == "enforced_policies") return read_trace(member, lists, out.enforced);
    if (key == "pending_policies") return read_trace(member, lists, out.pending);
    return kFine;
  });
}

Wrong read_protocol(ondemand::value& value, std::uint8_t& out) {
  std::uint64_t number = 0;
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) {
    const int parsed = model::parse_protocol(text);
    if (parsed < 0) return "a protocol name or number";
    number = static_cast<std::uint64_t>(parsed);
  } else if (read_unsigned(value, 255, number) != kFine) {
    return "a protocol name or number";
  }
  out = static_cast<std::uint8_t>(number);
  return kFine;
}

Wrong read_value(ondemand::value& value, Lists&, std::string_view& out) { return read_text(value, out); }
Wrong read_value(ondemand::value& value, Lists&, std::int64_t& out) {
  return value.get_int64().get(out) == simdjson::SUCCESS ? kFine : "an integer";
}
template <typename Unsigned>
requires std::is_unsigned_v<Unsigned> Wrong read_value(ondemand::value& value, Lists&, Unsigned& out) {
  std::uint64_t number = 0;
  const Wrong wrong = read_unsigned(value, std::numeric_limits<Unsigned>::max(), number);
  out = static_cast<Unsigned>(number);
  return wrong;
}
Wrong read_value(ondemand::value& value, Lists&, std::optional<IpAddress>& out) {
  return read_address(value, out.emplace());
}
Wrong read_value(ondemand::value& value, Lists& lists, std::optional<std::uint16_t>& out) {
  return read_value(value, lists, out.emplace());
}
Wrong read_value(ondemand::value& value, Lists& lists, const model::LabelSet*& out) {
  out = &lists.labels.emplace_back();
  return read_labels(value, lists.labels.back());
}
Wrong read_value(ondemand::value& value, Lists& lists, model::PolicyTraces& out) {
  return read_policies(value, lists, out);
}
Wrong read_value(ondemand::value& value, Lists& lists, std::span<const std::string_view>& out) {
  std::vector<std::string_view>& list = lists.texts.emplace_back();
  const Wrong wrong = read_array(value, list, read_text);
  out = list;
  return wrong;
}
Wrong read_value(ondemand::value& value, Lists& lists, std::span<const std::uint16_t>& out) {
  std::vector<std::uint16_t>& list = lists.ports.emplace_back();
  const Wrong wrong = read_array(
      value, list, [&](ondemand::value& item, std::uint16_t& port) { return read_value(item, lists, port); });
  out = list;
  return wrong;
}
Wrong read_value(ondemand::value& value, Lists& lists, std::span<const IpAddress>& out) {
  std::vector<IpAddress>& list = lists.addresses.emplace_back();
  const Wrong wrong = read_array(value, list, read_address);
  out = list;
  return wrong;
}

template <auto Member>
auto& member_of(model::FlowRecord& record, const model::Field<Member>&) {
  return record.*Member;
}

using ReadField = Wrong (*)(ondemand::value&, Lists&, model::FlowRecord&);

template <std::size_t kIndex>
Wrong read_field(ondemand::value& value, Lists& lists, model::FlowRecord& record) {
  auto& member = member_of(record, kField<kIndex>);
  if constexpr (kField<kIndex>.kind == FieldKind::kProtocol) {
    return read_protocol(value, member);
  } else if constexpr (kField<kIndex>.name.starts_with("dest_service_port") &&
                       kField<kIndex>.kind == FieldKind::kKeyword) {
    // Two names of one field: "-" under one does not hide what the other says.
    std::string_view text;
    const Wrong wrong = read_text(value, text);
    if (wrong == kFine && text != "-") member = text;
    return wrong;
  } else {
    return read_value(value, lists, member);
  }
}

constexpr auto kReaders = []<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
  return std::array<ReadField, kFields>{&read_field<kIndex>...};
}
(std::make_index_sequence<kFields>{});

/// Row of the field, kFields if there is none; `expected` is tried first.
std::size_t find_field(std::string_view name, std::size_t expected) {
  if (expected < kFields && kNames[expected] == name) return expected;
  return static_cast<std::size_t>(std::find(kNames.begin(), kNames.end(), name) - kNames.begin());
}

}  // namespace

struct FlowLogReader::State {
  LineParser line{ondemand::parser{kMaxLineBytes}, {}, {}};
  Lists lists;
  model::FlowRecord record;
  std::string unknown;
};

FlowLogReader::FlowLogReader() : state_(std::make_unique<State>()) {}
FlowLogReader::FlowLogReader(FlowLogReader&&) noexcept = default;
FlowLogReader& FlowLogReader::operator=(FlowLogReader&&) noexcept = default;
FlowLogReader::~FlowLogReader() = default;

Result<const model::FlowRecord*> FlowLogReader::read(std::string_view line) {
  State& state = *state_;
  state.lists.clear();
  state.record = {};
  state.unknown.clear();
  std::size_t expected = 0;
  TRY(state.line.read(line, kMaxLineBytes, [&](std::string_view name, ondemand::value& value) -> Wrong {
    const std::size_t row = find_field(name, expected);
    if (row != kFields) expected = row + 1;
    if (is_null(value)) return kFine;
    if (row != kFields) return kReaders[row](value, state.lists, state.record);
    if (name == "host") return read_text(value, state.record.host);
    // end_time in milliseconds, as shippers add it.
    if (name == "@timestamp") return kFine;
    return keep_member(state.unknown, name, value);
  }));
  if (!state.unknown.empty()) state.unknown += '}';
  return static_cast<const model::FlowRecord*>(&state.record);
}

std::string_view FlowLogReader::unknown_fields() const { return state_->unknown; }

}  // namespace weir::flowlog
