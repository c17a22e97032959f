#include <array>

#include "config/settings.h"

namespace weir::config {
namespace {

constexpr double kDay = 86'400;
constexpr double kMillion = 1e6;

// clang-format off
const std::array kOptions = {
    OptionRow{"Windows and aggregation", "flush_interval", &Settings::flush_interval, 0, 600, "", "", "Length of one window; 0 is one window for the whole input.", "flowLogsFlushInterval"},
    OptionRow{"Windows and aggregation", "aggregation_level_allowed", &Settings::aggregation_level_allowed, 0, 3, "", "", "Aggregation of allowed flows: 0 none, 1 no source port, 2 no addresses and pod names, 3 no destination port.", "flowLogsFileAggregationKindForAllowed"},
    OptionRow{"Windows and aggregation", "aggregation_level_denied", &Settings::aggregation_level_denied, 0, 3, "", "", "Aggregation of flows with a deny in their trace.", "flowLogsFileAggregationKindForDenied"},
    OptionRow{"Windows and aggregation", "include_labels", &Settings::include_labels, 0, 0, "", "", "Write source_labels and dest_labels.", "flowLogsFileIncludeLabels"},
    OptionRow{"Windows and aggregation", "include_policies", &Settings::include_policies, 0, 0, "", "", "Write policies, and tell flows with different traces apart.", "flowLogsFileIncludePolicies"},
    OptionRow{"Windows and aggregation", "include_services", &Settings::include_services, 0, 0, "", "", "Write the dest_service fields, and tell flows to different services apart.", "flowLogsFileIncludeService"},
    OptionRow{"Windows and aggregation", "external_ips_limit", &Settings::external_ips_limit, 0, 10000, "", "", "Distinct external addresses listed in a record of level 2 or 3; their number is always true.", ""},
    OptionRow{"Windows and aggregation", "original_source_ips_limit", &Settings::original_source_ips_limit, 0, 10000, "", "", "Client addresses from forwarding headers listed in a record.", "flowLogsMaxOriginalIPsIncluded"},
    OptionRow{"Windows and aggregation", "domains_limit", &Settings::domains_limit, 0, 1000, "", "", "Domain names listed in a record.", "flowLogsFileDomainsLimit"},
    OptionRow{"Windows and aggregation", "nat_outgoing_ports_limit", &Settings::nat_outgoing_ports_limit, 0, 1000, "", "", "Source ports after SNAT listed in a record.", "flowLogsFileNatOutgoingPortLimit"},
    OptionRow{"Windows and aggregation", "max_flow_keys", &Settings::max_flow_keys, 1, 100 * kMillion, "", "", "Keys held in one window; above it aggregation widens before anything is dropped.", ""},
    OptionRow{"Windows and aggregation", "exclude", &Settings::exclude, 0, 0, "", "filter", "Flows to leave out, as filter expressions; one that matches is enough.", ""},

    OptionRow{"Packets", "meter_outer", &Settings::meter_outer, 0, 0, "", "", "Meter the outermost IP header of a tunnel instead of the innermost.", ""},
    OptionRow{"Packets", "vxlan_ports", &Settings::vxlan_ports, 0, 0, "", "port", "UDP ports that carry VXLAN besides 4789, such as 8472; at most two.", ""},

    OptionRow{"Connections", "max_connections", &Settings::max_connections, 1, 100 * kMillion, "", "", "Connections held at once; beyond it old ones are ended early, and counted.", ""},
    OptionRow{"Connections", "timeout_tcp_syn_sent", &Settings::timeout_tcp_syn_sent, 1, 30 * kDay, "", "", "A SYN that nobody answers.", ""},
    OptionRow{"Connections", "timeout_tcp_syn_recv", &Settings::timeout_tcp_syn_recv, 1, 30 * kDay, "", "", "A SYN-ACK that nobody acknowledges.", ""},
    OptionRow{"Connections", "timeout_tcp_established", &Settings::timeout_tcp_established, 1, 30 * kDay, "", "", "An established TCP connection without traffic.", ""},
    OptionRow{"Connections", "timeout_tcp_fin_wait", &Settings::timeout_tcp_fin_wait, 1, 30 * kDay, "", "", "One side has closed.", ""},
    OptionRow{"Connections", "timeout_tcp_close_wait", &Settings::timeout_tcp_close_wait, 1, 30 * kDay, "", "", "The close of one side is acknowledged.", ""},
    OptionRow{"Connections", "timeout_tcp_last_ack", &Settings::timeout_tcp_last_ack, 1, 30 * kDay, "", "", "Both sides have closed, the last acknowledgement is missing.", ""},
    OptionRow{"Connections", "timeout_tcp_time_wait", &Settings::timeout_tcp_time_wait, 1, 30 * kDay, "", "", "A closed connection is remembered, for packets that trail it.", ""},
    OptionRow{"Connections", "timeout_tcp_close", &Settings::timeout_tcp_close, 1, 30 * kDay, "", "", "The same after a reset.", ""},
    OptionRow{"Connections", "timeout_udp", &Settings::timeout_udp, 1, 30 * kDay, "", "", "UDP without an answer.", ""},
    OptionRow{"Connections", "timeout_udp_stream", &Settings::timeout_udp_stream, 1, 30 * kDay, "", "", "UDP with an answer.", ""},
    OptionRow{"Connections", "timeout_icmp", &Settings::timeout_icmp, 1, 30 * kDay, "", "", "ICMP and ICMPv6.", ""},
    OptionRow{"Connections", "timeout_sctp", &Settings::timeout_sctp, 1, 30 * kDay, "", "", "SCTP.", ""},
    OptionRow{"Connections", "timeout_generic", &Settings::timeout_generic, 1, 30 * kDay, "", "", "Other protocols.", ""},
    OptionRow{"Connections", "timeout_active", &Settings::timeout_active, 0, 30 * kDay, "", "", "End a connection that lives longer and start it anew; 0 never does.", ""},

    OptionRow{"Context", "private_networks", &Settings::private_networks, 0, 0, "", "cidr", "Addresses that are `pvt`; others are `pub`.", ""},
    OptionRow{"Context", "trace_names", &Settings::trace_names, 0, 0, "documented|kind", "", "Form of policy names in traces: `ns/knp.default.name` or `knp:ns/name`.", ""},
    OptionRow{"Context", "domain_grace", &Settings::domain_grace, 0, kDay, "", "", "A DNS answer still explains a connection this long after its TTL.", "dnsExtraTTL"},

    OptionRow{"DNS and L7 logs", "dns_aggregation_level", &Settings::dns_aggregation_level, 0, 1, "", "", "0: each client of its own; 1: clients of one name prefix together.", "dnsLogsFileAggregationKind"},
    OptionRow{"DNS and L7 logs", "dns_limit", &Settings::dns_limit, 0, 100 * kMillion, "", "", "DNS records written in one window, the rest counted in one UNLOGGED record; 0 is no limit.", "dnsLogsFilePerNodeLimit"},
    OptionRow{"DNS and L7 logs", "dns_timeout", &Settings::dns_timeout, 0.001, 600, "", "", "A query without an answer for this long is logged with rcode Timeout.", ""},
    OptionRow{"DNS and L7 logs", "l7_aggregation_level", &Settings::l7_aggregation_level, 0, 1, "", "", "0: a line for each request; 1: equal requests of a window together.", ""},
    OptionRow{"DNS and L7 logs", "l7_limit", &Settings::l7_limit, 0, 100 * kMillion, "", "", "L7 records written in one window, the rest counted; 0 is no limit.", "l7LogsFilePerNodeLimit"},
    OptionRow{"DNS and L7 logs", "trusted_proxies", &Settings::trusted_proxies, 0, 0, "", "cidr", "Proxies whose X-Forwarded-For entries are believed.", ""},
    OptionRow{"DNS and L7 logs", "forwarded_for", &Settings::forwarded_for, 0, 0, "rightmost|leftmost", "", "Which hop of X-Forwarded-For is the client: the rightmost address that is no trusted proxy, or the leftmost.", ""},
};
// clang-format on

}  // namespace

std::span<const OptionRow> option_table() { return kOptions; }

}  // namespace weir::config
