#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/ip.h"
#include "model/labels.h"
#include "model/record_field.h"

namespace weir::model {

/// The records of one name, type and class of an answer, without order: sorted and distinct.
struct DnsRrset {
  std::string name, type, rclass;
  std::vector<std::string> rdata;

  friend auto operator<=>(const DnsRrset&, const DnsRrset&) = default;
};

/// A server that answered lookups of a record, or was asked in vain.
struct DnsServer {
  IpAddress ip;
  std::string_view name = "-", name_aggr = "-", namespace_name = "-";
  /// Null: labels are not included.
  const LabelSet* labels = nullptr;
};

/// One line of dns.log: equal lookups of one window. A view: what it points to is borrowed from the aggregator and
/// lives until its next step.
struct DnsRecord {
  /// Window, Unix seconds.
  std::int64_t start_time = 0, end_time = 0;
  /// "LOG", or "UNLOGGED": lookups above the limit; then only the window and count are valid.
  std::string_view type = "LOG";
  std::uint64_t count = 0;

  /// None when aggregated.
  std::optional<IpAddress> client_ip;
  std::string_view client_name = "-", client_name_aggr = "-", client_namespace = "-";
  /// Null: labels are not included. An empty set: none in common.
  const LabelSet* client_labels = nullptr;

  /// "-" for an answer without a question.
  std::string_view qname = "-", qtype = "-", qclass = "-";
  std::string_view rcode = "NoError";
  std::span<const DnsRrset> rrsets;
  std::span<const DnsServer> servers;

  /// Nanoseconds, over the lookups whose query and answer were both seen.
  std::uint64_t latency_count = 0, latency_mean = 0, latency_max = 0;

  /// The node, where a shipper added it to the line; the agent itself does not write it.
  std::string_view host = "-";
};

// clang-format off
/// The field table of dns.log, in the order of the line.
inline constexpr auto kDnsFields = std::tuple{
    RecordField<&DnsRecord::start_time>{"start_time", "Window start, Unix seconds."},
    RecordField<&DnsRecord::end_time>{"end_time", "Window end, Unix seconds."},
    RecordField<&DnsRecord::type>{"type", "`LOG`, or `UNLOGGED`: lookups above the limit, only `count` is given."},
    RecordField<&DnsRecord::count>{"count", "Equal lookups in the window, or lookups not logged."},
    RecordField<&DnsRecord::client_ip>{"client_ip", "Null at level 1."},
    RecordField<&DnsRecord::client_name>{"client_name", "Full name of the client, `-` at level 1."},
    RecordField<&DnsRecord::client_name_aggr>{"client_name_aggr", "Name prefix of the client's controller, `pub` or `pvt`."},
    RecordField<&DnsRecord::client_namespace>{"client_namespace", "Namespace, `-` if not namespaced."},
    RecordField<&DnsRecord::client_labels>{"client_labels", "Labels that all contributing clients share."},
    RecordField<&DnsRecord::qname>{"qname", "Name asked for, without the final dot; the root is `.`; `-` none."},
    RecordField<&DnsRecord::qtype>{"qtype", "Type asked for."},
    RecordField<&DnsRecord::qclass>{"qclass", "Class asked for."},
    RecordField<&DnsRecord::rcode>{"rcode", "Response code; `Timeout` if nobody answered within 5 s."},
    RecordField<&DnsRecord::rrsets>{"rrsets", "Records of the answer section by name, type and class."},
    RecordField<&DnsRecord::servers>{"servers", "Servers that answered (or did not)."},
    RecordField<&DnsRecord::latency_count>{"latency_count", "Lookups of which query and answer were seen."},
    RecordField<&DnsRecord::latency_mean>{"latency_mean", "Mean time from query to answer, ns."},
    RecordField<&DnsRecord::latency_max>{"latency_max", "Largest time from query to answer, ns."},
};
// clang-format on

}  // namespace weir::model
