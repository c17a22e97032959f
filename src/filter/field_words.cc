#include "filter/field_words.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>
#include <vector>

namespace weir::filter {
namespace {

using model::FieldKind;

constexpr std::size_t kRows = std::tuple_size_v<decltype(model::kFlowFields)>;

struct Row {
  std::string_view name;
  FieldKind kind = FieldKind::kKeyword;
};
constexpr std::array<Row, kRows> kRowTable = [] {
  std::array<Row, kRows> rows{};
  std::size_t i = 0;
  model::for_each_flow_field([&](const auto& field) { rows[i++] = {field.name, field.kind}; });
  return rows;
}();

/// A short word and the fields it means: of the source, of the destination, of neither end.
struct Word {
  std::string_view word;
  std::array<std::string_view, 2> source, dest;
};
constexpr Word kWords[] = {
    {"ns", {"source_namespace"}, {"dest_namespace"}},
    {"namespace", {"source_namespace"}, {"dest_namespace"}},
    {"pod", {"source_name", "source_name_aggr"}, {"dest_name", "dest_name_aggr"}},
    {"name", {"source_name", "source_name_aggr"}, {"dest_name", "dest_name_aggr"}},
    {"workload", {"source_workload"}, {"dest_workload"}},
    {"kind", {"source_workload_kind"}, {"dest_workload_kind"}},
    {"type", {"source_type"}, {"dest_type"}},
    {"ip", {"source_ip", "source_external_ips"}, {"dest_ip", "dest_external_ips"}},
    {"port", {"source_port"}, {"dest_port"}},
    {"label", {"source_labels"}, {"dest_labels"}},
    {"labels", {"source_labels"}, {"dest_labels"}},
    {"svc", {}, {"dest_service_name"}},
    {"service", {}, {"dest_service_name"}},
    {"domain", {}, {"dest_domains"}},
};
/// Other names of one field.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"protocol", "proto"},
    {"process", "process_name"},
    {"policy", "policies"},
};

std::optional<std::size_t> find_row(std::string_view name) {
  const auto* row = std::find_if(kRowTable.begin(), kRowTable.end(), [&](const Row& r) { return r.name == name; });
  if (row == kRowTable.end()) return std::nullopt;
  return static_cast<std::size_t>(row - kRowTable.begin());
}

ValueClass class_of(FieldKind kind) {
  switch (kind) {
    case FieldKind::kSeconds:
    case FieldKind::kCount:
    case FieldKind::kPackets:
    case FieldKind::kBytes:
    case FieldKind::kMicroseconds:
    case FieldKind::kInteger:
    case FieldKind::kPort:
    case FieldKind::kPortList:
      return ValueClass::kNumber;
    case FieldKind::kKeyword:
    case FieldKind::kKeywordList:
      return ValueClass::kText;
    case FieldKind::kProtocol:
      return ValueClass::kProtocol;
    case FieldKind::kIp:
    case FieldKind::kIpList:
      return ValueClass::kAddress;
    case FieldKind::kLabels:
      return ValueClass::kLabels;
    case FieldKind::kPolicies:
      return ValueClass::kPolicies;
  }
  return ValueClass::kText;
}

void add_field(Target& target, std::string_view name) {
  const std::optional<std::size_t> row = find_row(name);
  if (!row) return;
  target.rows.push_back(static_cast<std::uint8_t>(*row));
  target.values = class_of(kRowTable[*row].kind);
}

/// "src.ns" → the source's end only.
struct Ends {
  bool source = true, dest = true;
};
Ends take_prefix(std::string_view& word) {
  for (const std::string_view prefix : {"src.", "source."}) {
    if (!word.starts_with(prefix)) continue;
    word.remove_prefix(prefix.size());
    return {true, false};
  }
  for (const std::string_view prefix : {"dst.", "dest."}) {
    if (!word.starts_with(prefix)) continue;
    word.remove_prefix(prefix.size());
    return {false, true};
  }
  return {};
}

Target target_of_word(std::string_view word, Ends ends) {
  Target target;
  for (const Word& known : kWords) {
    if (known.word != word) continue;
    for (std::size_t i = 0; i < 2; ++i) {
      if (ends.source) add_field(target, known.source[i]);
      if (ends.dest) add_field(target, known.dest[i]);
    }
  }
  if (!target.rows.empty() || !ends.source || !ends.dest) return target;
  for (const auto& [alias, name] : kAliases) {
    if (alias == word) add_field(target, name);
  }
  if (target.rows.empty()) add_field(target, word);
  return target;
}

/// "label.app", "source_labels.app", "policies.enforced_policies": what follows the first dot selects a part.
std::optional<Target> target_of_part(std::string_view word, Ends ends) {
  const std::size_t dot = word.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  Target target = target_of_word(word.substr(0, dot), ends);
  const std::string_view part = word.substr(dot + 1);
  if (target.rows.empty() || part.empty()) return std::nullopt;
  if (target.values == ValueClass::kLabels) {
    // The store's name of the list itself is source_labels.labels.
    if (part != "labels") target.label_key = part;
    return target;
  }
  if (target.values != ValueClass::kPolicies) return std::nullopt;
  if (part == "enforced_policies" || part == "enforced") {
    target.traces = Target::Traces::kEnforced;
  } else if (part == "pending_policies" || part == "pending") {
    target.traces = Target::Traces::kPending;
  } else {
    return std::nullopt;
  }
  return target;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

model::FieldKind kind_of_row(std::size_t row) { return kRowTable[row].kind; }
std::string_view name_of_row(std::size_t row) { return kRowTable[row].name; }

std::optional<Target> find_target(std::string_view word) {
  const Ends ends = take_prefix(word);
  Target target = target_of_word(word, ends);
  if (!target.rows.empty()) return target;
  return target_of_part(word, ends);
}

std::string nearest_word(std::string_view word) {
  if (word.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::min<std::size_t>(3, word.size() / 2) + 1;
  const auto consider = [&](std::string_view known) {
    const std::size_t distance = edit_distance(word, known);
    if (distance >= best_distance) return;
    best_distance = distance;
    best = known;
  };
  for (const Row& row : kRowTable) consider(row.name);
  for (const Word& known : kWords) consider(known.word);
  for (const auto& [alias, name] : kAliases) consider(alias);
  return std::string(best);
}

}  // namespace weir::filter
