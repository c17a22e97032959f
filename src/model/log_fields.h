#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "model/agent_window.h"
#include "model/audit_record.h"
#include "model/dns_record.h"
#include "model/fields.h"
#include "model/flow_record.h"
#include "model/l7_record.h"
#include "model/log_type.h"

/// The fields of each log as filters, queries and the store know them: those of the line's field table, and what is
/// added to it on the way (`host`) or derived from it.
namespace weir::model {

/// A field that is computed of a record.
template <auto Function>
struct DerivedField {
  std::string_view name;
  std::string_view doc;
  template <typename Record>
  static auto get(const Record& record) {
    return Function(record);
  }
};

/// Events that the sources of the window lost, for any reason.
std::uint64_t lost_events(const AgentWindow& window);
std::uint64_t dropped_flows(const AgentWindow& window);
std::uint64_t dropped_lines(const AgentWindow& window);
std::string_view host_of(const AgentWindow& window);

template <LogType kLog>
constexpr auto stored_fields() {
  constexpr std::string_view kHostDoc = "Node, as the shipper says.";
  if constexpr (kLog == LogType::kFlows) {
    return std::tuple_cat(kFlowFields, std::tuple{Field<&FlowRecord::host>{"host", FieldKind::kKeyword, kHostDoc}});
  } else if constexpr (kLog == LogType::kDns) {
    return std::tuple_cat(kDnsFields, std::tuple{RecordField<&DnsRecord::host>{"host", kHostDoc}});
  } else if constexpr (kLog == LogType::kL7) {
    return std::tuple_cat(kL7Fields, std::tuple{RecordField<&L7Record::host>{"host", kHostDoc}});
  } else if constexpr (kLog == LogType::kAgent) {
    return std::tuple_cat(kAgentFields,
                          std::tuple{DerivedField<&lost_events>{"lost_events", "Sum of what the sources lost."},
                                     DerivedField<&dropped_flows>{"dropped_flows", "Sum of flows_dropped."},
                                     DerivedField<&dropped_lines>{"dropped_lines", "Sum of lines_dropped."},
                                     DerivedField<&host_of>{"host", "The same as node."}});
  } else {
    return std::tuple_cat(kAuditFields, std::tuple{RecordField<&AuditRecord::host>{"host", kHostDoc}});
  }
}

template <LogType kLog>
inline constexpr auto kStoredFields = stored_fields<kLog>();

template <LogType kLog>
using RecordOf = std::tuple_element_t<static_cast<std::size_t>(kLog),
                                      std::tuple<FlowRecord, DnsRecord, L7Record, AgentWindow, AuditRecord>>;

/// The kind of a field whose table does not say it: by its type, and by its name for what a number counts.
template <typename FieldType, typename Record>
constexpr FieldKind kind_of_field(const FieldType& field) {
  if constexpr (requires { field.kind; }) {
    return field.kind;
  } else {
    using Value = std::remove_cvref_t<decltype(FieldType::get(std::declval<const Record&>()))>;
    if constexpr (std::is_same_v<Value, std::int64_t>) return FieldKind::kSeconds;
    if constexpr (std::is_same_v<Value, double>) return FieldKind::kReal;
    if constexpr (std::is_same_v<Value, std::optional<IpAddress>>) return FieldKind::kIp;
    if constexpr (std::is_same_v<Value, std::optional<std::uint16_t>>) return FieldKind::kPort;
    if constexpr (std::is_same_v<Value, std::span<const IpAddress>>) return FieldKind::kIpList;
    if constexpr (std::is_same_v<Value, const LabelSet*>) return FieldKind::kLabels;
    if constexpr (std::is_same_v<Value, std::span<const DnsRrset>>) return FieldKind::kAnswers;
    if constexpr (std::is_same_v<Value, std::span<const DnsServer>>) return FieldKind::kServers;
    if constexpr (std::is_convertible_v<Value, std::string_view>) {
      return field.name == "event" ? FieldKind::kJson : FieldKind::kKeyword;
    }
    if constexpr (std::is_integral_v<Value>) {
      const std::string_view name = field.name;
      if (name == "latency_mean" || name == "latency_max" || name.starts_with("duration_")) {
        return FieldKind::kNanoseconds;
      }
      if (name.starts_with("bytes_") || name.ends_with("_bytes")) return FieldKind::kBytes;
      return sizeof(Value) == 2 ? FieldKind::kInteger : FieldKind::kCount;
    }
    return FieldKind::kJson;
  }
}

/// A row of a log's fields.
struct LogField {
  std::string_view name;
  FieldKind kind = FieldKind::kKeyword;
  /// The name of the field that holds its value: its own, but of two names of one field the second.
  std::string_view stored;
};

/// All fields of a log in the order of its stored_fields().
std::span<const LogField> log_fields(LogType log);
/// Index in log_fields().
std::optional<std::size_t> find_log_field(LogType log, std::string_view name);

constexpr bool is_list(FieldKind kind) {
  return kind == FieldKind::kKeywordList || kind == FieldKind::kPortList || kind == FieldKind::kIpList ||
         kind == FieldKind::kLabels || kind == FieldKind::kPolicies;
}
/// Numbers that may be added up, compared and ordered.
constexpr bool is_number(FieldKind kind) {
  switch (kind) {
    case FieldKind::kSeconds:
    case FieldKind::kCount:
    case FieldKind::kPackets:
    case FieldKind::kBytes:
    case FieldKind::kMicroseconds:
    case FieldKind::kNanoseconds:
    case FieldKind::kInteger:
    case FieldKind::kReal:
    case FieldKind::kPort:
      return true;
    default:
      return false;
  }
}

}  // namespace weir::model
