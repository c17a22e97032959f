#include "app/agent_report.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

#include "flowlog/agent_log.h"

namespace weir::app {
namespace {

using model::NamedCount;

double seconds(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }

std::uint64_t resident_bytes() {
  // Second number: resident pages.
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long size = 0, resident = 0;
  const int read = std::fscanf(file, "%llu %llu", &size, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

/// A count that went back began anew: all of it is of this window.
std::uint64_t since(std::uint64_t now, std::uint64_t before) { return now >= before ? now - before : now; }

void subtract(std::vector<NamedCount>& counts, const std::vector<NamedCount>& before) {
  for (NamedCount& count : counts) {
    for (const NamedCount& old : before) {
      if (old.name == count.name) count.count = since(count.count, old.count);
    }
  }
}

model::AgentWindow window_of(const AgentTotals& totals) {
  const NodeStats& node = totals.node;
  model::AgentWindow w;
  w.version = WEIR_VERSION;
  w.sources = totals.sources;
  w.flows_dropped = reports_dropped(totals);
  w.records_written = {{"flows", node.flow_records}, {"dns", node.dns_records}, {"l7", node.l7_records}};
  for (const AgentLogs::File& log : totals.logs) {
    if (log.file != nullptr) w.lines_dropped.push_back({log.name, log.file->stats().lines_dropped});
  }
  w.records_excluded = node.aggregate.excluded;
  w.flows_widened = node.aggregate.widened;
  w.open_connections = totals.feed.open;
  const AgentCost cost = agent_cost();
  w.cpu_user_seconds = cost.cpu_user_seconds;
  w.cpu_system_seconds = cost.cpu_system_seconds;
  w.rss_bytes = cost.rss_bytes;
  return w;
}

}  // namespace

std::vector<NamedCount> reports_dropped(const AgentTotals& totals) {
  std::vector<NamedCount> dropped = totals.feed.dropped;
  dropped.push_back({"no_key", totals.node.aggregate.dropped});
  dropped.push_back({"hits_no_room", totals.node.hits_dropped});
  return dropped;
}

AgentCost agent_cost() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {seconds(usage.ru_utime), seconds(usage.ru_stime), resident_bytes()};
}

void AgentReport::write(const AgentTotals& totals, std::int64_t start_s, std::int64_t end_s, std::string& out) {
  model::AgentWindow now = window_of(totals);
  model::AgentWindow window = now;
  window.node = node_;
  window.start_time = start_s;
  window.end_time = end_s;
  for (model::SourceCounts& source : window.sources) {
    for (const model::SourceCounts& old : before_.sources) {
      if (old.name != source.name) continue;
      source.events = since(source.events, old.events);
      source.packets = since(source.packets, old.packets);
      subtract(source.lost, old.lost);
    }
  }
  subtract(window.flows_dropped, before_.flows_dropped);
  subtract(window.records_written, before_.records_written);
  subtract(window.lines_dropped, before_.lines_dropped);
  window.records_excluded = since(window.records_excluded, before_.records_excluded);
  window.flows_widened = since(window.flows_widened, before_.flows_widened);
  window.cpu_user_seconds -= before_.cpu_user_seconds;
  window.cpu_system_seconds -= before_.cpu_system_seconds;
  cpu_seconds_ = window.cpu_user_seconds + window.cpu_system_seconds;
  flowlog::append_agent_line(out, window);
  before_ = std::move(now);
}

}  // namespace weir::app
