#include "app/node_pipeline.h"

#include <chrono>

#include "app/engine_inputs.h"
#include "app/stage_options.h"

namespace weir::app {

Result<std::unique_ptr<NodePipeline>> NodePipeline::create(const config::Settings& settings,
                                                           cluster::ClusterObjects objects, bool cluster_known,
                                                           const std::string& node, RecordSinks sinks,
                                                           const NodeOptions& options) {
  std::unique_ptr<NodePipeline> pipeline(new NodePipeline());
  NodePipeline& p = *pipeline;
  p.sinks_ = std::move(sinks);
  TRY_ASSIGN(cluster::LedgerOptions ledger, ledger_options(settings, node));
  p.ledger_ = std::make_unique<cluster::Ledger>(std::move(objects), std::move(ledger));
  p.engine_options_ = engine_options(settings);
  p.engine_options_.trace_store = &p.traces_;
  if (cluster_known) TRY(p.build_engine());
  collect::CollectorOptions collector = collector_options(settings, cluster_known);
  collector.initial_delay = options.initial_delay;
  collector.http_by_tuple = options.http_by_tuple;
  p.collector_ = std::make_unique<collect::Collector>(collector, *p.ledger_, p.engine_.get(), p.traces_);
  p.dns_inspector_ = std::make_unique<meter::DnsInspector>(dns_inspector_options(settings));
  TRY_ASSIGN(meter::HttpInspectorOptions http, http_inspector_options(settings));
  http.heads_only = options.http_heads_only;
  p.http_inspector_ = std::make_unique<meter::HttpInspector>(http);
  TRY(p.create_aggregators(settings));
  return pipeline;
}

Status NodePipeline::create_aggregators(const config::Settings& settings) {
  TRY_ASSIGN(aggregate::AggregateOptions flow_options, aggregate_options(settings));
  TRY_ASSIGN(flows_, aggregate::FlowAggregator::create(std::move(flow_options)));
  dns_ = std::make_unique<aggregate::DnsAggregator>(dns_log_options(settings));
  l7_ = std::make_unique<aggregate::L7Aggregator>(l7_log_options(settings));
  return {};
}

Status NodePipeline::reconfigure(const config::Settings& settings) {
  TRY(create_aggregators(settings));
  inspects_http_ = settings.l7_log;
  return {};
}

Status NodePipeline::build_engine() {
  const auto begin = std::chrono::steady_clock::now();
  if (engine_ != nullptr) {
    TRY(engine_->update(engine_inputs(*ledger_)));
  } else {
    TRY_ASSIGN(engine_, policy::Engine::create(engine_options_, engine_inputs(*ledger_)));
  }
  stats_.engine_ns += (std::chrono::steady_clock::now() - begin).count();
  ++stats_.engines;
  engine_version_ = ledger_->policy_inputs_version();
  judges_ = true;
  return {};
}

Status NodePipeline::refresh_policies() {
  if (!judges_ || ledger_->policy_inputs_version() == engine_version_) return {};
  Status status = build_engine();
  if (!status.ok()) {
    // An engine that refused its inputs answers nothing: the next change makes a new one. Traces that are known stay.
    engine_ = nullptr;
    engine_version_ = ledger_->policy_inputs_version();
  }
  collector_->set_engine(engine_.get());
  take_reports();
  return status;
}

void NodePipeline::advance(std::int64_t now_ns) {
  dns_inspector_->advance(now_ns);
  collector_->advance(now_ns);
  take_reports();
}

void NodePipeline::finish_input() {
  dns_inspector_->finish();
  http_inspector_->finish();
}

void NodePipeline::finish_young() {
  collector_->finish();
  take_reports();
}

void NodePipeline::take_reports() {
  flows_->add(collector_->reports());
  collector_->clear_reports();
}

void NodePipeline::take(std::span<const model::ConnectionUpdate> updates) {
  take_inspected(updates);
  collect(updates);
}

void NodePipeline::take_inspected(std::span<const model::ConnectionUpdate> updates) {
  for (const model::ConnectionUpdate& update : updates) {
    if (!update.last) continue;
    http_inspector_->on_connection_end(update.slot);
    dns_inspector_->on_connection_end(update.slot);
  }
  take_transactions();
}

void NodePipeline::take_transactions() {
  for (const model::DnsTransaction& lookup : dns_inspector_->finished()) {
    collector_->on_dns(lookup);
    if (!sinks_.dns) continue;
    const std::int64_t at_ns = lookup.query_ns != 0 ? lookup.query_ns : lookup.answer_ns;
    const model::Tuple asked{lookup.client, lookup.server, lookup.client_port, lookup.server_port, lookup.protocol};
    const cluster::Ledger::Ends ends = ledger_->resolve_ends(lookup.client, collector_->translated(asked).dest, at_ns);
    dns_->add(lookup, ends.source, ends.dest);
  }
  dns_inspector_->clear_finished();
  for (const model::HttpTransaction& request : http_inspector_->finished()) {
    collector_->on_http(request);
    if (!sinks_.l7) continue;
    const model::Tuple& tuple = request.tuple;
    const cluster::Ledger::Ends ends =
        ledger_->resolve_ends(tuple.source, collector_->translated(tuple).dest, request.request_ns);
    // Seen twice on this node: the client's view, which has the service, is the one that is logged.
    if (request.observed_at == model::ObservedAt::kDest && ledger_->is_local(*ends.source)) continue;
    l7_->add(request, ends.source, ends.dest,
             ledger_->service_at(tuple.dest, tuple.dest_port, tuple.protocol, request.request_ns));
  }
  http_inspector_->clear_finished();
}

void NodePipeline::collect(std::span<const model::ConnectionUpdate> updates) {
  if (updates.empty()) return;
  for (const model::ConnectionUpdate& update : updates) {
    collector_->add(update);
  }
  take_reports();
}

void NodePipeline::close_window(std::int64_t start_s, std::int64_t end_s) {
  flows_->flush(start_s, end_s, [&](const model::FlowRecord& record) {
    ++stats_.flow_records;
    if (sinks_.flow) sinks_.flow(record);
  });
  if (sinks_.dns) {
    dns_->flush(start_s, end_s, [&](const model::DnsRecord& record) {
      ++stats_.dns_records;
      sinks_.dns(record);
    });
  }
  if (sinks_.l7) {
    l7_->flush(start_s, end_s, [&](const model::L7Record& record) {
      ++stats_.l7_records;
      sinks_.l7(record);
    });
  }
  ++stats_.windows;
}

NodeStats NodePipeline::stats() const {
  NodeStats stats = stats_;
  stats.collect = collector_->stats();
  stats.aggregate = flows_->stats();
  stats.flow_keys = flows_->keys();
  stats.dns = dns_inspector_->stats();
  stats.http = http_inspector_->stats();
  stats.dns_unlogged = dns_->unlogged();
  stats.l7_unlogged = l7_->unlogged();
  stats.domains_dropped = collector_->domains_dropped();
  stats.hits_dropped = collector_->hits().dropped();
  stats.hits_unmatched = collector_->hits().unmatched();
  return stats;
}

}  // namespace weir::app
