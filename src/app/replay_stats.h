#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "aggregate/flow_aggregator.h"
#include "collect/collector.h"
#include "meter/dns_inspector.h"
#include "meter/http_inspector.h"
#include "meter/meter.h"
#include "packet/decoder.h"

namespace weir::app {

/// What a replay read, wrote and dropped: each stage's own counts, side by side.
struct ReplayStats {
  std::uint64_t files = 0, damaged_files = 0;
  /// Frames and their length on the wire.
  std::uint64_t frames = 0, wire_bytes = 0;
  packet::DecodeStats decode;
  meter::MeterStats meter;
  collect::CollectorStats collect;
  aggregate::AggregateStats aggregate;
  meter::DnsInspectorStats dns;
  meter::HttpInspectorStats http;
  std::uint64_t windows = 0;
  std::uint64_t flow_records = 0, dns_records = 0, l7_records = 0;
  std::uint64_t dns_unlogged = 0, l7_unlogged = 0, domains_dropped = 0;
};

/// One line for each thing that was lost or not reported, and what to do about it; none if nothing was.
std::vector<std::string> loss_notes(const ReplayStats& stats);

/// One JSON object, indented, with a newline at the end.
std::string to_json(const ReplayStats& stats);

}  // namespace weir::app
