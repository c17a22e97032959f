// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cinttypes>
#include <cstdio>
#include <vector>

#include "app/agent_status.h"
#include "base/duration.h"
#include "base/text_table.h"

namespace weir::app {
namespace {

namespace dom = simdjson::dom;
using Element = simdjson::simdjson_result<dom::element>;

template <typename T>
T value_of(Element element, T absent = T{}) {
  T value{};
  return element.get(value) == simdjson::SUCCESS ? value : absent;
}
std::string text_of(Element element) { return std::string(value_of<std::string_view>(element, "-")); }
std::uint64_t number_of(Element element) { return value_of<std::uint64_t>(element); }
/// Also of a whole number.
double real_of(Element element) { return value_of<double>(element); }

/// Items of a list that may be absent: an empty value must not be walked through.
std::vector<dom::element> items(Element list) {
  dom::array array;
  std::vector<dom::element> found;
  if (list.get(array) != simdjson::SUCCESS) return found;
  for (const dom::element item : array) found.push_back(item);
  return found;
}

void add_row(std::string& out, const char* name, const std::string& value) {
  char label[32];
  std::snprintf(label, sizeof label, "%-13s", name);
  out.append(label).append(value).append("\n");
}

std::string joined(std::string list, const std::string& item) { return list.empty() ? item : list + ", " + item; }

/// "map_full_packets 3, dns_ring_full 1"; empty: none above 0.
std::string losses(Element counts) {
  std::string text;
  dom::object object;
  if (counts.get(object) != simdjson::SUCCESS) return text;
  for (const auto& [name, count] : object) {
    const std::uint64_t number = number_of(dom::element(count));
    if (number > 0) text = joined(text, std::string(name) + " " + std::to_string(number));
  }
  return text;
}

void add_sources(std::string& out, const dom::element& status) {
  std::string lost;
  for (const dom::element source : items(status["sources"])) {
    const std::string name = text_of(source["name"]);
    if (value_of<bool>(source["used"])) {
      const std::uint64_t packets = number_of(source["packets"]);
      add_row(out, "source",
              name + ": " + text_of(source["reason"]) + ", " + std::to_string(number_of(source["events"])) + " events" +
                  (packets > 0 ? ", " + std::to_string(packets) + " packets" : ""));
      const std::string of_source = losses(source["lost"]);
      if (!of_source.empty()) lost = joined(lost, name + " " + of_source);
    } else {
      add_row(out, "", "not " + name + ": " + text_of(source["reason"]));
    }
  }
  const Element connections = status["connections"];
  const std::string dropped = losses(connections["dropped"]);
  if (!dropped.empty()) lost = joined(lost, "after the sources " + dropped);
  for (const dom::element log : items(status["logs"])) {
    const std::uint64_t lines = number_of(log["lines_dropped"]);
    if (lines > 0) lost = joined(lost, text_of(log["name"]) + " log " + std::to_string(lines) + " lines");
  }
  add_row(out, "lost", lost.empty() ? "nothing" : lost);
  add_row(out, "connections",
          std::to_string(number_of(connections["open"])) + " open, " + std::to_string(number_of(connections["seen"])) +
              " seen, " + std::to_string(number_of(connections["denied"])) + " denied, at " +
              std::to_string(number_of(status["interfaces"])) + " interfaces");
  if (const std::uint64_t widened = number_of(connections["widened"]); widened > 0) {
    add_row(out, "", std::to_string(widened) + " reports aggregated more than asked for");
  }
  const Element verdicts = status["verdicts"];
  add_row(out, "verdicts",
          std::to_string(number_of(verdicts["told"])) + " from the data plane, " +
              std::to_string(number_of(verdicts["mismatches"])) + " of them not as the policies say");
}

void add_cluster(std::string& out, const dom::element& status) {
  const Element cluster = status["cluster"];
  add_row(out, "cluster",
          text_of(cluster["source"]) + (value_of<bool>(cluster["synced"]) ? ": " : ", not complete yet: ") +
              std::to_string(number_of(cluster["pods"])) + " pods, " +
              std::to_string(number_of(cluster["namespaces"])) + " namespaces, " +
              std::to_string(number_of(cluster["network_policies"])) + " network policies");
  for (const dom::element kind : items(cluster["kinds"])) {
    const std::string state = text_of(kind["state"]);
    if (state == "watching") continue;
    const std::string error = text_of(kind["last_error"]);
    add_row(out, "", text_of(kind["name"]) + ": " + state + (error.empty() ? "" : ", " + error));
  }
}

void add_logs(std::string& out, const dom::element& status) {
  const char* label = "logs";
  for (const dom::element log : items(status["logs"])) {
    add_row(out, label,
            text_of(log["path"]) + ": " + std::to_string(number_of(log["lines_written"])) + " lines, " +
                short_count(number_of(log["size_bytes"])) + "B" +
                (value_of<bool>(log["failing"]) ? ", CANNOT BE WRITTEN: lines wait in memory" : ""));
    label = "";
  }
}

std::chrono::seconds whole_seconds(double seconds) { return std::chrono::seconds(static_cast<std::int64_t>(seconds)); }

}  // namespace

Result<std::string> status_text(std::string_view json) {
  dom::parser parser;
  dom::element status;
  if (parser.parse(json.data(), json.size()).get(status) != simdjson::SUCCESS || !status.is_object()) {
    return data_loss("the answer is no JSON object");
  }
  std::string out;
  add_row(out, "node",
          text_of(status["node"]) + ", weir " + text_of(status["version"]) + ", " + text_of(status["kernel"]));
  add_row(out, "running", format_duration(whole_seconds(real_of(status["uptime_seconds"]))));
  add_sources(out, status);
  add_cluster(out, status);
  const Element window = status["window"];
  add_row(out, "window",
          format_duration(whole_seconds(real_of(window["interval_seconds"]))) + ", " +
              std::to_string(number_of(window["closed"])) + " closed, " + std::to_string(number_of(window["keys"])) +
              " keys now");
  add_logs(out, status);
  const Element cost = status["cost"];
  char text[128];
  std::snprintf(text, sizeof text, "%.1f %% of a core lately, %.1f s of CPU in all, %sB of memory",
                real_of(cost["cpu_percent"]), real_of(cost["cpu_seconds"]),
                short_count(number_of(cost["rss_bytes"])).c_str());
  add_row(out, "cost", text);
  if (const std::uint64_t step = number_of(cost["budget_step"]); step > 0) {
    add_row(out, "", "above its CPU budget: aggregation is " + std::to_string(step) + " levels wider than configured");
  }
  std::string capabilities;
  for (const dom::element name : items(status["capabilities"])) {
    capabilities = joined(capabilities, text_of(dom::element(name)));
  }
  add_row(out, "privileges", capabilities.empty() ? "none" : capabilities);
  return out;
}

}  // namespace weir::app
