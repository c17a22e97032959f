#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>

#include "model/flow_record.h"

/// The field table: one row per field of flows.log, in the order of the line. It feeds the JSON writer and reader, the
/// filter's words, the store's columns, the API and docs/fields.md. Adding a field is one row here and its producer.
namespace weir::model {

enum class FieldKind : std::uint8_t {
  kSeconds,  ///< Unix seconds
  kCount,    ///< flows, distinct values
  kPackets,
  kBytes,
  kMicroseconds,
  kInteger,      ///< any other number
  kKeyword,      ///< text; "-" absent, "*" several
  kKeywordList,  ///< null if empty
  kProtocol,     ///< number in the record, name in JSON
  kPort,         ///< null if aggregated
  kPortList,
  kIp,  ///< null if aggregated
  kIpList,
  kLabels,
  kPolicies,
  // Of the other logs' fields (model/log_fields.h).
  kNanoseconds,
  kReal,
  kAnswers,  ///< of a lookup; a list of objects
  kServers,  ///< that were asked; a list of objects
  kJson,     ///< anything else, as text
};

/// Fields that are always equal together: a writer may render them once per identity. Rows of a group are adjacent.
enum class FieldGroup : std::uint8_t { kNone, kSourceEndpoint, kDestEndpoint };

template <auto Member>
struct Field {
  std::string_view name;
  FieldKind kind;
  std::string_view doc;
  FieldGroup group = FieldGroup::kNone;

  static constexpr const auto& get(const FlowRecord& record) { return record.*Member; }
};

// clang-format off
inline constexpr auto kFlowFields = std::tuple{
    Field<&FlowRecord::start_time>{"start_time", FieldKind::kSeconds, "Window start."},
    Field<&FlowRecord::end_time>{"end_time", FieldKind::kSeconds, "Window end."},
    Field<&FlowRecord::action>{"action", FieldKind::kKeyword, "`allow` or `deny`: the enforced verdict of the reporting side."},
    Field<&FlowRecord::reporter>{"reporter", FieldKind::kKeyword, "`src`, `dst` or `fwd`: whose node reports."},
    Field<&FlowRecord::protocol>{"proto", FieldKind::kProtocol, "Lower-case protocol name, or its number."},
    Field<&FlowRecord::verdict_source>{"verdict_source", FieldKind::kKeyword, "`dataplane`, `computed` or `observed`."},
    Field<&FlowRecord::aggregation_level>{"aggregation_level", FieldKind::kInteger, "Level 0 to 3 of this record."},

    Field<&FlowRecord::source_name>{"source_name", FieldKind::kKeyword, "Full name; `-` at levels 2, 3 and for type `net`.", FieldGroup::kSourceEndpoint},
    Field<&FlowRecord::source_name_aggr>{"source_name_aggr", FieldKind::kKeyword, "Name prefix of the pod's controller, network set, `pub` or `pvt`.", FieldGroup::kSourceEndpoint},
    Field<&FlowRecord::source_namespace>{"source_namespace", FieldKind::kKeyword, "Namespace, `-` if not namespaced.", FieldGroup::kSourceEndpoint},
    Field<&FlowRecord::source_type>{"source_type", FieldKind::kKeyword, "`wep`, `hep`, `ns` or `net`.", FieldGroup::kSourceEndpoint},
    Field<&FlowRecord::source_workload>{"source_workload", FieldKind::kKeyword, "Name of the owner at the end of the owner chain.", FieldGroup::kSourceEndpoint},
    Field<&FlowRecord::source_workload_kind>{"source_workload_kind", FieldKind::kKeyword, "Its kind, such as `Deployment`.", FieldGroup::kSourceEndpoint},
    Field<&FlowRecord::source_labels>{"source_labels", FieldKind::kLabels, "Labels that all contributing endpoints share."},
    Field<&FlowRecord::source_ip>{"source_ip", FieldKind::kIp, "Null at levels 2 and 3."},
    Field<&FlowRecord::source_port>{"source_port", FieldKind::kPort, "Null above level 0. ICMP: identifier."},

    Field<&FlowRecord::dest_name>{"dest_name", FieldKind::kKeyword, "As source_name.", FieldGroup::kDestEndpoint},
    Field<&FlowRecord::dest_name_aggr>{"dest_name_aggr", FieldKind::kKeyword, "As source_name_aggr.", FieldGroup::kDestEndpoint},
    Field<&FlowRecord::dest_namespace>{"dest_namespace", FieldKind::kKeyword, "As source_namespace.", FieldGroup::kDestEndpoint},
    Field<&FlowRecord::dest_type>{"dest_type", FieldKind::kKeyword, "As source_type.", FieldGroup::kDestEndpoint},
    Field<&FlowRecord::dest_workload>{"dest_workload", FieldKind::kKeyword, "As source_workload.", FieldGroup::kDestEndpoint},
    Field<&FlowRecord::dest_workload_kind>{"dest_workload_kind", FieldKind::kKeyword, "As source_workload_kind.", FieldGroup::kDestEndpoint},
    Field<&FlowRecord::dest_labels>{"dest_labels", FieldKind::kLabels, "As source_labels."},
    Field<&FlowRecord::dest_ip>{"dest_ip", FieldKind::kIp, "After DNAT. Null at levels 2 and 3."},
    Field<&FlowRecord::dest_port>{"dest_port", FieldKind::kPort, "After DNAT. Null at level 3. ICMP: type × 256 + code."},

    Field<&FlowRecord::dest_service_namespace>{"dest_service_namespace", FieldKind::kKeyword, "Of the service addressed before DNAT."},
    Field<&FlowRecord::dest_service_name>{"dest_service_name", FieldKind::kKeyword, "`-` none, `*` several."},
    Field<&FlowRecord::dest_service_port_name>{"dest_service_port", FieldKind::kKeyword, "Name of the service port."},
    Field<&FlowRecord::dest_service_port_name>{"dest_service_port_name", FieldKind::kKeyword, "The same, as newer releases call it."},
    Field<&FlowRecord::dest_service_port_num>{"dest_service_port_num", FieldKind::kInteger, "Number of the service port, 0 if none."},
    Field<&FlowRecord::dest_domains>{"dest_domains", FieldKind::kKeywordList, "Names the client looked up that resolved to dest_ip."},

    Field<&FlowRecord::num_flows>{"num_flows", FieldKind::kCount, "Connections open at any time in the window."},
    Field<&FlowRecord::num_flows_started>{"num_flows_started", FieldKind::kCount, "Connections first seen in the window."},
    Field<&FlowRecord::num_flows_completed>{"num_flows_completed", FieldKind::kCount, "Connections that ended in the window."},
    Field<&FlowRecord::num_flows_established>{"num_flows_established", FieldKind::kCount, "Connections that the other side answered."},
    Field<&FlowRecord::num_flows_refused>{"num_flows_refused", FieldKind::kCount, "RST or ICMP unreachable answered the first packet."},
    Field<&FlowRecord::num_flows_unanswered>{"num_flows_unanswered", FieldKind::kCount, "No reply before the timeout."},
    Field<&FlowRecord::packets_in>{"packets_in", FieldKind::kPackets, "Packets towards the reporting side."},
    Field<&FlowRecord::packets_out>{"packets_out", FieldKind::kPackets, "Packets from the reporting side."},
    Field<&FlowRecord::bytes_in>{"bytes_in", FieldKind::kBytes, "IP bytes towards the reporting side."},
    Field<&FlowRecord::bytes_out>{"bytes_out", FieldKind::kBytes, "IP bytes from the reporting side."},
    Field<&FlowRecord::nat_outgoing_ports>{"nat_outgoing_ports", FieldKind::kPortList, "Source ports after SNAT."},
    Field<&FlowRecord::policies>{"policies", FieldKind::kPolicies, "Ordered policy traces: `enforced_policies`, `pending_policies`."},

    Field<&FlowRecord::process_name>{"process_name", FieldKind::kKeyword, "Name of the process at the reporting side, as its kernel has it; `-` not known, `*` those beyond process_limit."},
    Field<&FlowRecord::process_id>{"process_id", FieldKind::kKeyword, "Its id in the node's own PID namespace; `-` not known, `*` several."},
    Field<&FlowRecord::process_args>{"process_args", FieldKind::kKeywordList, "Argument vectors seen; not taken by the agent."},
    Field<&FlowRecord::num_process_names>{"num_process_names", FieldKind::kCount, "Distinct process names in this record."},
    Field<&FlowRecord::num_process_ids>{"num_process_ids", FieldKind::kCount, "Distinct process ids in this record."},
    Field<&FlowRecord::num_process_args>{"num_process_args", FieldKind::kCount, "Distinct argument vectors in this record."},

    Field<&FlowRecord::original_source_ips>{"original_source_ips", FieldKind::kIpList, "Client addresses from forwarding headers."},
    Field<&FlowRecord::num_original_source_ips>{"num_original_source_ips", FieldKind::kCount, "Their true number."},
    Field<&FlowRecord::source_external_ips>{"source_external_ips", FieldKind::kIpList, "Levels 2, 3, types `net` and `ns`: distinct source addresses."},
    Field<&FlowRecord::num_source_external_ips>{"num_source_external_ips", FieldKind::kCount, "Their true number."},
    Field<&FlowRecord::dest_external_ips>{"dest_external_ips", FieldKind::kIpList, "Levels 2, 3, types `net` and `ns`: distinct destination addresses."},
    Field<&FlowRecord::num_dest_external_ips>{"num_dest_external_ips", FieldKind::kCount, "Their true number."},

    Field<&FlowRecord::tcp_mean_send_congestion_window>{"tcp_mean_send_congestion_window", FieldKind::kInteger, "Segments; 0 if not known."},
    Field<&FlowRecord::tcp_min_send_congestion_window>{"tcp_min_send_congestion_window", FieldKind::kInteger, "Segments; 0 if not known."},
    Field<&FlowRecord::tcp_mean_smooth_rtt>{"tcp_mean_smooth_rtt", FieldKind::kMicroseconds, "Mean smoothed round-trip time."},
    Field<&FlowRecord::tcp_max_smooth_rtt>{"tcp_max_smooth_rtt", FieldKind::kMicroseconds, "Largest smoothed round-trip time."},
    Field<&FlowRecord::tcp_mean_min_rtt>{"tcp_mean_min_rtt", FieldKind::kMicroseconds, "Mean of the connections' smallest round-trip time."},
    Field<&FlowRecord::tcp_max_min_rtt>{"tcp_max_min_rtt", FieldKind::kMicroseconds, "Largest of them."},
    Field<&FlowRecord::tcp_mean_mss>{"tcp_mean_mss", FieldKind::kBytes, "Mean maximum segment size."},
    Field<&FlowRecord::tcp_min_mss>{"tcp_min_mss", FieldKind::kBytes, "Smallest maximum segment size."},
    Field<&FlowRecord::tcp_total_retransmissions>{"tcp_total_retransmissions", FieldKind::kPackets, "Retransmitted segments."},
    Field<&FlowRecord::tcp_lost_packets>{"tcp_lost_packets", FieldKind::kPackets, "Lost segments."},
    Field<&FlowRecord::tcp_unrecovered_to>{"tcp_unrecovered_to", FieldKind::kCount, "Timeouts not recovered."},
    Field<&FlowRecord::tcp_resets>{"tcp_resets", FieldKind::kPackets, "RST segments."},
    Field<&FlowRecord::http_requests_allowed_in>{"http_requests_allowed_in", FieldKind::kCount, "Legacy, 0."},
    Field<&FlowRecord::http_requests_denied_in>{"http_requests_denied_in", FieldKind::kCount, "Legacy, 0."},
};
// clang-format on

/// Calls `visit(field)` for every row in order.
template <typename Visit>
constexpr void for_each_flow_field(Visit&& visit) {
  std::apply([&](const auto&... field) { (visit(field), ...); }, kFlowFields);
}

}  // namespace weir::model
