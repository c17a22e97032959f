#pragma once

#include <string>
#include <vector>

#include "aggregate/dns_aggregator.h"
#include "aggregate/flow_aggregator.h"
#include "aggregate/l7_aggregator.h"
#include "cluster/ledger.h"
#include "collect/collector.h"
#include "config/settings.h"
#include "meter/dns_inspector.h"
#include "meter/http_inspector.h"
#include "meter/meter.h"
#include "packet/decoder.h"
#include "policy/engine.h"

/// The settings in the form that each stage wants them. Errors name the option.
namespace weir::app {

packet::Decoder::Options decoder_options(const config::Settings& settings);
meter::MeterOptions meter_options(const config::Settings& settings);
/// The same with a secret seed: outsiders choose addresses and ports.
meter::MeterOptions live_meter_options(const config::Settings& settings);
/// Of sources at pods' interfaces: the same, with closed connections remembered for a shorter time.
meter::MeterOptions pod_meter_options(const config::Settings& settings);
meter::DnsInspectorOptions dns_inspector_options(const config::Settings& settings);
Result<meter::HttpInspectorOptions> http_inspector_options(const config::Settings& settings);
Result<cluster::LedgerOptions> ledger_options(const config::Settings& settings, const std::string& node);
collect::CollectorOptions collector_options(const config::Settings& settings, bool cluster_known);
policy::EngineOptions engine_options(const config::Settings& settings);
Result<aggregate::AggregateOptions> aggregate_options(const config::Settings& settings);
aggregate::DnsAggregatorOptions dns_log_options(const config::Settings& settings);
aggregate::L7AggregatorOptions l7_log_options(const config::Settings& settings);

}  // namespace weir::app
