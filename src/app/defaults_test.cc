// Defaults stand in two places: in config::Settings, for people, and in the options of each stage, for whoever uses the
// stage alone. They must agree.

#include <gtest/gtest.h>

#include "aggregate/dns_aggregator.h"
#include "aggregate/flow_aggregator.h"
#include "aggregate/l7_aggregator.h"
#include "capture/interface_watch.h"
#include "cluster/ledger.h"
#include "collect/collector.h"
#include "config/settings.h"
#include "flowlog/log_file.h"
#include "meter/dns_inspector.h"
#include "meter/http_inspector.h"
#include "meter/meter.h"
#include "packet/decoder.h"
#include "policy/engine.h"

namespace weir::app {
namespace {

const config::Settings kSettings;

TEST(Defaults, OfTheMeterAreThoseOfTheSettings) {
  const meter::MeterOptions meter;
  EXPECT_EQ(kSettings.max_connections, meter.max_connections);
  EXPECT_EQ(kSettings.timeout_active, meter.active_timeout);
  const meter::Timeouts& timeouts = meter.timeouts;
  EXPECT_EQ(kSettings.timeout_tcp_syn_sent, timeouts.tcp_syn_sent);
  EXPECT_EQ(kSettings.timeout_tcp_syn_recv, timeouts.tcp_syn_recv);
  EXPECT_EQ(kSettings.timeout_tcp_established, timeouts.tcp_established);
  EXPECT_EQ(kSettings.timeout_tcp_fin_wait, timeouts.tcp_fin_wait);
  EXPECT_EQ(kSettings.timeout_tcp_close_wait, timeouts.tcp_close_wait);
  EXPECT_EQ(kSettings.timeout_tcp_last_ack, timeouts.tcp_last_ack);
  EXPECT_EQ(kSettings.timeout_tcp_time_wait, timeouts.tcp_time_wait);
  EXPECT_EQ(kSettings.timeout_tcp_close, timeouts.tcp_close);
  EXPECT_EQ(kSettings.timeout_udp, timeouts.udp);
  EXPECT_EQ(kSettings.timeout_udp_stream, timeouts.udp_stream);
  EXPECT_EQ(kSettings.timeout_icmp, timeouts.icmp);
  EXPECT_EQ(kSettings.timeout_sctp, timeouts.sctp);
  EXPECT_EQ(kSettings.timeout_generic, timeouts.generic);
  EXPECT_EQ(kSettings.dns_timeout.count(), meter::DnsInspectorOptions().timeout_ns);
  EXPECT_TRUE(kSettings.trusted_proxies.empty() && meter::HttpInspectorOptions().xff.trusted_proxies.empty());
  EXPECT_EQ(kSettings.forwarded_for == "leftmost",
            meter::HttpInspectorOptions().xff.choose == packet::XffRule::Choose::kLeftmost);
}

TEST(Defaults, OfTheAggregatorsAreThoseOfTheSettings) {
  const aggregate::AggregateOptions flows;
  EXPECT_EQ(kSettings.aggregation_level_allowed, flows.level_allowed);
  EXPECT_EQ(kSettings.aggregation_level_denied, flows.level_denied);
  EXPECT_EQ(kSettings.include_labels, flows.include_labels);
  EXPECT_EQ(kSettings.include_policies, flows.include_policies);
  EXPECT_EQ(kSettings.include_services, flows.include_services);
  EXPECT_EQ(kSettings.external_ips_limit, flows.external_ips_limit);
  EXPECT_EQ(kSettings.original_source_ips_limit, flows.original_ips_limit);
  EXPECT_EQ(kSettings.nat_outgoing_ports_limit, flows.nat_ports_limit);
  EXPECT_EQ(kSettings.domains_limit, flows.domains_limit);
  EXPECT_EQ(kSettings.collect_process_info, flows.include_processes);
  EXPECT_EQ(kSettings.process_limit, flows.process_limit);
  EXPECT_EQ(kSettings.max_flow_keys, flows.max_keys);
  EXPECT_TRUE(kSettings.exclude.empty() && flows.exclude.empty());
  const aggregate::DnsAggregatorOptions dns;
  EXPECT_EQ(kSettings.dns_aggregation_level, dns.level);
  EXPECT_EQ(static_cast<std::uint64_t>(kSettings.dns_limit), dns.per_node_limit);
  EXPECT_EQ(kSettings.include_labels, dns.include_labels);
  const aggregate::L7AggregatorOptions l7;
  EXPECT_EQ(kSettings.l7_aggregation_level == 0, l7.none);
  EXPECT_EQ(static_cast<std::uint64_t>(kSettings.l7_limit), l7.per_node_limit);
  EXPECT_EQ(static_cast<std::size_t>(kSettings.original_source_ips_limit), l7.max_original_ips);
}

TEST(Defaults, OfTheOtherStagesAreThoseOfTheSettings) {
  EXPECT_EQ(kSettings.meter_outer, packet::Decoder::Options().outer);
  EXPECT_TRUE(kSettings.vxlan_ports.empty() && packet::Decoder::Options().vxlan_ports.empty());
  EXPECT_EQ(kSettings.include_services, collect::CollectorOptions().include_services);
  EXPECT_EQ(kSettings.domain_grace, collect::CollectorOptions().domains.grace);
  EXPECT_EQ(kSettings.ip_block_matches_pods, policy::EngineOptions().ip_block_matches_pods);
  EXPECT_EQ(kSettings.node_traffic == "evaluate",
            policy::EngineOptions().node_traffic == policy::NodeTraffic::kEvaluate);
  EXPECT_EQ(kSettings.staged_policies == "calico", policy::EngineOptions().calico_compatible);
  EXPECT_EQ(kSettings.trace_names == "kind", policy::EngineOptions().trace_names == policy::TraceNames::kKind);
  std::vector<IpPrefix> networks;
  for (const std::string& text : kSettings.private_networks) networks.push_back(IpPrefix::parse(text).value());
  EXPECT_EQ(networks, cluster::LedgerOptions().private_networks);
  EXPECT_EQ(kSettings.interfaces, capture::InterfaceWatch::Options().names);
  EXPECT_EQ(static_cast<std::uint64_t>(kSettings.log_max_size_mb) << 20, flowlog::LogFileOptions().max_bytes);
  EXPECT_EQ(kSettings.log_max_files, flowlog::LogFileOptions().max_files);
  EXPECT_EQ(kSettings.log_buffer_mb * 1024 * 1024, flowlog::LogFileOptions().max_buffered_bytes);
}

TEST(Defaults, AListOfPortsIsNoLongerThanTheDecoderTakes) {
  EXPECT_EQ(config::find_option("vxlan_ports")->max, static_cast<double>(packet::Decoder::kMaxVxlanPorts));
}

}  // namespace
}  // namespace weir::app
