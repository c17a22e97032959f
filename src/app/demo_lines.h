#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/flow_record.h"
#include "observe/flow_text.h"

namespace weir::app {

/// How lines for a person look.
struct LineStyle {
  bool colour = false;
  /// Names that are wider are cut with "…"; 0: never.
  std::size_t name_width = 0;
};

/// The columns of flow_line(), for a header.
std::string flow_header(const LineStyle& style);
/// One record as one line without newline: when its window ended (local time), verdict, who reports it, source,
/// destination, service, port, flows, bytes, outcome, the rule that decided, and the clients behind proxies if known.
std::string flow_line(const model::FlowRecord& record, const LineStyle& style);
/// Whether something happened: nothing did if its connections were open and silent.
bool has_news(const model::FlowRecord& record);

using observe::dest_text;
using observe::outcome_text;
using observe::rule_text;
using observe::source_text;

/// What a person sees of a line of dns.log.
struct Lookup {
  std::int64_t end_time = 0;
  std::string client, name, type, rcode;
  std::uint64_t count = 0, latency_count = 0, mean_latency_ns = 0;
  /// Lookups that were counted but not logged; then only count is there.
  bool unlogged = false;
};
Result<Lookup> read_lookup(std::string_view line);
std::string lookup_line(const Lookup& lookup, const LineStyle& style);

/// `text` in an ANSI colour ("31"), if the style wants it.
std::string coloured(const LineStyle& style, std::string_view colour, std::string_view text);
/// "15:04:05", local time.
std::string clock_text(std::int64_t unix_seconds);

}  // namespace weir::app
