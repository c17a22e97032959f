#include "flowlog/flow_log.h"

#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "model/fields.h"
#include "model/protocol.h"

// The field table is walked at compile time: every key is a constant, and every value's form follows from the type of
// its member. Room for all keys and fixed-size values is reserved once a record; only text and lists reserve more.

namespace weir::flowlog {
namespace {

using model::FieldGroup;
using model::FieldKind;

constexpr std::size_t kFields = std::tuple_size_v<decltype(model::kFlowFields)>;
constexpr std::size_t kMaxFixedValue = 48;

template <std::size_t kIndex>
constexpr const auto& kField = std::get<kIndex>(model::kFlowFields);

/// `,"name":`
template <std::size_t kIndex>
constexpr auto kKey = [] {
  constexpr std::string_view name = kField<kIndex>.name;
  std::array<char, name.size() + 4> key{};
  key[0] = ',';
  key[1] = '"';
  for (std::size_t i = 0; i < name.size(); ++i) key[i + 2] = name[i];
  key[name.size() + 2] = '"';
  key[name.size() + 3] = ':';
  return key;
}();

/// Room for all keys and all values of fixed size.
constexpr std::size_t kRoom = [] {
  std::size_t room = 2;
  model::for_each_flow_field([&](const auto& field) { room += field.name.size() + 4 + kMaxFixedValue; });
  return room;
}();

constexpr std::string_view kNull = "null";

template <typename T>
constexpr bool kIsSpan = false;
template <typename T>
constexpr bool kIsSpan<std::span<T>> = true;

/// `["a","b"]`
template <typename Texts>
void put_texts(TextBuffer& text, const Texts& values) {
  char separator = '[';
  for (const auto& value : values) {
    text.put(separator);
    text.put_string(value, kRoom);
    separator = ',';
  }
  if (separator == '[') text.put('[');
  text.put(']');
}

void put_trace(TextBuffer& text, const model::PolicyTrace* trace) {
  if (trace == nullptr) {
    text.put("[]");
  } else {
    put_texts(text, trace->entries);
  }
}

/// Writes what `find` knows of (a, b), else what `render` writes, which is then remembered.
template <typename Render>
void put_remembered(TextBuffer& text, FragmentCache& cache, const void* a, const void* b, Render&& render) {
  const std::string_view known = cache.find(a, b);
  if (known.data() != nullptr) {
    text.reserve(known.size() + kRoom);
    text.put(known);
    return;
  }
  const std::size_t from = text.text().size();
  render();
  cache.add(a, b, text.text().substr(from));
}

}  // namespace

FlowLogWriter::FlowLogWriter(FlowLogOptions options)
    : options_(options),
      source_(options.max_fragment_bytes),
      dest_(options.max_fragment_bytes),
      labels_(options.max_fragment_bytes),
      policies_(options.max_fragment_bytes),
      protocols_() {
  for (std::size_t number = 0; number < protocols_.size(); ++number) {
    const std::string quoted = '"' + model::protocol_name(static_cast<std::uint8_t>(number)) + '"';
    QuotedName& name = protocols_[number];
    CHECK(quoted.size() <= name.text.size());
    std::memcpy(name.text.data(), quoted.data(), quoted.size());
    name.size = static_cast<std::uint8_t>(quoted.size());
  }
}

void FlowLogWriter::forget() {
  source_.clear();
  dest_.clear();
  labels_.clear();
  policies_.clear();
}

void FlowLogWriter::append(const model::FlowRecord& record, std::string& out) {
  text_.clear();
  text_.reserve(kRoom);
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) { (put_field<kIndex>(record), ...); }
  (std::make_index_sequence<kFields>{});
  text_.put("}\n");
  const std::size_t start = out.size();
  out.append(text_.text());
  out[start] = '{';  // every field is written with a comma before it
}

template <std::size_t kIndex>
void FlowLogWriter::put_field(const model::FlowRecord& record) {
  constexpr FieldGroup group = kField<kIndex>.group;
  if constexpr (group == FieldGroup::kNone) {
    put_key_and_value<kIndex>(record);
  } else if constexpr (kField<kIndex - 1>.group != group) {
    const bool source = group == FieldGroup::kSourceEndpoint;
    const void* identity = source ? record.source_identity : record.dest_identity;
    if (identity == nullptr || !options_.fragments) {
      put_group<kIndex>(record);
    } else {
      put_remembered(text_, source ? source_ : dest_, identity, nullptr, [&] { put_group<kIndex>(record); });
    }
  }
}

template <std::size_t kFirst>
void FlowLogWriter::put_group(const model::FlowRecord& record) {
  put_key_and_value<kFirst>(record);
  if constexpr (kFirst + 1 < kFields) {
    if constexpr (kField<kFirst + 1>.group == kField<kFirst>.group) put_group<kFirst + 1>(record);
  }
}

template <std::size_t kIndex>
void FlowLogWriter::put_key_and_value(const model::FlowRecord& record) {
  text_.put(kKey<kIndex>);
  put_value<kIndex>(kField<kIndex>.get(record));
}

template <std::size_t kIndex, typename Value>
void FlowLogWriter::put_value(const Value& value) {
  if constexpr (kField<kIndex>.kind == FieldKind::kProtocol) {
    const QuotedName& name = protocols_[value];
    text_.put(std::string_view(name.text.data(), name.size));
  } else if constexpr (std::is_same_v<Value, std::string_view>) {
    text_.put_string(value, kRoom);
  } else if constexpr (std::is_unsigned_v<Value>) {
    text_.put_uint(value);
  } else if constexpr (std::is_same_v<Value, std::int64_t>) {
    text_.put_int(value);
  } else if constexpr (std::is_same_v<Value, IpAddress>) {
    text_.put_ip(value);
  } else if constexpr (std::is_same_v<Value, const model::LabelSet*>) {
    put_labels(value);
  } else if constexpr (std::is_same_v<Value, model::PolicyTraces>) {
    put_policies(value);
  } else if constexpr (kIsSpan<Value>) {
    if (value.empty()) return text_.put(kNull);
    text_.reserve(value.size() * kMaxFixedValue + kRoom);
    char separator = '[';
    for (const auto& element : value) {
      text_.put(separator);
      put_value<kIndex>(element);
      separator = ',';
    }
    text_.put(']');
  } else {
    if (!value.has_value()) return text_.put(kNull);
    put_value<kIndex>(*value);
  }
}

void FlowLogWriter::put_labels(const model::LabelSet* labels) {
  if (labels == nullptr) return text_.put(kNull);
  const auto render = [&] {
    text_.put(R"({"labels":)");
    put_texts(text_, labels->pairs);
    text_.put('}');
  };
  if (!options_.fragments) return render();
  put_remembered(text_, labels_, labels, nullptr, render);
}

void FlowLogWriter::put_policies(const model::PolicyTraces& policies) {
  if (policies.enforced == nullptr && policies.pending == nullptr) return text_.put(kNull);
  const auto render = [&] {
    text_.put(R"({"enforced_policies":)");
    put_trace(text_, policies.enforced);
    text_.put(R"(,"pending_policies":)");
    put_trace(text_, policies.pending);
    text_.put('}');
  };
  if (!options_.fragments) return render();
  put_remembered(text_, policies_, policies.enforced, policies.pending, render);
}

}  // namespace weir::flowlog
