#include "app/stage_options.h"

#include <algorithm>
#include <random>

namespace weir::app {
namespace {

Result<std::vector<IpPrefix>> parse_prefixes(const std::vector<std::string>& texts) {
  std::vector<IpPrefix> prefixes;
  for (const std::string& text : texts) {
    TRY_ASSIGN(const IpPrefix prefix, IpPrefix::parse(text));
    prefixes.push_back(prefix);
  }
  return prefixes;
}

}  // namespace

packet::Decoder::Options decoder_options(const config::Settings& settings) {
  packet::Decoder::Options options;
  options.outer = settings.meter_outer;
  for (const std::string& port : settings.vxlan_ports) {
    options.vxlan_ports.push_back(static_cast<std::uint16_t>(std::stoul(port)));
  }
  return options;
}

meter::MeterOptions meter_options(const config::Settings& settings) {
  meter::MeterOptions options;
  options.max_connections = static_cast<std::uint32_t>(settings.max_connections);
  options.active_timeout = settings.timeout_active;
  options.timeouts = {.tcp_syn_sent = settings.timeout_tcp_syn_sent,
                      .tcp_syn_recv = settings.timeout_tcp_syn_recv,
                      .tcp_established = settings.timeout_tcp_established,
                      .tcp_fin_wait = settings.timeout_tcp_fin_wait,
                      .tcp_close_wait = settings.timeout_tcp_close_wait,
                      .tcp_last_ack = settings.timeout_tcp_last_ack,
                      .tcp_time_wait = settings.timeout_tcp_time_wait,
                      .tcp_close = settings.timeout_tcp_close,
                      .udp = settings.timeout_udp,
                      .udp_stream = settings.timeout_udp_stream,
                      .icmp = settings.timeout_icmp,
                      .sctp = settings.timeout_sctp,
                      .generic = settings.timeout_generic};
  return options;
}

meter::MeterOptions live_meter_options(const config::Settings& settings) {
  meter::MeterOptions options = meter_options(settings);
  std::random_device random;
  options.hash_seed = std::uint64_t{random()} << 32 | random();
  return options;
}

meter::MeterOptions pod_meter_options(const config::Settings& settings) {
  // At 5,000 connections a second, two minutes of them would take 500 MB. A FIN that is sent again and again comes
  // within 13 seconds six times, and each time keeps its connection known.
  constexpr std::chrono::seconds kRememberClosed{20};
  meter::MeterOptions options = live_meter_options(settings);
  options.timeouts.tcp_time_wait = std::min<std::chrono::nanoseconds>(options.timeouts.tcp_time_wait, kRememberClosed);
  return options;
}

meter::DnsInspectorOptions dns_inspector_options(const config::Settings& settings) {
  meter::DnsInspectorOptions options;
  options.timeout_ns = settings.dns_timeout.count();
  return options;
}

Result<meter::HttpInspectorOptions> http_inspector_options(const config::Settings& settings) {
  meter::HttpInspectorOptions options;
  TRY_ASSIGN(options.xff.trusted_proxies, parse_prefixes(settings.trusted_proxies));
  if (settings.forwarded_for == "leftmost") options.xff.choose = packet::XffRule::Choose::kLeftmost;
  return options;
}

Result<cluster::LedgerOptions> ledger_options(const config::Settings& settings, const std::string& node) {
  cluster::LedgerOptions options;
  TRY_ASSIGN(options.private_networks, parse_prefixes(settings.private_networks));
  options.node = node;
  return options;
}

collect::CollectorOptions collector_options(const config::Settings& settings, bool cluster_known) {
  collect::CollectorOptions options;
  options.cluster_known = cluster_known;
  options.include_services = settings.include_services;
  options.domains.grace = settings.domain_grace;
  options.trace_names = engine_options(settings).trace_names;
  return options;
}

policy::EngineOptions engine_options(const config::Settings& settings) {
  policy::EngineOptions options;
  if (settings.trace_names == "kind") options.trace_names = policy::TraceNames::kKind;
  options.ip_block_matches_pods = settings.ip_block_matches_pods;
  if (settings.node_traffic == "allow-local") options.node_traffic = policy::NodeTraffic::kAllowLocal;
  if (settings.node_traffic == "allow-all") options.node_traffic = policy::NodeTraffic::kAllowAll;
  options.calico_compatible = settings.staged_policies == "calico";
  return options;
}

Result<aggregate::AggregateOptions> aggregate_options(const config::Settings& settings) {
  aggregate::AggregateOptions options;
  options.level_allowed = static_cast<int>(settings.aggregation_level_allowed);
  options.level_denied = static_cast<int>(settings.aggregation_level_denied);
  options.include_labels = settings.include_labels;
  options.include_policies = settings.include_policies;
  options.include_services = settings.include_services;
  options.external_ips_limit = static_cast<std::uint32_t>(settings.external_ips_limit);
  options.original_ips_limit = static_cast<std::uint32_t>(settings.original_source_ips_limit);
  options.nat_ports_limit = static_cast<std::uint32_t>(settings.nat_outgoing_ports_limit);
  options.domains_limit = static_cast<std::uint32_t>(settings.domains_limit);
  options.include_processes = settings.collect_process_info;
  options.process_limit = static_cast<std::uint32_t>(settings.process_limit);
  options.max_keys = static_cast<std::uint32_t>(settings.max_flow_keys);
  for (const std::string& text : settings.exclude) {
    TRY_ASSIGN(filter::Filter compiled, filter::Filter::compile(text));
    options.exclude.push_back(std::move(compiled));
  }
  return options;
}

aggregate::DnsAggregatorOptions dns_log_options(const config::Settings& settings) {
  aggregate::DnsAggregatorOptions options;
  options.level = static_cast<int>(settings.dns_aggregation_level);
  options.include_labels = settings.include_labels;
  options.per_node_limit = static_cast<std::uint64_t>(settings.dns_limit);
  return options;
}

aggregate::L7AggregatorOptions l7_log_options(const config::Settings& settings) {
  if (settings.l7_aggregation_level == 0) return aggregate::L7AggregatorOptions::unaggregated();
  aggregate::L7AggregatorOptions options;
  options.per_node_limit = static_cast<std::uint64_t>(settings.l7_limit);
  options.max_original_ips = static_cast<std::size_t>(settings.original_source_ips_limit);
  return options;
}

}  // namespace weir::app
