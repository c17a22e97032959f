#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "aggregate/dns_aggregator.h"
#include "aggregate/flow_aggregator.h"
#include "aggregate/l7_aggregator.h"
#include "cluster/ledger.h"
#include "cluster/objects.h"
#include "collect/collector.h"
#include "config/settings.h"
#include "meter/dns_inspector.h"
#include "meter/http_inspector.h"
#include "policy/engine.h"
#include "policy/trace_store.h"

namespace weir::app {

/// Where records go; an empty function: that log is not wanted. A record and all it points to live only for the call.
struct RecordSinks {
  std::function<void(const model::FlowRecord&)> flow;
  std::function<void(const model::DnsRecord&)> dns;
  std::function<void(const model::L7Record&)> l7;
};

/// Whether a packet is part of a lookup that this view of it should report. Two pods' interfaces may see the same
/// lookup: that of the client is the one that is logged.
inline bool wants_dns(const packet::DecodedPacket& packet) {
  if (!meter::DnsInspector::wants(packet)) return false;
  return packet.zone == 0 || packet.later_fragment ||
         meter::DnsInspector::is_dns_port(packet.tuple.dest_port) == packet.from_pod;
}

/// What the stages after the metering counted.
struct NodeStats {
  collect::CollectorStats collect;
  aggregate::AggregateStats aggregate;
  meter::DnsInspectorStats dns;
  meter::HttpInspectorStats http;
  std::uint64_t windows = 0;
  /// Keys that are open.
  std::uint64_t flow_keys = 0;
  std::uint64_t flow_records = 0, dns_records = 0, l7_records = 0;
  std::uint64_t dns_unlogged = 0, l7_unlogged = 0, domains_dropped = 0;
  /// Policy engines built because policies or pods changed, and the time it took.
  std::uint64_t engines = 0;
  std::int64_t engine_ns = 0;
  std::uint64_t hits_dropped = 0, hits_unmatched = 0;
};

/// What the source asks of the stages behind it; replay has the defaults.
struct NodeOptions {
  /// CollectorOptions::initial_delay.
  std::chrono::nanoseconds initial_delay{0};
  /// HttpInspectorOptions::heads_only: of a connection's packets only those with HTTP heads come.
  bool http_heads_only = false;
  /// CollectorOptions::http_by_tuple.
  bool http_by_tuple = false;
};

/// The node half of Weir behind its sources: inspect → collect → aggregate → records. Replay and agent drive it; they
/// own the source, its meter and the windows' clock. Threads: one.
class NodePipeline {
 public:
  /// `cluster_known` false: nobody is a pod, there are no policies. `node`: the one
  /// whose pods are local; empty: all.
  static Result<std::unique_ptr<NodePipeline>> create(const config::Settings& settings, cluster::ClusterObjects objects,
                                                      bool cluster_known, const std::string& node, RecordSinks sinks,
                                                      const NodeOptions& options = {});

  /// Payload parsers, for packets of a metered connection. `want_more` of inspect_http false: not an HTTP connection.
  void inspect_dns(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward) {
    dns_inspector_->on_packet(packet, slot, forward);
  }
  bool inspect_http(const packet::DecodedPacket& packet, model::ConnectionSlot slot, bool forward) {
    if (!inspects_http_) return true;
    return http_inspector_->on_segment(packet, slot, forward);
  }
  /// Time passed: lookups without an answer time out, young connections grow old enough to be reported.
  void advance(std::int64_t now_ns);
  /// The input ended: what still waits is reported as it stands.
  void finish_input();
  /// The end of a live run: connections too young to be reported are reported.
  void finish_young();

  /// Updates that cannot wait for the window's end, and the transactions that were finished by now.
  void take(std::span<const model::ConnectionUpdate> updates);
  /// Of connections that only packets for the payload parsers come from: another source meters them.
  void take_inspected(std::span<const model::ConnectionUpdate> updates);
  /// Updates of a window's flush.
  void collect(std::span<const model::ConnectionUpdate> updates);
  /// Takes over the options of aggregation and logs that can change while running. Only right after close_window():
  /// connections that are open then are counted again with their next traffic.
  Status reconfigure(const config::Settings& settings);
  /// Closes the window, in Unix seconds: its records go to the sinks.
  void close_window(std::int64_t start_s, std::int64_t end_s);
  /// Compiles the policies anew if the ledger's pods, namespaces or policies are others than those that were compiled.
  Status refresh_policies();
  /// Moves when the policies that verdicts come from are others.
  std::uint64_t policies_version() const { return engine_version_; }
  /// Keys that are open: none means that a silent window has nothing to say.
  bool has_open_flows() const { return flows_->keys() != 0; }

  cluster::Ledger& ledger() { return *ledger_; }
  collect::Collector& collector() { return *collector_; }
  NodeStats stats() const;

 private:
  NodePipeline() = default;
  void take_transactions();
  void take_reports();
  Status create_aggregators(const config::Settings& settings);
  Status build_engine();

  RecordSinks sinks_;
  policy::EngineOptions engine_options_;
  policy::TraceStore traces_;
  /// The ledger's policy_inputs_version() that the engine was built for.
  std::uint64_t engine_version_ = 0;
  /// The cluster is known, so that there is, or should be, an engine.
  bool judges_ = false;
  std::unique_ptr<cluster::Ledger> ledger_;
  std::unique_ptr<policy::Engine> engine_;
  std::unique_ptr<meter::DnsInspector> dns_inspector_;
  std::unique_ptr<meter::HttpInspector> http_inspector_;
  std::unique_ptr<collect::Collector> collector_;
  std::unique_ptr<aggregate::FlowAggregator> flows_;
  std::unique_ptr<aggregate::DnsAggregator> dns_;
  std::unique_ptr<aggregate::L7Aggregator> l7_;
  bool inspects_http_ = true;
  NodeStats stats_;
};

}  // namespace weir::app
