#include "app/server_status.h"

#include <simdjson.h>

#include <cstdio>
#include <ctime>

#include "model/log_type.h"

namespace weir::app {
namespace {

std::uint64_t number_at(simdjson::dom::element object, std::string_view key) {
  std::uint64_t number = 0;
  return object[key].get(number) == simdjson::SUCCESS ? number : 0;
}

std::string time_text(std::uint64_t seconds) {
  if (seconds == 0) return "-";
  const auto time = static_cast<std::time_t>(seconds);
  std::tm local{};
  ::localtime_r(&time, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

}  // namespace

Result<std::string> server_status_text(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::element status, logs;
  std::string_view version;
  const simdjson::padded_string text(json);
  if (parser.parse(text).get(status) != simdjson::SUCCESS || status["version"].get(version) != simdjson::SUCCESS ||
      status["logs"].get(logs) != simdjson::SUCCESS) {
    return data_loss("the answer is not that of a Weir server");
  }
  char line[256];
  std::string out = "weir " + std::string(version) + ", since " + time_text(number_at(status, "started")) + "\n";
  std::snprintf(line, sizeof line, "disk %.1f MiB, of it write-ahead log %.1f MiB; %llu connections, %llu streams\n\n",
                mib(number_at(status, "disk_bytes")), mib(number_at(status, "wal_bytes")),
                static_cast<unsigned long long>(number_at(status, "connections")),
                static_cast<unsigned long long>(number_at(status, "streams")));
  out += line;
  out += "log            rows       MiB  oldest               since the start: stored  twice  refused\n";
  for (const std::string_view name : model::kLogTypeNames) {
    simdjson::dom::element log;
    if (logs[name].get(log) != simdjson::SUCCESS) continue;
    std::snprintf(line, sizeof line, "%-6s %12llu %9.1f  %-19s %24llu %6llu %8llu\n", std::string(name).c_str(),
                  static_cast<unsigned long long>(number_at(log, "hot_rows") + number_at(log, "segment_rows")),
                  mib(number_at(log, "segment_bytes")), time_text(number_at(log, "oldest")).c_str(),
                  static_cast<unsigned long long>(number_at(log, "rows_appended")),
                  static_cast<unsigned long long>(number_at(log, "lines_duplicate")),
                  static_cast<unsigned long long>(number_at(log, "lines_refused")));
    out += line;
  }
  return out;
}

}  // namespace weir::app
