#include "flowlog/flow_log_reader.h"

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

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

#include "model/fields.h"
#include "model/protocol.h"

// One pass over the line's members. Lines mostly come in the order of the field table, so the member after field i is
// first compared with field i + 1. Text stays where the parser unescaped it; lists and sets live in State.

namespace weir::flowlog {
namespace {

namespace ondemand = simdjson::ondemand;
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

/// What was expected; null if the value was fine.
using Wrong = const char*;
constexpr Wrong kFine = nullptr;

/// False for what is no value at all too: reading it then fails.
bool is_null(ondemand::value& value) {
  bool null = false;
  return simdjson::simdjson_result<bool>(value.is_null()).get(null) == simdjson::SUCCESS && null;
}

Wrong read_unsigned(ondemand::value& value, std::uint64_t max, std::uint64_t& out) {
  ondemand::number number;
  if (value.get_number().get(number) != simdjson::SUCCESS) return "an unsigned integer";
  if (number.is_uint64()) {
    out = number.get_uint64();
  } else if (number.is_int64()) {
    if (number.get_int64() < 0) return "an unsigned integer";
    out = static_cast<std::uint64_t>(number.get_int64());
  } else {
    // Some shippers turn numbers into floating point.
    const double real = number.get_double();
    if (!(real >= 0 && real <= 9007199254740992.0) || real != std::floor(real)) return "an unsigned integer";
    out = static_cast<std::uint64_t>(real);
  }
  return out <= max ? kFine : "a smaller number";
}

Wrong read_text(ondemand::value& value, std::string_view& out) {
  return value.get_string().get(out) == simdjson::SUCCESS ? kFine : "text";
}

Wrong read_address(ondemand::value& value, IpAddress& out) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return "an IP address";
  Result<IpAddress> parsed = IpAddress::parse(text);
  if (!parsed.ok()) return "an IP address";
  out = parsed.value();
  return kFine;
}

/// Reads each element of an array with `read`.
template <typename T, typename Read>
Wrong read_array(ondemand::value& value, std::vector<T>& out, Read&& read) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return "a list or null";
  for (auto element : array) {
    ondemand::value item;
    if (element.get(item) != simdjson::SUCCESS) return "a list";
    T element_value{};
    if (const Wrong wrong = read(item, element_value); wrong != kFine) return wrong;
    out.push_back(std::move(element_value));
  }
  return kFine;
}

Wrong read_string(ondemand::value& value, std::string& out) {
  std::string_view text;
  const Wrong wrong = read_text(value, text);
  if (wrong == kFine) out.assign(text);
  return wrong;
}

/// Calls `visit(key, value)` for the members of an object; values that it does not read are skipped.
template <typename Visit>
Wrong read_members(ondemand::value& value, Visit&& visit) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return "an object or null";
  for (auto member : object) {
    ondemand::field field;
    std::string_view key;
    if (std::move(member).get(field) != simdjson::SUCCESS) return "an object";
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return "an object";
    if (const Wrong wrong = visit(key, field.value()); wrong != kFine) return wrong;
  }
  return kFine;
}

Wrong read_labels(ondemand::value& value, model::LabelSet& out) {
  const Wrong wrong = read_members(value, [&](std::string_view key, ondemand::value& member) -> Wrong {
    if (key != "labels" || is_null(member)) return kFine;
    out.pairs.clear();
    return read_array(member, out.pairs, read_string);
  });
  std::sort(out.pairs.begin(), out.pairs.end());
  out.pairs.erase(std::unique(out.pairs.begin(), out.pairs.end()), out.pairs.end());
  return wrong;
}

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
  ondemand::parser parser{kMaxLineBytes};
  std::string padded;
  Lists lists;
  model::FlowRecord record;
};

FlowLogReader::FlowLogReader() : state_(std::make_unique<State>()) {}
FlowLogReader::FlowLogReader(FlowLogReader&&) noexcept = default;
FlowLogReader& FlowLogReader::operator=(FlowLogReader&&) noexcept = default;
FlowLogReader::~FlowLogReader() = default;

Result<const model::FlowRecord*> FlowLogReader::read(std::string_view line) {
  if (line.size() > kMaxLineBytes) return data_loss("the line is longer than 16 MiB");
  State& state = *state_;
  state.lists.clear();
  state.record = {};
  state.padded.assign(line);
  state.padded.append(simdjson::SIMDJSON_PADDING, ' ');
  const simdjson::padded_string_view padded(state.padded.data(), line.size(), state.padded.size());

  const auto not_json = [](simdjson::error_code error) {
    return data_loss(std::string("not JSON: ") + simdjson::error_message(error));
  };
  ondemand::document document;
  ondemand::object object;
  if (const auto error = state.parser.iterate(padded).get(document)) return not_json(error);
  if (const auto error = document.get_object().get(object)) return not_json(error);
  std::size_t expected = 0;
  for (auto member : object) {
    ondemand::field field;
    std::string_view name;
    if (const auto error = std::move(member).get(field)) return not_json(error);
    if (const auto error = field.unescaped_key().get(name)) return not_json(error);
    const std::size_t row = find_field(name, expected);
    if (row == kFields || is_null(field.value())) {
      if (row != kFields) expected = row + 1;
      continue;
    }
    expected = row + 1;
    if (const Wrong wrong = kReaders[row](field.value(), state.lists, state.record); wrong != kFine) {
      return data_loss("field " + std::string(name) + ": expected " + wrong);
    }
  }
  // At the end there is no location.
  if (document.current_location().error() == simdjson::SUCCESS) return data_loss("not JSON: text after the object");
  return static_cast<const model::FlowRecord*>(&state.record);
}

}  // namespace weir::flowlog
