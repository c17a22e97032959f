#include <array>

#include "config/settings.h"

namespace weir::config {
namespace {

constexpr double kDay = 86'400;
constexpr double kMillion = 1e6;
constexpr double kMaxMiB = 65'536;
constexpr Reload kReload = Reload::kReload;

// clang-format off
const std::array kOptions = {
    OptionRow{"Windows and aggregation", "flush_interval", &Settings::flush_interval, 0, 600, "", "", "Length of one window; 0 is one window for the whole input.", "flowLogsFlushInterval", kReload},
    OptionRow{"Windows and aggregation", "aggregation_level_allowed", &Settings::aggregation_level_allowed, 0, 3, "", "", "Aggregation of allowed flows: 0 none, 1 no source port, 2 no addresses and pod names, 3 no destination port.", "flowLogsFileAggregationKindForAllowed", kReload},
    OptionRow{"Windows and aggregation", "aggregation_level_denied", &Settings::aggregation_level_denied, 0, 3, "", "", "Aggregation of flows with a deny in their trace.", "flowLogsFileAggregationKindForDenied", kReload},
    OptionRow{"Windows and aggregation", "include_labels", &Settings::include_labels, 0, 0, "", "", "Write source_labels and dest_labels.", "flowLogsFileIncludeLabels", kReload},
    OptionRow{"Windows and aggregation", "include_policies", &Settings::include_policies, 0, 0, "", "", "Write policies, and tell flows with different traces apart.", "flowLogsFileIncludePolicies", kReload},
    OptionRow{"Windows and aggregation", "include_services", &Settings::include_services, 0, 0, "", "", "Write the dest_service fields, and tell flows to different services apart.", "flowLogsFileIncludeService", kReload},
    OptionRow{"Windows and aggregation", "external_ips_limit", &Settings::external_ips_limit, 0, 10000, "", "", "Distinct external addresses listed in a record of level 2 or 3; their number is always true.", "", kReload},
    OptionRow{"Windows and aggregation", "original_source_ips_limit", &Settings::original_source_ips_limit, 0, 10000, "", "", "Client addresses from forwarding headers listed in a record.", "flowLogsMaxOriginalIPsIncluded", kReload},
    OptionRow{"Windows and aggregation", "domains_limit", &Settings::domains_limit, 0, 1000, "", "", "Domain names listed in a record.", "flowLogsFileDomainsLimit", kReload},
    OptionRow{"Windows and aggregation", "nat_outgoing_ports_limit", &Settings::nat_outgoing_ports_limit, 0, 1000, "", "", "Source ports after SNAT listed in a record.", "flowLogsFileNatOutgoingPortLimit", kReload},
    OptionRow{"Windows and aggregation", "collect_process_info", &Settings::collect_process_info, 0, 0, "", "", "Write the process fields where the source knows processes (TCP seen by ebpf), and tell flows of different process names apart.", "flowLogsCollectProcessInfo", kReload},
    OptionRow{"Windows and aggregation", "process_limit", &Settings::process_limit, 0, 1000, "", "", "Process names of one key with records of their own in a window; the rest are merged into one, named `*`.", "flowLogsFilePerFlowProcessLimit", kReload},
    OptionRow{"Windows and aggregation", "max_flow_keys", &Settings::max_flow_keys, 1, 100 * kMillion, "", "", "Keys held in one window; above it aggregation widens before anything is dropped.", "", kReload},
    OptionRow{"Windows and aggregation", "exclude", &Settings::exclude, 0, 0, "", "filter", "Flows to leave out, as filter expressions; one that matches is enough.", "", kReload},

    OptionRow{"Packets", "meter_outer", &Settings::meter_outer, 0, 0, "", "", "Meter the outermost IP header of a tunnel instead of the innermost.", ""},
    OptionRow{"Packets", "vxlan_ports", &Settings::vxlan_ports, 0, 2, "", "port", "UDP ports that carry VXLAN besides 4789, such as 8472; at most two.", ""},

    OptionRow{"Connections", "max_connections", &Settings::max_connections, 1, 100 * kMillion, "", "", "Connections held at once; beyond it old ones are ended early, and counted.", ""},
    OptionRow{"Connections", "timeout_tcp_syn_sent", &Settings::timeout_tcp_syn_sent, 1, 30 * kDay, "", "", "A SYN that nobody answers.", ""},
    OptionRow{"Connections", "timeout_tcp_syn_recv", &Settings::timeout_tcp_syn_recv, 1, 30 * kDay, "", "", "A SYN-ACK that nobody acknowledges.", ""},
    OptionRow{"Connections", "timeout_tcp_established", &Settings::timeout_tcp_established, 1, 30 * kDay, "", "", "An established TCP connection without traffic.", ""},
    OptionRow{"Connections", "timeout_tcp_fin_wait", &Settings::timeout_tcp_fin_wait, 1, 30 * kDay, "", "", "One side has closed.", ""},
    OptionRow{"Connections", "timeout_tcp_close_wait", &Settings::timeout_tcp_close_wait, 1, 30 * kDay, "", "", "The close of one side is acknowledged.", ""},
    OptionRow{"Connections", "timeout_tcp_last_ack", &Settings::timeout_tcp_last_ack, 1, 30 * kDay, "", "", "Both sides have closed, the last acknowledgement is missing.", ""},
    OptionRow{"Connections", "timeout_tcp_time_wait", &Settings::timeout_tcp_time_wait, 1, 30 * kDay, "", "", "A closed connection is remembered, for packets that trail it. At pods' interfaces (eBPF, AF_PACKET) at most 20 s.", ""},
    OptionRow{"Connections", "timeout_tcp_close", &Settings::timeout_tcp_close, 1, 30 * kDay, "", "", "The same after a reset.", ""},
    OptionRow{"Connections", "timeout_udp", &Settings::timeout_udp, 1, 30 * kDay, "", "", "UDP without an answer.", ""},
    OptionRow{"Connections", "timeout_udp_stream", &Settings::timeout_udp_stream, 1, 30 * kDay, "", "", "UDP with an answer.", ""},
    OptionRow{"Connections", "timeout_icmp", &Settings::timeout_icmp, 1, 30 * kDay, "", "", "ICMP and ICMPv6.", ""},
    OptionRow{"Connections", "timeout_sctp", &Settings::timeout_sctp, 1, 30 * kDay, "", "", "SCTP.", ""},
    OptionRow{"Connections", "timeout_generic", &Settings::timeout_generic, 1, 30 * kDay, "", "", "Other protocols.", ""},
    OptionRow{"Connections", "timeout_active", &Settings::timeout_active, 0, 30 * kDay, "", "", "End a connection that lives longer and start it anew; 0 never does.", ""},

    OptionRow{"Context", "private_networks", &Settings::private_networks, 0, 0, "", "cidr", "Addresses that are `pvt`; others are `pub`.", ""},
    OptionRow{"Context", "trace_names", &Settings::trace_names, 0, 0, "documented|kind", "", "Form of policy names in traces: `ns/knp.default.name` or `knp:ns/name`.", ""},
    OptionRow{"Context", "ip_block_matches_pods", &Settings::ip_block_matches_pods, 0, 0, "", "", "An `ipBlock` (or `networks` of admin policies) holds addresses of pods too.", ""},
    OptionRow{"Context", "node_traffic", &Settings::node_traffic, 0, 0, "evaluate|allow-local|allow-all", "", "What policies say between nodes and pods: what they say of any address, nothing between a node and its own pods, or nothing.", ""},
    OptionRow{"Context", "staged_policies", &Settings::staged_policies, 0, 0, "replace|calico", "", "Pending traces: a staged policy in the place of the enforced one of its name, or beside it, as Calico has them.", ""},
    OptionRow{"Context", "domain_grace", &Settings::domain_grace, 0, kDay, "", "", "A DNS answer still explains a connection this long after its TTL.", "dnsExtraTTL"},

    OptionRow{"DNS and L7 logs", "dns_aggregation_level", &Settings::dns_aggregation_level, 0, 1, "", "", "0: each client of its own; 1: clients of one name prefix together.", "dnsLogsFileAggregationKind", kReload},
    OptionRow{"DNS and L7 logs", "dns_limit", &Settings::dns_limit, 0, 100 * kMillion, "", "", "DNS records written in one window, the rest counted in one UNLOGGED record; 0 is no limit.", "dnsLogsFilePerNodeLimit", kReload},
    OptionRow{"DNS and L7 logs", "dns_timeout", &Settings::dns_timeout, 0.001, 600, "", "", "A query without an answer for this long is logged with rcode Timeout.", ""},
    OptionRow{"DNS and L7 logs", "l7_aggregation_level", &Settings::l7_aggregation_level, 0, 1, "", "", "0: a line for each request; 1: equal requests of a window together.", "", kReload},
    OptionRow{"DNS and L7 logs", "l7_limit", &Settings::l7_limit, 0, 100 * kMillion, "", "", "L7 records written in one window, the rest counted; 0 is no limit.", "l7LogsFilePerNodeLimit", kReload},
    OptionRow{"DNS and L7 logs", "trusted_proxies", &Settings::trusted_proxies, 0, 0, "", "cidr", "Proxies whose X-Forwarded-For entries are believed.", ""},
    OptionRow{"DNS and L7 logs", "forwarded_for", &Settings::forwarded_for, 0, 0, "rightmost|leftmost", "", "Which hop of X-Forwarded-For is the client: the rightmost address that is no trusted proxy, or the leftmost.", ""},

    OptionRow{"Agent: sources", "sources", &Settings::sources, 1, 3, "auto|ebpf|conntrack|afpacket", "word", "Where connections are learnt from: `auto`, or what to use of `ebpf`, `conntrack`, `afpacket`; `weir doctor` tells what the kernel offers.", ""},
    OptionRow{"Agent: sources", "nflog", &Settings::nflog, 0, 0, "auto|on|off", "", "Read from NFLOG which rules decided; `auto`: if the kernel offers it.", ""},
    OptionRow{"Agent: sources", "nflog_groups", &Settings::nflog_groups, 1, 16, "", "group", "NFLOG groups of the data plane's log rules (Calico: 1 and 2).", ""},
    OptionRow{"Agent: sources", "interfaces", &Settings::interfaces, 1, 64, "", "wildcard", "Names of the host's ends of pods' interfaces, with `*` and `?`.", "interfacePrefix"},
    OptionRow{"Agent: sources", "drain_interval", &Settings::drain_interval, 0.1, 60, "", "", "Time between two readings of the kernel's flow table.", "", kReload},
    OptionRow{"Agent: sources", "bpf_pin_directory", &Settings::bpf_pin_directory, 0, 0, "", "directory", "A BPF file system in which the maps of the eBPF source outlive the agent, so that a restart loses nothing; where it is none, counts end with the agent.", ""},
    OptionRow{"Agent: sources", "flow_table_entries", &Settings::flow_table_entries, 1024, 16 * kMillion, "", "", "Flows that the kernel's table holds between two readings; what does not fit is counted as lost.", ""},
    OptionRow{"Agent: sources", "conntrack_dump_interval", &Settings::conntrack_dump_interval, 1, 600, "", "", "Time between two readings of the connection tracker's table.", "", kReload},
    OptionRow{"Agent: sources", "conntrack_buffer_mb", &Settings::conntrack_buffer_mb, 1, 1024, "", "", "Receive buffer for events of the connection tracker, MiB.", ""},
    OptionRow{"Agent: sources", "nflog_buffer_mb", &Settings::nflog_buffer_mb, 1, 1024, "", "", "Receive buffer for NFLOG, MiB.", "nfNetlinkBufSize"},
    OptionRow{"Agent: sources", "packet_ring_kb", &Settings::packet_ring_kb, 128, 1048576, "", "", "Ring for the captured packets of each pod interface (AF_PACKET), KiB of kernel memory.", ""},

    OptionRow{"Agent: cluster", "node_name", &Settings::node_name, 0, 0, "", "name", "This node's name in Kubernetes; empty: the host's name.", "felixHostname"},
    OptionRow{"Agent: cluster", "kubeconfig", &Settings::kubeconfig, 0, 0, "", "path", "Credentials for the API server; empty: the pod's service account, if it has one.", ""},
    OptionRow{"Agent: cluster", "cluster", &Settings::cluster, 0, 0, "", "path", "Files or folders of manifests to read in place of an API server.", ""},
    OptionRow{"Agent: cluster", "policy_evaluation_mode", &Settings::policy_evaluation_mode, 0, 0, "Continuous|OnNewConnection", "", "Evaluate policies of open connections anew when policies change, or only when a connection begins.", "flowLogsPolicyEvaluationMode"},

    OptionRow{"Agent: logs", "log_directory", &Settings::log_directory, 0, 0, "", "directory", "Where `flows.log`, `dns.log`, `l7.log` and `agent.log` are written.", "flowLogsFileDirectory"},
    OptionRow{"Agent: logs", "log_max_size_mb", &Settings::log_max_size_mb, 1, kMaxMiB, "", "", "A log of this size is rotated, MiB.", "flowLogsFileMaxFileSizeMB", kReload},
    OptionRow{"Agent: logs", "log_max_files", &Settings::log_max_files, 1, 1000, "", "", "Rotated files kept of each log.", "flowLogsFileMaxFiles", kReload},
    OptionRow{"Agent: logs", "log_buffer_mb", &Settings::log_buffer_mb, 1, 1024, "", "", "Lines of each log that wait in memory while the disk is full, MiB; what no longer fits is counted as lost.", ""},
    OptionRow{"Agent: logs", "flow_log_allowed", &Settings::flow_log_allowed, 0, 0, "", "", "Write flows without a deny in their trace.", "flowLogsFileEnabledForAllowed", kReload},
    OptionRow{"Agent: logs", "flow_log_denied", &Settings::flow_log_denied, 0, 0, "", "", "Write flows with a deny in their trace.", "flowLogsFileEnabledForDenied", kReload},
    OptionRow{"Agent: logs", "dns_log", &Settings::dns_log, 0, 0, "", "", "Write `dns.log`.", "dnsLogsFileEnabled"},
    OptionRow{"Agent: logs", "l7_log", &Settings::l7_log, 0, 0, "", "", "Write `l7.log`.", "l7LogsFileEnabled"},

    OptionRow{"Agent: limits", "cpu_limit_percent", &Settings::cpu_limit_percent, 0, 6400, "", "", "Share of one core above which aggregation widens before anything is dropped; 0: no limit.", "", kReload},
    OptionRow{"Agent: limits", "memory_limit_mb", &Settings::memory_limit_mb, 32, kMaxMiB, "", "", "Resident memory above which tables stop growing (what no longer fits is counted), MiB.", ""},
    OptionRow{"Agent: limits", "state_directory", &Settings::state_directory, 0, 0, "", "directory", "What a restarted agent picks up from.", ""},
    OptionRow{"Agent: limits", "metrics_address", &Settings::metrics_address, 0, 0, "", "address", "Loopback address and port of `/metrics`, `/healthz`, `/readyz` and `/status`; `off`: none.", "prometheusReporterPort"},
};
// clang-format on

}  // namespace

std::span<const OptionRow> option_table() { return kOptions; }

const OptionRow* find_option(std::string_view key) {
  for (const OptionRow& row : kOptions) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

}  // namespace weir::config
