#include "app/demo_summary.h"

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "base/text_table.h"

namespace weir::app {
namespace {

namespace dom = simdjson::dom;

template <typename T>
T value_of(const dom::element& object, const char* key) {
  T value{};
  return object[key].get(value) == simdjson::SUCCESS ? value : T{};
}

}  // namespace

void DemoSummary::add_flow(const model::FlowRecord& record, std::size_t bytes) {
  ++records_;
  bytes_ += bytes;
  flows_ += record.num_flows;
  if (record.action == "deny") ++denied_records_;
}

void DemoSummary::add_lookup(const Lookup& lookup) {
  ++lookup_records_;
  lookups_ += lookup.count;
  if (!lookup.unlogged && lookup.rcode != "NoError") failed_lookups_ += lookup.count;
}

void DemoSummary::add_agent_line(const std::string& node, std::string_view text) {
  dom::parser parser;
  dom::element line;
  if (parser.parse(text.data(), text.size()).get(line) != simdjson::SUCCESS) return;
  Node& totals = nodes_[node];
  totals.cpu_seconds += value_of<double>(line, "cpu_user_seconds") + value_of<double>(line, "cpu_system_seconds");
  totals.rss_bytes = std::max(totals.rss_bytes, value_of<std::uint64_t>(line, "rss_bytes"));
  if (totals.start == 0) totals.start = value_of<std::int64_t>(line, "start_time");
  totals.end = value_of<std::int64_t>(line, "end_time");
  dom::array sources;
  if (line["sources"].get(sources) != simdjson::SUCCESS) return;
  for (const dom::element source : sources) {
    const std::string name(value_of<std::string_view>(source, "name"));
    dom::array all;
    if (source["lost"].get(all) != simdjson::SUCCESS) continue;
    for (const dom::element lost : all) {
      if (const auto count = value_of<std::uint64_t>(lost, "count"); count > 0) {
        lost_[name + " " + std::string(value_of<std::string_view>(lost, "name"))] += count;
      }
    }
  }
}

std::string DemoSummary::to_string() const {
  char line[256];
  std::string text = "Summary\n";
  const double mean = records_ == 0 ? 0 : static_cast<double>(bytes_) / static_cast<double>(records_);
  std::snprintf(line, sizeof line, "  flows     %" PRIu64 " records, %" PRIu64 " of them denied\n", records_,
                denied_records_);
  text += line;
  std::snprintf(line, sizeof line, "  dns       %" PRIu64 " lookups in %" PRIu64 " records, %" PRIu64 " failed\n",
                lookups_, lookup_records_, failed_lookups_);
  text += line;
  std::snprintf(line, sizeof line,
                "  size      flows.log %sB; without aggregation %" PRIu64 " records, about %sB: %.1f times as much\n",
                short_count(bytes_).c_str(), flows_,
                short_count(static_cast<std::uint64_t>(mean * static_cast<double>(flows_))).c_str(),
                records_ == 0 ? 1.0 : static_cast<double>(flows_) / static_cast<double>(records_));
  text += line;
  text += "  lost     ";
  if (lost_.empty()) text += " nothing";
  for (const auto& [what, count] : lost_) text += " " + what + " " + std::to_string(count);
  text += '\n';
  for (const auto& [name, node] : nodes_) {
    const auto seconds = static_cast<double>(std::max<std::int64_t>(node.end - node.start, 1));
    std::snprintf(line, sizeof line, "  cost      %s: %.1f %% of a core, %sB of memory\n", name.c_str(),
                  100 * node.cpu_seconds / seconds, short_count(node.rss_bytes).c_str());
    text += line;
  }
  return text;
}

}  // namespace weir::app
