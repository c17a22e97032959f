#include "app/replay_stats.h"

#include "base/json.h"

namespace weir::app {
namespace {

/// Writes nested objects of numbers, one value a line.
class Writer {
 public:
  void open(const char* name) {
    key(name);
    text_ += "{";
    ++depth_;
    first_ = true;
  }
  void close() {
    --depth_;
    line();
    text_ += "}";
    first_ = false;
  }
  void number(const char* name, std::uint64_t value) {
    key(name);
    json::append_uint(text_, value);
  }
  std::string finish() && {
    text_ += "\n}\n";
    return std::move(text_);
  }

 private:
  void line() { text_ += "\n" + std::string(static_cast<std::size_t>(depth_) * 2, ' '); }
  void key(const char* name) {
    if (!first_) text_ += ",";
    first_ = false;
    line();
    json::append_string(text_, name);
    text_ += ": ";
  }

  std::string text_ = "{";
  int depth_ = 1;
  bool first_ = true;
};

void write_input(Writer& out, const ReplayStats& stats) {
  out.open("input");
  out.number("files", stats.files);
  out.number("damaged_files", stats.damaged_files);
  out.number("packets", stats.frames);
  out.number("bytes", stats.wire_bytes);
  out.close();
  out.open("packets");
  out.number("metered", stats.meter.packets);
  out.number("metered_ip_bytes", stats.meter.bytes);
  out.number("tunnelled", stats.decode.tunnelled);
  out.number("later_fragments", stats.decode.later_fragments);
  out.number("orphan_fragments", stats.decode.orphan_fragments);
  out.number("transport_unreadable", stats.decode.transport_unreadable);
  out.open("not_metered");
  for (std::size_t i = 1; i < packet::kDecodeStatuses; ++i) {
    out.number(packet::to_string(static_cast<packet::DecodeStatus>(i)), stats.decode.frames[i]);
  }
  out.close();
  out.close();
}

void write_connections(Writer& out, const ReplayStats& stats) {
  out.open("flows");
  out.number("started", stats.meter.started);
  out.number("open", stats.meter.open);
  out.number("timed_out", stats.meter.timed_out);
  out.number("replaced", stats.meter.replaced);
  out.number("evicted", stats.meter.evicted);
  out.number("denied", stats.node.collect.denied_connections);
  out.number("identity_moves", stats.node.collect.identity_moves);
  out.number("reports", stats.node.collect.reports);
  out.open("not_reported");
  out.number("not_local", stats.node.collect.not_local);
  out.number("not_local_packets", stats.node.collect.not_local_packets);
  out.number("not_local_bytes", stats.node.collect.not_local_bytes);
  out.number("excluded_reports", stats.node.aggregate.excluded);
  out.number("dropped_reports", stats.node.aggregate.dropped);
  out.close();
  out.number("widened_reports", stats.node.aggregate.widened);
  out.number("addresses_not_held", stats.node.aggregate.addresses_not_held);
  out.number("domains_dropped", stats.node.domains_dropped);
  out.close();
}

void write_l7(Writer& out, const ReplayStats& stats) {
  out.open("dns");
  out.number("queries", stats.node.dns.queries);
  out.number("responses", stats.node.dns.responses);
  out.number("timeouts", stats.node.dns.timeouts);
  out.number("unpaired_responses", stats.node.dns.unpaired_responses);
  out.number("malformed", stats.node.dns.malformed);
  out.number("not_dns", stats.node.dns.not_dns);
  out.number("no_question", stats.node.dns.no_question);
  out.number("multicast", stats.node.dns.multicast);
  out.open("dropped");
  out.number("pending", stats.node.dns.dropped_pending);
  out.number("tcp_connections", stats.node.dns.dropped_tcp_connections);
  out.number("fragments", stats.node.dns.dropped_fragments);
  out.number("unlogged", stats.node.dns_unlogged);
  out.close();
  out.close();
  out.open("http");
  out.number("requests", stats.node.http.requests);
  out.number("responses", stats.node.http.responses);
  out.number("connections", stats.node.http.http_connections);
  out.number("gaps", stats.node.http.gaps);
  out.open("dropped");
  out.number("connections", stats.node.http.dropped_connections);
  out.number("unlogged", stats.node.l7_unlogged);
  out.close();
  out.close();
}

}  // namespace

std::vector<std::string> loss_notes(const ReplayStats& stats) {
  std::vector<std::string> notes;
  const auto note = [&](std::uint64_t count, const char* text) {
    if (count > 0) notes.push_back(std::to_string(count) + " " + text);
  };
  const auto frames = [&](packet::DecodeStatus status) {
    return stats.decode.frames[static_cast<std::size_t>(status)];
  };
  note(frames(packet::DecodeStatus::kUnknownLinkType), "packets of a link type that is not read");
  note(frames(packet::DecodeStatus::kTruncated),
       "packets captured too short to meter: capture more of each (snap length)");
  note(frames(packet::DecodeStatus::kMalformed), "packets with a malformed IP header");
  note(stats.meter.evicted, "connections ended early: raise max_connections");
  note(stats.node.aggregate.widened, "reports aggregated more than asked for: raise max_flow_keys");
  note(stats.node.aggregate.dropped, "reports dropped: raise max_flow_keys");
  note(stats.node.collect.not_local, "connections with no local pod at either end were not reported");
  note(stats.node.dns.dropped_pending + stats.node.dns.dropped_tcp_connections + stats.node.dns.dropped_fragments,
       "DNS messages not looked at: too many at once");
  note(stats.node.dns_unlogged, "DNS lookups beyond the log's limit were only counted: raise dns_limit");
  note(stats.node.http.dropped_connections, "connections not searched for HTTP: too many at once");
  note(stats.node.l7_unlogged, "requests beyond the log's limit were only counted: raise l7_limit");
  note(stats.node.domains_dropped, "DNS answers not remembered: too many at once");
  return notes;
}

std::string to_json(const ReplayStats& stats) {
  Writer out;
  write_input(out, stats);
  write_connections(out, stats);
  write_l7(out, stats);
  out.open("records");
  out.number("windows", stats.node.windows);
  out.number("flows", stats.node.flow_records);
  out.number("dns", stats.node.dns_records);
  out.number("l7", stats.node.l7_records);
  out.close();
  return std::move(out).finish();
}

}  // namespace weir::app
