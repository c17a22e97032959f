#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/ip.h"
#include "model/endpoint.h"
#include "model/labels.h"
#include "model/policy_trace.h"

namespace weir::model {

/// Null: policies are not included or not known.
struct PolicyTraces {
  const PolicyTrace* enforced = nullptr;
  const PolicyTrace* pending = nullptr;
};

/// One line of flows.log: the counters of one key in one window. The field table is in model/fields.h.
///
/// A view: strings, spans and pointers are borrowed from whoever made it (the aggregator's store, a parsed line) and
/// live until its next step. "-" and "*" strings, empty optionals and null pointers are the documented absent forms.
struct FlowRecord {
  /// Window, Unix seconds.
  std::int64_t start_time = 0;
  std::int64_t end_time = 0;

  std::string_view action = "allow";
  std::string_view reporter = "src";
  std::uint8_t protocol = 0;
  std::string_view verdict_source = "observed";
  std::uint8_t aggregation_level = 0;

  std::optional<IpAddress> source_ip, dest_ip;
  std::string_view source_name = "-", source_name_aggr = "pub", source_namespace = "-", source_type = "net";
  std::string_view source_workload = "-", source_workload_kind = "-";
  std::string_view dest_name = "-", dest_name_aggr = "pub", dest_namespace = "-", dest_type = "net";
  std::string_view dest_workload = "-", dest_workload_kind = "-";
  std::optional<std::uint16_t> source_port, dest_port;
  /// Null: labels are not included. An empty set: included, none in common.
  const LabelSet* source_labels = nullptr;
  const LabelSet* dest_labels = nullptr;

  std::string_view dest_service_namespace = "-", dest_service_name = "-";
  std::string_view dest_service_port_name = "-";
  std::uint16_t dest_service_port_num = 0;
  std::span<const std::string_view> dest_domains;

  std::uint64_t num_flows = 0, num_flows_started = 0, num_flows_completed = 0;
  std::uint64_t num_flows_established = 0, num_flows_refused = 0, num_flows_unanswered = 0;
  std::uint64_t packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;
  std::span<const std::uint16_t> nat_outgoing_ports;

  PolicyTraces policies;

  std::string_view process_name = "-", process_id = "-";
  std::span<const std::string_view> process_args;
  std::uint64_t num_process_names = 0, num_process_ids = 0, num_process_args = 0;

  std::span<const IpAddress> original_source_ips;
  std::uint64_t num_original_source_ips = 0;
  /// Levels 2 and 3, ends of type net or ns: distinct addresses up to a limit, and their true number.
  std::span<const IpAddress> source_external_ips, dest_external_ips;
  std::uint64_t num_source_external_ips = 0, num_dest_external_ips = 0;

  std::uint64_t tcp_mean_send_congestion_window = 0, tcp_min_send_congestion_window = 0;
  std::uint64_t tcp_mean_smooth_rtt = 0, tcp_max_smooth_rtt = 0, tcp_mean_min_rtt = 0, tcp_max_min_rtt = 0;
  std::uint64_t tcp_mean_mss = 0, tcp_min_mss = 0;
  std::uint64_t tcp_total_retransmissions = 0, tcp_lost_packets = 0, tcp_unrecovered_to = 0, tcp_resets = 0;
  std::uint64_t http_requests_allowed_in = 0, http_requests_denied_in = 0;

  // Identities behind the endpoint and policy fields, for a writer that remembers their rendered text; null = none.
  const void* source_identity = nullptr;
  const void* dest_identity = nullptr;

  /// The node, where a shipper added it to the line; the agent itself does not write it.
  std::string_view host = "-";
};

}  // namespace weir::model
