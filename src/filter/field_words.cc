#include "filter/field_words.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <span>
#include <vector>

namespace weir::filter {
namespace {

using model::FieldKind;

using model::LogField;
using model::LogType;

/// A short word and the fields it means: of the source, of the destination, of neither end.
struct Word {
  std::string_view word;
  std::array<std::string_view, 2> source, dest;
};
constexpr Word kFlowWords[] = {
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
/// Of a lookup there is one end: the client, a source.
constexpr Word kDnsWords[] = {
    {"ns", {"client_namespace"}, {}},
    {"namespace", {"client_namespace"}, {}},
    {"pod", {"client_name", "client_name_aggr"}, {}},
    {"name", {"client_name", "client_name_aggr"}, {}},
    {"ip", {"client_ip"}, {}},
    {"label", {"client_labels"}, {}},
    {"labels", {"client_labels"}, {}},
};
constexpr Word kL7Words[] = {
    {"ns", {"src_namespace"}, {"dest_namespace"}},  {"namespace", {"src_namespace"}, {"dest_namespace"}},
    {"pod", {"src_name_aggr"}, {"dest_name_aggr"}}, {"name", {"src_name_aggr"}, {"dest_name_aggr"}},
    {"type", {"src_type"}, {"dest_type"}},          {"ip", {"src_ip"}, {"dest_ip"}},
    {"port", {"src_port"}, {"dest_port"}},          {"svc", {}, {"dest_service_name"}},
    {"service", {}, {"dest_service_name"}},
};
std::span<const Word> words_of(LogType log) {
  switch (log) {
    case LogType::kFlows:
      return kFlowWords;
    case LogType::kDns:
      return kDnsWords;
    case LogType::kL7:
      return kL7Words;
    case LogType::kAgent:
    case LogType::kAudit:
      break;
  }
  return {};
}
/// Other names of one field.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"protocol", "proto"}, {"process", "process_name"}, {"policy", "policies"},    {"domain", "qname"},
    {"answer", "rrsets"},  {"server", "servers"},       {"code", "response_code"}, {"ns", "namespace"},
};

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
    case FieldKind::kNanoseconds:
    case FieldKind::kReal:
      return ValueClass::kNumber;
    case FieldKind::kKeyword:
    case FieldKind::kAnswers:
    case FieldKind::kJson:
    case FieldKind::kKeywordList:
      return ValueClass::kText;
    case FieldKind::kProtocol:
      return ValueClass::kProtocol;
    case FieldKind::kIp:
    case FieldKind::kIpList:
    case FieldKind::kServers:
      return ValueClass::kAddress;
    case FieldKind::kLabels:
      return ValueClass::kLabels;
    case FieldKind::kPolicies:
      return ValueClass::kPolicies;
  }
  return ValueClass::kText;
}

void add_field(Target& target, std::string_view name) {
  const std::optional<std::size_t> row = model::find_log_field(target.log, name);
  if (!row) return;
  const FieldKind kind = model::log_fields(target.log)[*row].kind;
  // Of what is JSON only an audit event is text of the record itself.
  if (kind == FieldKind::kJson && target.log != LogType::kAudit) return;
  target.rows.push_back(static_cast<std::uint8_t>(*row));
  target.values = class_of(kind);
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

Target target_of_word(LogType log, std::string_view word, Ends ends) {
  Target target;
  target.log = log;
  for (const Word& known : words_of(log)) {
    if (known.word != word) continue;
    for (std::size_t i = 0; i < 2; ++i) {
      if (ends.source) add_field(target, known.source[i]);
      if (ends.dest) add_field(target, known.dest[i]);
    }
  }
  if (!target.rows.empty() || !ends.source || !ends.dest) return target;
  add_field(target, word);
  for (const auto& [alias, name] : kAliases) {
    if (target.rows.empty() && alias == word) add_field(target, name);
  }
  return target;
}

/// "label.app", "source_labels.app", "policies.enforced_policies": what follows the first dot selects a part.
std::optional<Target> target_of_part(LogType log, std::string_view word, Ends ends) {
  const std::size_t dot = word.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  Target target = target_of_word(log, word.substr(0, dot), ends);
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

model::FieldKind kind_of(const Target& target) { return model::log_fields(target.log)[target.rows.front()].kind; }
std::string_view name_of(const Target& target) { return model::log_fields(target.log)[target.rows.front()].name; }

std::optional<Target> find_target(LogType log, std::string_view word) {
  const Ends ends = take_prefix(word);
  Target target = target_of_word(log, word, ends);
  if (!target.rows.empty()) return target;
  return target_of_part(log, word, ends);
}

std::string nearest_word(LogType log, std::string_view word) {
  if (word.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::min<std::size_t>(3, word.size() / 2) + 1;
  const auto consider = [&](std::string_view known) {
    const std::size_t distance = edit_distance(word, known);
    if (distance >= best_distance) return;
    best_distance = distance;
    best = known;
  };
  for (const LogField& field : model::log_fields(log)) consider(field.name);
  for (const Word& known : words_of(log)) consider(known.word);
  for (const auto& [alias, name] : kAliases) {
    if (model::find_log_field(log, name)) consider(alias);
  }
  return std::string(best);
}

}  // namespace weir::filter
