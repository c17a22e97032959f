#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/flow_record.h"

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

/// "shop/frontend", "known-scanners 203.0.113.99", "api.example (198.51.100.20)", "pub 203.0.113.50 +2".
std::string source_text(const model::FlowRecord& record);
std::string dest_text(const model::FlowRecord& record);
/// Of the last enforced entry, in words: "shop/frontend rule 0", "shop/default-deny: no rule allows it", "no policy".
std::string rule_text(const model::FlowRecord& record);
/// "established", "refused", "unanswered", joined by '+'; "open" if none is known yet.
std::string outcome_text(const model::FlowRecord& record);

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
