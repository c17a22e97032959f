#include "app/agent_metrics.h"

#include <array>
#include <functional>
#include <string_view>

#include "app/shipping.h"

namespace weir::app {
namespace {

using metrics::Labels;
using State = const AgentState&;
/// Takes one series: labels and value.
using Emit = const std::function<void(const Labels&, double)>&;

enum class Kind : std::uint8_t { kCounter, kGauge };

/// One family: the row feeds the registry and docs/metrics.md.
struct Row {
  std::string_view name;
  Kind kind;
  /// Names of labels, for the docs.
  std::string_view labels;
  std::string_view help;
  void (*series)(State, Emit);
};

double number(std::uint64_t value) { return static_cast<double>(value); }

void per_source(State s, Emit emit, std::uint64_t model::SourceCounts::*count) {
  for (const model::SourceCounts& source : s.totals.sources) emit({{"source", source.name}}, number(source.*count));
}

void per_log(State s, Emit emit, double (*value)(const flowlog::LogFileStats&)) {
  for (const AgentLogs::File& log : s.totals.logs) {
    if (log.file != nullptr) emit({{"log", log.name}}, value(log.file->stats()));
  }
}

// clang-format off
constexpr std::array kRows = {
    Row{"weir_agent_info", Kind::kGauge, "node, version, source", "Always 1; the labels tell which agent this is, and its source of connections.",
        [](State s, Emit emit) { emit({{"node", s.node}, {"version", WEIR_VERSION}, {"source", s.totals.sources.empty() ? "" : s.totals.sources.front().name}}, 1); }},
    Row{"weir_agent_start_time_seconds", Kind::kGauge, "", "When the agent began, Unix time.",
        [](State s, Emit emit) { emit({}, static_cast<double>(s.started_ns) / 1e9); }},

    Row{"weir_agent_source_events_total", Kind::kCounter, "source", "Events that a source gave: readings of flows, events of the connection tracker, verdicts.",
        [](State s, Emit emit) { per_source(s, emit, &model::SourceCounts::events); }},
    Row{"weir_agent_source_packets_total", Kind::kCounter, "source", "Packets that a source handed to the agent whole or in part.",
        [](State s, Emit emit) { per_source(s, emit, &model::SourceCounts::packets); }},
    Row{"weir_agent_source_lost_total", Kind::kCounter, "source, reason", "What a source lost; seen and lost together are what there was.",
        [](State s, Emit emit) {
          for (const model::SourceCounts& source : s.totals.sources) {
            for (const model::NamedCount& lost : source.lost) emit({{"source", source.name}, {"reason", lost.name}}, number(lost.count));
          }
        }},
    Row{"weir_agent_interfaces", Kind::kGauge, "", "Interfaces of pods that are watched.",
        [](State s, Emit emit) { emit({}, number(s.interfaces)); }},

    Row{"weir_agent_connections_open", Kind::kGauge, "", "Connections that are open now, as the source meters them.",
        [](State s, Emit emit) { emit({}, number(s.totals.feed.open)); }},
    Row{"weir_agent_connections_total", Kind::kCounter, "", "Connections that got their context: names, service, policies.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.collect.connections)); }},
    Row{"weir_agent_connections_denied_total", Kind::kCounter, "", "Connections that policy denied.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.collect.denied_connections)); }},
    Row{"weir_agent_connections_not_local_total", Kind::kCounter, "", "Connections without a pod of this node, which are not reported.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.collect.not_local)); }},
    Row{"weir_agent_identity_moves_total", Kind::kCounter, "", "Connections that went on under another identity, as their address was used anew.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.collect.identity_moves)); }},
    Row{"weir_agent_flows_dropped_total", Kind::kCounter, "reason", "Connections and reports that were dropped behind the sources.",
        [](State s, Emit emit) {
          for (const model::NamedCount& count : reports_dropped(s.totals)) emit({{"reason", count.name}}, number(count.count));
        }},

    Row{"weir_agent_verdicts_total", Kind::kCounter, "", "Verdicts that the data plane told.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.collect.dataplane_verdicts)); }},
    Row{"weir_agent_verdict_mismatches_total", Kind::kCounter, "", "Verdicts of the data plane that policy evaluation sees otherwise.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.collect.verdict_mismatches)); }},
    Row{"weir_agent_verdict_moves_total", Kind::kCounter, "trace", "Open flows that were ended and started anew as their verdict changed: `enforced` by the data plane, `pending` by changed policies.",
        [](State s, Emit emit) {
          emit({{"trace", "enforced"}}, number(s.totals.node.collect.verdict_moves));
          emit({{"trace", "pending"}}, number(s.totals.node.collect.pending_moves));
        }},
    Row{"weir_agent_verdicts_unmatched_total", Kind::kCounter, "", "Verdicts of connections that no source told of in time.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.hits_unmatched)); }},

    Row{"weir_agent_flow_keys", Kind::kGauge, "", "Keys of the current window, each of which becomes a record.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.flow_keys)); }},
    Row{"weir_agent_flows_widened_total", Kind::kCounter, "", "Reports that were aggregated more than asked for, to keep the budget of keys.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.aggregate.widened)); }},
    Row{"weir_agent_flows_excluded_total", Kind::kCounter, "", "Reports that an exclude filter left out.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.aggregate.excluded)); }},
    Row{"weir_agent_budget_step", Kind::kGauge, "", "Steps of less work that the CPU budget asks for now; 0: as configured.",
        [](State s, Emit emit) { emit({}, s.budget_step); }},
    Row{"weir_agent_windows_total", Kind::kCounter, "", "Windows that were closed.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.windows)); }},
    Row{"weir_agent_records_total", Kind::kCounter, "log", "Records that closed windows gave.",
        [](State s, Emit emit) {
          emit({{"log", "flows"}}, number(s.totals.node.flow_records));
          emit({{"log", "dns"}}, number(s.totals.node.dns_records));
          emit({{"log", "l7"}}, number(s.totals.node.l7_records));
        }},

    Row{"weir_agent_log_lines_total", Kind::kCounter, "log", "Lines written.",
        [](State s, Emit emit) { per_log(s, emit, [](const flowlog::LogFileStats& log) { return number(log.lines_written); }); }},
    Row{"weir_agent_log_bytes_total", Kind::kCounter, "log", "Bytes written.",
        [](State s, Emit emit) { per_log(s, emit, [](const flowlog::LogFileStats& log) { return number(log.bytes_written); }); }},
    Row{"weir_agent_log_lines_dropped_total", Kind::kCounter, "log", "Lines that no disk took.",
        [](State s, Emit emit) { per_log(s, emit, [](const flowlog::LogFileStats& log) { return number(log.lines_dropped); }); }},
    Row{"weir_agent_log_rotations_total", Kind::kCounter, "log", "Times that a log was rotated.",
        [](State s, Emit emit) { per_log(s, emit, [](const flowlog::LogFileStats& log) { return number(log.rotations); }); }},
    Row{"weir_agent_log_failing", Kind::kGauge, "log", "1 while a log cannot be written and its lines wait in memory.",
        [](State s, Emit emit) { per_log(s, emit, [](const flowlog::LogFileStats& log) { return log.failing ? 1.0 : 0.0; }); }},

    Row{"weir_agent_dns_queries_total", Kind::kCounter, "", "DNS queries that were seen.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.dns.queries)); }},
    Row{"weir_agent_dns_timeouts_total", Kind::kCounter, "", "DNS queries that nobody answered in time.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.dns.timeouts)); }},
    Row{"weir_agent_dns_malformed_total", Kind::kCounter, "", "DNS messages with damage; what could be read of them is used.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.dns.malformed)); }},
    Row{"weir_agent_http_requests_total", Kind::kCounter, "", "HTTP requests that were seen.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.http.requests)); }},

    Row{"weir_agent_cluster_synced", Kind::kGauge, "", "1 once all objects of the cluster were known, 0 before, or without a cluster.",
        [](State s, Emit emit) { emit({}, s.cluster.configured && s.cluster.synced ? 1 : 0); }},
    Row{"weir_agent_cluster_objects", Kind::kGauge, "kind", "Objects that are known; pods that are gone count too.",
        [](State s, Emit emit) {
          emit({{"kind", "Pod"}}, number(s.cluster.pods));
          emit({{"kind", "Namespace"}}, number(s.cluster.namespaces));
          emit({{"kind", "NetworkPolicy"}}, number(s.cluster.network_policies));
        }},
    Row{"weir_agent_policy_engine_builds_total", Kind::kCounter, "", "Times that the policies were compiled, as they or the pods changed.",
        [](State s, Emit emit) { emit({}, number(s.totals.node.engines)); }},
    Row{"weir_agent_policy_engine_build_seconds_total", Kind::kCounter, "", "Time that took.",
        [](State s, Emit emit) { emit({}, static_cast<double>(s.totals.node.engine_ns) / 1e9); }},

    Row{"weir_agent_cpu_seconds_total", Kind::kCounter, "mode", "CPU time of the agent: `user`, `system`.",
        [](State s, Emit emit) {
          emit({{"mode", "user"}}, s.cost.cpu_user_seconds);
          emit({{"mode", "system"}}, s.cost.cpu_system_seconds);
        }},
    Row{"weir_agent_resident_memory_bytes", Kind::kGauge, "", "Resident memory of the agent.",
        [](State s, Emit emit) { emit({}, number(s.cost.rss_bytes)); }},
};
// clang-format on

}  // namespace

void publish_metrics(const AgentState& state, metrics::Registry& registry) {
  for (const Row& row : kRows) {
    row.series(state, [&](const Labels& labels, double value) {
      metrics::Value& series = row.kind == Kind::kCounter ? registry.counter(row.name, row.help, labels)
                                                          : registry.gauge(row.name, row.help, labels);
      series.set(value);
    });
  }
  publish_destinations(state.destinations, registry);
}

std::string metrics_markdown() {
  std::string text =
      "# Metrics\n\n"
      "`weir agent` serves them at `http://127.0.0.1:9081/metrics` (option `metrics_address`, loopback only) in "
      "Prometheus' text format, as they\nwere at its last drain, a second ago at most. This page is made from the "
      "table "
      "in `src/app/agent_metrics.cc`; `./dev golden` rewrites it.\n\n"
      "| metric | type | labels | meaning |\n|---|---|---|---|\n";
  for (const Row& row : kRows) {
    text.append("| `").append(row.name).append(row.kind == Kind::kCounter ? "` | counter | " : "` | gauge | ");
    text.append(row.labels).append(" | ").append(row.help).append(" |\n");
  }
  for (const ShipMetric& metric : ship_metrics()) {
    text.append("| `").append(metric.name).append(metric.counter ? "` | counter | " : "` | gauge | ");
    text.append("destination, kind | ").append(metric.help).append(" |\n");
  }
  text +=
      "\n`weir ship` serves the `weir_ship_` ones too (`--metrics ADDRESS`). What to alert on: any rise of "
      "`weir_agent_source_lost_total`, `weir_agent_flows_dropped_total`, "
      "`weir_agent_log_lines_dropped_total` or `weir_ship_bytes_lost_total`;\n`weir_agent_log_failing` or "
      "`weir_agent_budget_step` above 0 for long; "
      "`weir_agent_cluster_synced` 0; a rise of `weir_agent_verdict_mismatches_total`,\nwhich says that what the data "
      "plane enforces is not what the policies say. [troubleshooting.md](troubleshooting.md) has what then.\n";
  return text;
}

}  // namespace weir::app
