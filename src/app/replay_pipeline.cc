#include "app/replay_pipeline.h"

#include <algorithm>
#include <array>

#include "app/engine_inputs.h"
#include "capture/capture_file.h"
#include "cluster/manifest_reader.h"

namespace weir::app {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t floor_seconds(std::int64_t ns) { return ns / kSecond - (ns % kSecond < 0 ? 1 : 0); }
std::int64_t ceil_seconds(std::int64_t ns) { return -floor_seconds(-ns); }

Result<std::vector<IpPrefix>> parse_prefixes(const std::vector<std::string>& texts) {
  std::vector<IpPrefix> prefixes;
  for (const std::string& text : texts) {
    TRY_ASSIGN(const IpPrefix prefix, IpPrefix::parse(text));
    prefixes.push_back(prefix);
  }
  return prefixes;
}

Result<meter::HttpInspectorOptions> http_options(const config::Settings& settings) {
  meter::HttpInspectorOptions options;
  TRY_ASSIGN(options.xff.trusted_proxies, parse_prefixes(settings.trusted_proxies));
  if (settings.forwarded_for == "leftmost") options.xff.choose = packet::XffRule::Choose::kLeftmost;
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
  options.max_keys = static_cast<std::uint32_t>(settings.max_flow_keys);
  for (const std::string& text : settings.exclude) {
    TRY_ASSIGN(filter::Filter compiled, filter::Filter::compile(text));
    options.exclude.push_back(std::move(compiled));
  }
  return options;
}

aggregate::L7AggregatorOptions l7_options(const config::Settings& settings) {
  if (settings.l7_aggregation_level == 0) return aggregate::L7AggregatorOptions::unaggregated();
  aggregate::L7AggregatorOptions options;
  options.per_node_limit = static_cast<std::uint64_t>(settings.l7_limit);
  options.max_original_ips = static_cast<std::size_t>(settings.original_source_ips_limit);
  return options;
}

}  // namespace

Result<std::unique_ptr<ReplayPipeline>> ReplayPipeline::create(const config::Settings& settings,
                                                               const std::vector<std::string>& cluster_paths,
                                                               const std::string& node, ReplaySinks sinks) {
  std::unique_ptr<ReplayPipeline> pipeline(new ReplayPipeline());
  pipeline->sinks_ = std::move(sinks);
  pipeline->interval_ns_ = settings.flush_interval.count();
  TRY(pipeline->load_cluster(settings, cluster_paths, node));
  TRY(pipeline->create_stages(settings));
  return pipeline;
}

Status ReplayPipeline::load_cluster(const config::Settings& settings, const std::vector<std::string>& paths,
                                    const std::string& node) {
  cluster::ClusterObjects objects;
  if (!paths.empty()) {
    cluster::ManifestNotes notes;
    TRY_ASSIGN(objects, cluster::load_manifests(paths, &notes));
    notes_ = notes.lines();
  }
  cluster::LedgerOptions ledger_options;
  TRY_ASSIGN(ledger_options.private_networks, parse_prefixes(settings.private_networks));
  ledger_options.node = node;
  ledger_ = std::make_unique<cluster::Ledger>(std::move(objects), std::move(ledger_options));
  const auto on_node = [&](const model::Endpoint* pod) { return pod->node == node; };
  if (!node.empty() && std::none_of(ledger_->pods().begin(), ledger_->pods().end(), on_node)) {
    return invalid_argument("--node " + node + ": no pod of the manifests runs there (spec.nodeName)");
  }
  collect::CollectorOptions collector_options;
  collector_options.cluster_known = !paths.empty();
  collector_options.include_services = settings.include_services;
  collector_options.domains.grace = settings.domain_grace;
  if (!paths.empty()) {
    policy::EngineOptions options;
    if (settings.trace_names == "kind") options.trace_names = policy::TraceNames::kKind;
    TRY_ASSIGN(engine_, policy::Engine::create(options, engine_inputs(*ledger_)));
  }
  collector_ = std::make_unique<collect::Collector>(collector_options, *ledger_, engine_.get());
  return {};
}

Status ReplayPipeline::create_stages(const config::Settings& settings) {
  packet::Decoder::Options decoder_options;
  decoder_options.outer = settings.meter_outer;
  for (const std::string& port : settings.vxlan_ports) {
    decoder_options.vxlan_ports.push_back(static_cast<std::uint16_t>(std::stoul(port)));
  }
  decoder_ = std::make_unique<packet::Decoder>(decoder_options);
  TRY_ASSIGN(meter_, meter::Meter::create(meter_options(settings)));
  TRY_ASSIGN(aggregate::AggregateOptions flow_options, aggregate_options(settings));
  TRY_ASSIGN(flows_, aggregate::FlowAggregator::create(std::move(flow_options)));
  meter::DnsInspectorOptions dns_options;
  dns_options.timeout_ns = settings.dns_timeout.count();
  dns_inspector_ = std::make_unique<meter::DnsInspector>(dns_options);
  TRY_ASSIGN(const meter::HttpInspectorOptions http, http_options(settings));
  http_inspector_ = std::make_unique<meter::HttpInspector>(http);
  aggregate::DnsAggregatorOptions dns_log_options;
  dns_log_options.level = static_cast<int>(settings.dns_aggregation_level);
  dns_log_options.include_labels = settings.include_labels;
  dns_log_options.per_node_limit = static_cast<std::uint64_t>(settings.dns_limit);
  dns_ = std::make_unique<aggregate::DnsAggregator>(dns_log_options);
  l7_ = std::make_unique<aggregate::L7Aggregator>(l7_options(settings));
  return {};
}

Status ReplayPipeline::read_file(const std::string& path) {
  ++stats_.files;
  TRY_ASSIGN(const std::unique_ptr<capture::CaptureFile> file, capture::CaptureFile::open(path));
  std::array<packet::PacketView, kBatch> views;
  std::array<packet::DecodedPacket, kBatch> packets;
  while (const std::size_t count = file->next_batch(views)) {
    std::size_t decoded = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (decoder_->decode(views[i], packets[decoded]) == packet::DecodeStatus::kOk) ++decoded;
    }
    process({packets.data(), decoded});
  }
  stats_.frames += file->stats().packets;
  stats_.wire_bytes += file->stats().wire_bytes;
  if (!file->status().ok()) {
    ++stats_.damaged_files;
    return file->status();
  }
  return {};
}

void ReplayPipeline::process(std::span<const packet::DecodedPacket> packets) {
  while (!packets.empty()) {
    move_window(packets.front().time_ns);
    std::size_t same = packets.size();
    if (interval_ns_ > 0) {
      const auto beyond = [&](const packet::DecodedPacket& packet) { return packet.time_ns >= window_end_ns_; };
      same = static_cast<std::size_t>(std::find_if(packets.begin(), packets.end(), beyond) - packets.begin());
    } else {
      for (const packet::DecodedPacket& packet : packets) {
        window_start_ns_ = std::min(window_start_ns_, packet.time_ns);
        window_end_ns_ = std::max(window_end_ns_, packet.time_ns);
      }
    }
    process_in_window(packets.first(same));
    packets = packets.subspan(same);
  }
}

void ReplayPipeline::process_in_window(std::span<const packet::DecodedPacket> packets) {
  meter_->process(packets, &packet_notes_);
  inspect(packets);
  take_updates();
}

void ReplayPipeline::inspect(std::span<const packet::DecodedPacket> packets) {
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (!meter::DnsInspector::wants(packets[i])) continue;
    const meter::PacketPlace place = packet_notes_.places[i];
    dns_inspector_->on_packet(packets[i], place.slot, place.forward);
  }
  for (const std::uint32_t i : packet_notes_.inspect) {
    const meter::PacketPlace place = packet_notes_.places[i];
    if (!http_inspector_->on_segment(packets[i], place.slot, place.forward)) meter_->stop_inspecting(place.slot);
  }
}

void ReplayPipeline::take_transactions() {
  for (const model::DnsTransaction& lookup : dns_inspector_->finished()) {
    collector_->on_dns(lookup);
    if (!sinks_.dns) continue;
    const std::int64_t at_ns = lookup.query_ns != 0 ? lookup.query_ns : lookup.answer_ns;
    const cluster::Ledger::Ends ends = ledger_->resolve_ends(lookup.client, lookup.server, at_ns);
    dns_->add(lookup, ends.source, ends.dest);
  }
  dns_inspector_->clear_finished();
  for (const model::HttpTransaction& request : http_inspector_->finished()) {
    collector_->on_http(request);
    if (!sinks_.l7) continue;
    const model::Tuple& tuple = request.tuple;
    const cluster::Ledger::Ends ends = ledger_->resolve_ends(tuple.source, tuple.dest, request.request_ns);
    l7_->add(request, ends.source, ends.dest,
             ledger_->service_at(tuple.dest, tuple.dest_port, tuple.protocol, request.request_ns));
  }
  http_inspector_->clear_finished();
}

void ReplayPipeline::take_updates() {
  const std::span<const model::ConnectionUpdate> updates = meter_->updates();
  for (const model::ConnectionUpdate& update : updates) {
    if (!update.last) continue;
    http_inspector_->on_connection_end(update.slot);
    dns_inspector_->on_connection_end(update.slot);
  }
  take_transactions();
  collect(updates);
  meter_->clear_updates();
}

void ReplayPipeline::collect(std::span<const model::ConnectionUpdate> updates) {
  if (updates.empty()) return;
  for (const model::ConnectionUpdate& update : updates) {
    collector_->add(update);
  }
  flows_->add(collector_->reports());
  collector_->clear_reports();
}

void ReplayPipeline::move_window(std::int64_t time_ns) {
  if (!started_) {
    started_ = true;
    window_start_ns_ = interval_ns_ > 0 ? time_ns - time_ns % interval_ns_ : time_ns;
    window_end_ns_ = window_start_ns_ + interval_ns_;
    return;
  }
  if (interval_ns_ == 0) return;
  for (int silent = 0; time_ns >= window_end_ns_; ++silent) {
    meter_->advance(window_end_ns_);
    dns_inspector_->advance(window_end_ns_);
    take_updates();
    close_window();
    window_start_ns_ = window_end_ns_;
    if (flows_->keys() == 0 || silent >= kMaxSilentWindows) window_start_ns_ = time_ns - time_ns % interval_ns_;
    window_end_ns_ = window_start_ns_ + interval_ns_;
  }
}

void ReplayPipeline::close_window() {
  for (auto updates = meter_->flush(); !updates.empty(); updates = meter_->flush()) collect(updates);
  const std::int64_t start = floor_seconds(window_start_ns_);
  const std::int64_t end = std::max(ceil_seconds(window_end_ns_), start);
  flows_->flush(start, end, [&](const model::FlowRecord& record) {
    ++stats_.flow_records;
    if (sinks_.flow) sinks_.flow(record);
  });
  if (sinks_.dns) {
    dns_->flush(start, end, [&](const model::DnsRecord& record) {
      ++stats_.dns_records;
      sinks_.dns(record);
    });
  }
  if (sinks_.l7) {
    l7_->flush(start, end, [&](const model::L7Record& record) {
      ++stats_.l7_records;
      sinks_.l7(record);
    });
  }
  ++stats_.windows;
}

void ReplayPipeline::finish() {
  dns_inspector_->finish();
  http_inspector_->finish();
  take_updates();
  meter_->end_input();
  if (started_) close_window();
}

ReplayStats ReplayPipeline::stats() const {
  ReplayStats stats = stats_;
  stats.decode = decoder_->stats();
  stats.meter = meter_->stats();
  stats.collect = collector_->stats();
  stats.aggregate = flows_->stats();
  stats.dns = dns_inspector_->stats();
  stats.http = http_inspector_->stats();
  stats.dns_unlogged = dns_->unlogged();
  stats.l7_unlogged = l7_->unlogged();
  stats.domains_dropped = collector_->domains_dropped();
  return stats;
}

}  // namespace weir::app
