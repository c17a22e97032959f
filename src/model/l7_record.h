#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>

#include "base/ip.h"
#include "model/record_field.h"

namespace weir::model {

/// One line of l7.log: HTTP transactions of one key and window. A view, as DnsRecord. "-" is absent or aggregated.
struct L7Record {
  /// Window, Unix seconds.
  std::int64_t start_time = 0, end_time = 0;

  std::string_view src_name_aggr = "-", src_namespace = "-", src_type = "net";
  std::string_view dest_name_aggr = "-", dest_namespace = "-", dest_type = "net";
  std::string_view dest_service_namespace = "-", dest_service_name = "-";
  /// 0: no service.
  std::uint16_t dest_service_port = 0;
  /// Only without aggregation.
  std::optional<IpAddress> src_ip, dest_ip;
  std::optional<std::uint16_t> src_port, dest_port;

  std::string_view method = "-", url = "-", response_code = "-", user_agent = "-";
  std::string_view type = "-", protocol = "http", protocol_version = "-";
  std::string_view collector_type = "pcap", collector_name = "packets";

  std::uint64_t count = 0;
  /// Of the transactions, as the destination sees them: requests come in.
  std::uint64_t bytes_in = 0, bytes_out = 0;
  /// Nanoseconds, over the transactions with both halves.
  std::uint64_t duration_mean = 0, duration_max = 0;

  std::span<const IpAddress> original_source_ips;
  std::uint64_t num_original_source_ips = 0;

  /// The node, where a shipper added it to the line; the agent itself does not write it.
  std::string_view host = "-";
};

// clang-format off
/// The field table of l7.log, in the order of the line.
inline constexpr auto kL7Fields = std::tuple{
    RecordField<&L7Record::start_time>{"start_time", "Window start, Unix seconds."},
    RecordField<&L7Record::end_time>{"end_time", "Window end, Unix seconds."},
    RecordField<&L7Record::src_name_aggr>{"src_name_aggr", "Name prefix of the client's controller, `pub` or `pvt`."},
    RecordField<&L7Record::src_namespace>{"src_namespace", "Namespace of the client."},
    RecordField<&L7Record::src_type>{"src_type", "`wep`, `hep`, `ns` or `net`."},
    RecordField<&L7Record::src_ip>{"src_ip", "Null when aggregated."},
    RecordField<&L7Record::src_port>{"src_port", "Null when aggregated."},
    RecordField<&L7Record::dest_name_aggr>{"dest_name_aggr", "As src_name_aggr."},
    RecordField<&L7Record::dest_namespace>{"dest_namespace", "As src_namespace."},
    RecordField<&L7Record::dest_type>{"dest_type", "As src_type."},
    RecordField<&L7Record::dest_ip>{"dest_ip", "Null when aggregated."},
    RecordField<&L7Record::dest_port>{"dest_port", "Null when aggregated."},
    RecordField<&L7Record::dest_service_namespace>{"dest_service_namespace", "Of the service addressed before DNAT."},
    RecordField<&L7Record::dest_service_name>{"dest_service_name", "`-` none."},
    RecordField<&L7Record::dest_service_port>{"dest_service_port", "Number of the service port, 0 if none."},
    RecordField<&L7Record::method>{"method", "Request method; `-` for a response whose request was not seen."},
    RecordField<&L7Record::url>{"url", "Host and request target."},
    RecordField<&L7Record::response_code>{"response_code", "Status code; `-` if no response was seen."},
    RecordField<&L7Record::user_agent>{"user_agent", "`-` by default: not part of the key."},
    RecordField<&L7Record::type>{"type", "`html/1.1` or `html/1.0`."},
    RecordField<&L7Record::protocol>{"protocol", "`http`."},
    RecordField<&L7Record::protocol_version>{"protocol_version", "`HTTP/1.1` or `HTTP/1.0`."},
    RecordField<&L7Record::collector_type>{"collector_type", "`pcap`: taken from packets."},
    RecordField<&L7Record::collector_name>{"collector_name", "`packets`."},
    RecordField<&L7Record::count>{"count", "Transactions."},
    RecordField<&L7Record::bytes_in>{"bytes_in", "Bytes of requests, heads and bodies."},
    RecordField<&L7Record::bytes_out>{"bytes_out", "Bytes of responses, heads and bodies."},
    RecordField<&L7Record::duration_mean>{"duration_mean", "Mean time from request head to response head, ns."},
    RecordField<&L7Record::duration_max>{"duration_max", "Largest such time, ns."},
    RecordField<&L7Record::original_source_ips>{"original_source_ips", "Client addresses from forwarding headers."},
    RecordField<&L7Record::num_original_source_ips>{"num_original_source_ips", "Their true number."},
};
// clang-format on

}  // namespace weir::model
