#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cluster/ledger.h"
#include "collect/domain_cache.h"
#include "collect/hit_table.h"
#include "collect/nat_table.h"
#include "model/connection.h"
#include "model/conntrack.h"
#include "model/dns.h"
#include "model/http.h"
#include "model/reported_flow.h"
#include "policy/engine.h"

namespace weir::collect {

struct CollectorOptions {
  /// Without manifests nobody is a pod: each connection gives one record, reporter src, and no policies.
  bool cluster_known = false;
  bool include_services = true;
  DomainCache::Options domains;
  /// A connection is reported once it is so old, or its source gives its slot back: what is told of it from elsewhere
  /// (a pod that is new to us, a rule hit, an address translation) has come by then. 0: at once.
  std::chrono::nanoseconds initial_delay{0};
  /// HTTP transactions come from another source than the connections, so that their slots say nothing: they belong
  /// together by their tuple.
  bool http_by_tuple = false;
  /// Of traces that are made of rule hits; as EngineOptions says.
  policy::TraceNames trace_names = policy::TraceNames::kDocumented;
};

struct CollectorStats {
  std::uint64_t connections = 0;
  /// Connections with no local end: neither side's node is ours, so nobody here reports them.
  std::uint64_t not_local = 0;
  std::uint64_t not_local_packets = 0, not_local_bytes = 0;
  std::uint64_t reports = 0;
  std::uint64_t denied_connections = 0;
  /// A connection that was reported under one identity and went on under another (a pod's address reused).
  std::uint64_t identity_moves = 0;
  /// Flows ended and started anew because a changed policy would deny what it allowed, or the reverse (pending trace).
  std::uint64_t pending_moves = 0;
  /// Verdicts that the data plane told us, and of them those that policy evaluation sees otherwise.
  std::uint64_t dataplane_verdicts = 0, verdict_mismatches = 0;
  /// Flows ended and started anew because the data plane came to another verdict, or by another rule.
  std::uint64_t verdict_moves = 0;
  /// Client addresses behind proxies whose connection was not told of in time.
  std::uint64_t original_sources_dropped = 0;
};

/// The connection cache: joins each connection with its endpoints, service, domains and policy traces, decides which
/// side reports it, and says when it starts and ends under a key.
///
/// A source that sees both ends in one view gives up to two reports a connection, and a denied egress gives no ingress
/// report. A source at the pods' interfaces (ObservedAt) gives each end's own connection, which that end alone reports.
///
/// In:      ConnectionUpdates of each source in their order; DNS and HTTP transactions as they complete. A second
///          source beside the first has kSecondSource added to its slots.
/// Out:     ReportedFlows, none to two an update (egress side, ingress side).
/// Bounds:  one Context (about 200 B) per open connection of the source.
/// Threads: one. The ledger and the engine outlive the collector.
class Collector {
 public:
  static constexpr model::ConnectionSlot kSecondSource = 1u << 31;

  /// `engine` may be null: no policies are known. `traces` takes those that rule hits make; it outlives all reports.
  Collector(CollectorOptions options, const cluster::Ledger& ledger, policy::Engine* engine,
            policy::TraceStore& traces);

  void add(const model::ConnectionUpdate& update);
  /// The reports since the last call; valid until the next add(). The caller hands them on at once.
  std::span<const model::ReportedFlow> reports() const { return reports_; }
  void clear_reports();

  /// Policies or pods changed: the next verdicts are the new engine's, and each open connection gets its pending trace
  /// from it. It may be the old one, updated. What was enforced stays: a data plane decides a connection's first
  /// packet. Flows whose pending trace gains or loses a deny end, and start anew with their next traffic (reports()).
  /// The old engine may go; its traces must stay (EngineOptions::trace_store).
  void set_engine(policy::Engine* engine);

  /// What a rule of the data plane decided: it goes before what we evaluate. A hit that comes after its connection was
  /// reported ends the flow and starts it anew, if the verdict or the rule is another.
  void on_hit(const model::PolicyHit& hit);
  /// A client's tuple as it goes on behind DNAT; itself, where no translation is known.
  model::Tuple translated(const model::Tuple& tuple) const;
  /// The connection tracker's view of a connection, for its address translation.
  void on_conntrack(const model::ConntrackEvent& event) { nat_.learn(event); }
  /// Reports the connections that are old enough by now, and forgets hits whose connection never came and translations
  /// of connections that are gone.
  void advance(std::int64_t now_ns);
  /// The end: reports the young ones too.
  void finish();
  const HitTable& hits() const { return hits_; }

  void on_dns(const model::DnsTransaction& transaction) { domains_.learn(transaction); }
  /// Remembers the client's address behind the proxy until the connection's next report.
  void on_http(const model::HttpTransaction& transaction);

  const CollectorStats& stats() const { return stats_; }
  std::uint64_t domains_dropped() const { return domains_.dropped(); }

 private:
  static constexpr std::uint32_t kNotYoung = ~0u;
  /// What is known of an open connection; fixed from its first report on, unless its identity moves.
  struct Context {
    /// After DNAT.
    model::Tuple tuple;
    /// What the client addressed, and its port after SNAT (0: none).
    IpAddress original_dest;
    std::uint16_t original_dest_port = 0, nat_port = 0;
    const model::Endpoint* source = nullptr;
    const model::Endpoint* dest = nullptr;
    const model::ServiceRef* service = nullptr;
    policy::SideVerdict egress, ingress;
    std::span<const std::string_view> domains;
    /// Of the end that saw it; 0 and none where its first report knew of none.
    std::uint32_t process_id = 0;
    model::ProcessName process_name{};
    model::VerdictSource egress_source = model::VerdictSource::kObserved;
    model::VerdictSource ingress_source = model::VerdictSource::kObserved;
    /// The destination is local, and would report if the source's egress policy let it.
    bool dest_is_ours = false;
    bool report_source = false, report_dest = false;
    /// The source has not given its slot back yet.
    bool open = false;
    /// Where its first update waits in young_.
    std::uint32_t young_at = kNotYoung;
    bool started = false, ended = false, outcome_reported = false;
    /// Ended for another verdict, to be started anew with the next traffic.
    bool split = false;
  };

  Context& context_of(model::ConnectionSlot slot);
  void move_pending(Context& context, model::ConnectionSlot slot);
  void process(Context& context, const model::ConnectionUpdate& update);
  /// Processes the first updates that wait, of connections that began by then.
  void release_young(std::int64_t newest_start_ns);
  model::ConnectionUpdate take_young(Context& context);
  /// The updates of a connection whose first one waits are one.
  static void merge_young(model::ConnectionUpdate& whole, const model::ConnectionUpdate& update);
  void open(Context& context, const model::ConnectionUpdate& update, std::int64_t at_ns);
  void learn_translation(const model::Tuple& to, const IpAddress& original_dest, std::uint16_t original_dest_port,
                         std::int64_t time_ns);
  /// What one end's interface saw, as the whole connection has it.
  void translate(Context& context, const model::ConnectionUpdate& update);
  /// A denied connection has no entry in the connection tracker; the data plane's log names the backend that was
  /// chosen.
  void translate_by_hits(Context& context, const model::ConnectionUpdate& update);
  void find_ends(Context& context, const model::ConnectionUpdate& update, std::int64_t at_ns) const;
  void judge(Context& context, const model::ConnectionUpdate& update);
  policy::Verdict evaluate(const model::Tuple& tuple, const model::Endpoint* source, const model::Endpoint* dest,
                           std::span<const std::string_view> names) const;
  policy::Verdict evaluate_backends(const Context& context, const model::ConnectionUpdate& update);
  /// Takes the verdicts that the data plane told since the last call. True if one is not what the context says.
  bool take_hits(Context& context);
  bool take_hits(const model::Tuple& tuple, bool egress, bool started, policy::SideVerdict& side,
                 model::VerdictSource& source);
  /// Reports the flow's end under what it was; its next report starts it anew.
  void end_flow(Context& context, model::ConnectionSlot slot);
  bool identity_moved(const Context& context, const model::ConnectionUpdate& update) const;
  void report(Context& context, const model::ConnectionUpdate& update);
  void report_side(const Context& context, const model::ReportedFlow& flow, model::Reporter reporter,
                   const model::TrafficDelta& delta);

  CollectorOptions options_;
  const cluster::Ledger& ledger_;
  policy::Engine* engine_;
  policy::TraceStore& traces_;
  DomainCache domains_;
  HitTable hits_;
  NatTable nat_;
  /// In blocks: they grow without moving, and take no more than they must.
  static constexpr std::size_t kContextsAtOnce = 512;
  using ContextBlock = std::array<Context, kContextsAtOnce>;
  using Contexts = std::vector<std::unique_ptr<ContextBlock>>;
  /// By slot; of the second source by slot - kSecondSource.
  Contexts contexts_, second_contexts_;
  /// First updates that wait for CollectorOptions::initial_delay.
  std::vector<model::ConnectionUpdate> young_;
  std::int64_t now_ns_ = 0;
  absl::flat_hash_map<model::ConnectionSlot, std::vector<IpAddress>> original_sources_;
  /// With http_by_tuple: by the tuple after DNAT; at most kMaxOriginalSources.
  absl::flat_hash_map<model::Tuple, std::vector<IpAddress>, TupleHash> original_sources_by_tuple_;
  static constexpr std::size_t kMaxOriginalSources = 100'000;
  std::vector<IpAddress> take_original_sources(const Context& context, model::ConnectionSlot slot);
  std::vector<model::ReportedFlow> reports_;
  std::vector<cluster::Ledger::Backend> backends_;
  /// Owns the addresses that the current reports' spans show.
  std::vector<std::vector<IpAddress>> reported_sources_;
  CollectorStats stats_;
};

}  // namespace weir::collect
