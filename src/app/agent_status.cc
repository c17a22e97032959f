#include "app/agent_status.h"

#include "base/json_writer.h"

namespace weir::app {
namespace {

void write_seconds(JsonWriter& w, std::string_view name, std::int64_t ns) {
  w.real(name, static_cast<double>(ns) / 1e9);
}

void write_counts(JsonWriter& w, std::string_view name, const std::vector<model::NamedCount>& counts) {
  w.open(name, '{');
  for (const model::NamedCount& count : counts) w.number(count.name, count.count);
  w.close('}');
}

void write_sources(JsonWriter& w, const AgentState& state) {
  w.open("sources", '[');
  for (const SourceChoice& choice : state.choices) {
    w.open('{');
    w.text("name", choice.source);
    w.truth("used", choice.used);
    w.text("reason", choice.reason);
    for (const model::SourceCounts& counts : state.totals.sources) {
      if (counts.name != choice.source) continue;
      w.number("events", counts.events);
      w.number("packets", counts.packets);
      write_counts(w, "lost", counts.lost);
    }
    w.close('}');
  }
  w.close(']');
}

void write_cluster(JsonWriter& w, const AgentState::Cluster& cluster) {
  w.open("cluster", '{');
  w.text("source", cluster.source);
  w.truth("synced", cluster.configured && cluster.synced);
  w.number("pods", cluster.pods);
  w.number("namespaces", cluster.namespaces);
  w.number("network_policies", cluster.network_policies);
  if (!cluster.api.url.empty()) {
    w.truth("reachable", cluster.api.reachable);
    w.text("last_error", cluster.api.last_error);
    w.open("kinds", '[');
    for (const kube::KindStatus& kind : cluster.api.kinds) {
      w.open('{');
      w.text("name", kind.name);
      w.text("state", kube::to_string(kind.state));
      w.number("objects", kind.objects);
      w.text("last_error", kind.last_error);
      w.close('}');
    }
    w.close(']');
  }
  w.close('}');
}

void write_logs(JsonWriter& w, const AgentState& state) {
  w.open("logs", '[');
  for (const AgentLogs::File& log : state.totals.logs) {
    if (log.file == nullptr) continue;
    const flowlog::LogFileStats& stats = log.file->stats();
    w.open('{');
    w.text("name", log.name);
    w.text("path", log.file->path());
    w.number("size_bytes", log.file->size());
    w.number("lines_written", stats.lines_written);
    w.number("lines_dropped", stats.lines_dropped);
    w.number("rotations", stats.rotations);
    w.truth("failing", stats.failing);
    w.close('}');
  }
  w.close(']');
}

void write_flows(JsonWriter& w, const AgentState& state) {
  const NodeStats& node = state.totals.node;
  w.open("window", '{');
  write_seconds(w, "start_time", state.window_start_ns);
  write_seconds(w, "interval_seconds", state.interval_ns);
  w.number("closed", node.windows);
  w.number("keys", node.flow_keys);
  w.close('}');
  w.open("connections", '{');
  w.number("open", state.totals.feed.open);
  w.number("seen", node.collect.connections);
  w.number("denied", node.collect.denied_connections);
  write_counts(w, "dropped", reports_dropped(state.totals));
  w.number("widened", node.aggregate.widened);
  w.number("excluded", node.aggregate.excluded);
  w.close('}');
  w.open("verdicts", '{');
  w.number("told", node.collect.dataplane_verdicts);
  w.number("mismatches", node.collect.verdict_mismatches);
  w.close('}');
}

}  // namespace

std::string status_json(const AgentState& state, double cpu_percent) {
  std::string out;
  JsonWriter w(out);
  w.open('{');
  w.text("node", state.node);
  w.text("version", WEIR_VERSION);
  w.text("kernel", state.kernel);
  write_seconds(w, "start_time", state.started_ns);
  write_seconds(w, "uptime_seconds", state.now_ns - state.started_ns);
  write_sources(w, state);
  w.number("interfaces", state.interfaces);
  write_cluster(w, state.cluster);
  write_flows(w, state);
  write_logs(w, state);
  w.open("cost", '{');
  w.real("cpu_percent", cpu_percent);
  w.real("cpu_seconds", state.cost.cpu_user_seconds + state.cost.cpu_system_seconds);
  w.number("rss_bytes", state.cost.rss_bytes);
  w.number("budget_step", state.budget_step);
  w.close('}');
  w.open("capabilities", '[');
  for (const std::string& name : capability_names(state.capabilities)) w.item(name);
  w.close(']');
  w.close('}');
  return out + '\n';
}

}  // namespace weir::app
