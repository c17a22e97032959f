#include "app/demo_lines.h"

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <optional>
#include <span>

#include "base/text_table.h"
#include "model/connection.h"
#include "model/protocol.h"

namespace weir::app {
namespace {

constexpr std::string_view kRed = "31", kGreen = "32", kYellow = "33", kCyan = "36", kBold = "1";
/// Clients of one record that are listed; the others are counted.
constexpr std::size_t kShownClients = 3;
/// Wide enough for most names of "namespace/workload", and of "service:port".
constexpr std::size_t kNameWidth = 38, kServiceWidth = 27;

/// Cut to the style's width, or the widest, and padded.
void append_name(std::string& out, std::string_view name, std::size_t widest, const LineStyle& style) {
  const std::size_t width = style.name_width == 0 ? widest : std::min(style.name_width, widest);
  if (style.name_width != 0 && name.size() > width) {
    out.append(name.substr(0, width - 1)).append("…  ");
    return;
  }
  out.append(name).append(name.size() < width ? width - name.size() : 0, ' ').append("  ");
}

void append_cell(std::string& out, std::string_view text, std::size_t width) {
  out.append(text).append(text.size() < width ? width - text.size() : 0, ' ').append("  ");
}

void append_number(std::string& out, std::string_view text, std::size_t width) {
  out.append(text.size() < width ? width - text.size() : 0, ' ').append(text).append("  ");
}

std::string service_text(const model::FlowRecord& record) {
  if (record.dest_service_name == "-") return "-";
  return std::string(record.dest_service_name) + ":" + std::to_string(record.dest_service_port_num);
}

std::string port_text(const model::FlowRecord& record) {
  const std::string protocol = model::protocol_name(record.protocol);
  const bool has_port = record.protocol == model::kProtoTcp || record.protocol == model::kProtoUdp;
  return has_port && record.dest_port ? protocol + "/" + std::to_string(*record.dest_port) : protocol;
}

std::string_view text_of(const simdjson::dom::element& line, const char* key) {
  std::string_view text = "-";
  if (line[key].get(text) != simdjson::SUCCESS) return "-";
  return text;
}

std::uint64_t number_of(const simdjson::dom::element& line, const char* key) {
  std::uint64_t number = 0;
  return line[key].get(number) == simdjson::SUCCESS ? number : 0;
}

}  // namespace

std::string coloured(const LineStyle& style, std::string_view colour, std::string_view text) {
  if (!style.colour) return std::string(text);
  return "\x1b[" + std::string(colour) + "m" + std::string(text) + "\x1b[0m";
}

std::string clock_text(std::int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm local{};
  ::localtime_r(&time, &local);
  char text[16];
  std::strftime(text, sizeof text, "%H:%M:%S", &local);
  return text;
}

std::string flow_header(const LineStyle& style) {
  std::string line;
  append_cell(line, "TIME", 8);
  append_cell(line, "VERDICT", 7);
  append_cell(line, "BY", 3);
  append_name(line, "SOURCE", kNameWidth, style);
  append_name(line, "DESTINATION", kNameWidth, style);
  append_name(line, "SERVICE", kServiceWidth, style);
  append_cell(line, "PORT", 9);
  append_number(line, "FLOWS", 5);
  append_number(line, "BYTES", 6);
  append_cell(line, "OUTCOME", 11);
  return coloured(style, kBold, line + "RULE");
}

bool has_news(const model::FlowRecord& record) {
  return record.num_flows_started > 0 || record.packets_in + record.packets_out > 0;
}

std::string flow_line(const model::FlowRecord& record, const LineStyle& style) {
  const bool denied = record.action == "deny";
  std::string line;
  append_cell(line, clock_text(record.end_time), 8);
  std::string verdict;
  append_cell(verdict, record.action, 7);
  line += coloured(style, denied ? kRed : kGreen, verdict);
  append_cell(line, record.reporter, 3);
  append_name(line, source_text(record), kNameWidth, style);
  append_name(line, dest_text(record), kNameWidth, style);
  append_name(line, service_text(record), kServiceWidth, style);
  append_cell(line, port_text(record), 9);
  append_number(line, std::to_string(record.num_flows), 5);
  append_number(line, short_count(record.bytes_in + record.bytes_out), 6);
  append_cell(line, outcome_text(record), 11);
  line += denied ? coloured(style, kRed, "denied: " + rule_text(record)) : rule_text(record);
  if (!record.original_source_ips.empty()) {
    line += coloured(style, kCyan,
                     "  client " + observe::addresses_text(record.original_source_ips, record.num_original_source_ips,
                                                           kShownClients));
  }
  return line;
}

Result<Lookup> read_lookup(std::string_view text) {
  simdjson::dom::parser parser;
  simdjson::dom::element line;
  if (const auto error = parser.parse(text.data(), text.size()).get(line); error != simdjson::SUCCESS) {
    return data_loss(std::string("dns.log: ") + simdjson::error_message(error));
  }
  Lookup lookup;
  lookup.end_time = static_cast<std::int64_t>(number_of(line, "end_time"));
  lookup.count = number_of(line, "count");
  lookup.unlogged = text_of(line, "type") == "UNLOGGED";
  const std::string_view namespace_name = text_of(line, "client_namespace");
  lookup.client = text_of(line, "client_name_aggr");
  if (namespace_name != "-") lookup.client.insert(0, std::string(namespace_name) + "/");
  lookup.name = text_of(line, "qname");
  lookup.type = text_of(line, "qtype");
  lookup.rcode = text_of(line, "rcode");
  lookup.latency_count = number_of(line, "latency_count");
  lookup.mean_latency_ns = number_of(line, "latency_mean");
  return lookup;
}

std::string lookup_line(const Lookup& lookup, const LineStyle& style) {
  std::string line;
  append_cell(line, clock_text(lookup.end_time), 8);
  std::string kind;
  append_cell(kind, "dns", 7);
  line += coloured(style, kCyan, kind);
  if (lookup.unlogged) return line + std::to_string(lookup.count) + " lookups above the limit";
  append_cell(line, "", 3);
  append_name(line, lookup.client, kNameWidth, style);
  const std::string question = lookup.name + " " + lookup.type;
  line += question + "  ";
  line += lookup.rcode == "NoError" ? lookup.rcode : coloured(style, kYellow, lookup.rcode);
  line += "  x" + std::to_string(lookup.count);
  if (lookup.latency_count > 0) {
    char latency[32];
    std::snprintf(latency, sizeof latency, "  %.2f ms", static_cast<double>(lookup.mean_latency_ns) / 1e6);
    line += latency;
  }
  return line;
}

}  // namespace weir::app
