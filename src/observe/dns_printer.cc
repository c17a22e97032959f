#include "observe/dns_printer.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "model/log_fields.h"

namespace weir::observe {
namespace {

constexpr std::size_t kShownAnswers = 3;

std::vector<std::string> columns_of(const PrintOptions& options) {
  if (!options.columns.empty() || options.format != Format::kCsv) return options.columns;
  std::vector<std::string> all;
  for (const model::LogField& field : model::log_fields(model::LogType::kDns)) all.emplace_back(field.name);
  return all;
}

std::string client_of(const model::DnsRecord& record, bool numeric) {
  if (numeric && record.client_ip) return record.client_ip->to_string();
  std::string name(record.client_name != "-" ? record.client_name : record.client_name_aggr);
  if (record.client_namespace != "-") name.insert(0, std::string(record.client_namespace) + "/");
  return name;
}

std::string milliseconds(std::uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f ms", static_cast<double>(ns) / 1e6);
  return text;
}

/// What it resolved to: "10.0.0.1, 10.0.0.2 +3".
std::string answer_of(const model::DnsRecord& record) {
  std::string text;
  std::size_t shown = 0, all = 0;
  for (const model::DnsRrset& rrset : record.rrsets) {
    for (const std::string& data : rrset.rdata) {
      if (++all > kShownAnswers) continue;
      text.append(shown++ > 0 ? ", " : "").append(data);
    }
  }
  if (all > shown) text += " +" + std::to_string(all - shown);
  return text.empty() ? "-" : text;
}

std::string servers_of(const model::DnsRecord& record) {
  if (record.servers.empty()) return "-";
  const model::DnsServer& first = record.servers.front();
  std::string text = first.name_aggr != "-" ? std::string(first.name_aggr) : first.ip.to_string();
  if (first.namespace_name != "-") text.insert(0, std::string(first.namespace_name) + "/");
  if (record.servers.size() > 1) text += " +" + std::to_string(record.servers.size() - 1);
  return text;
}

bool is_unlogged(const model::DnsRecord& record) { return record.type == "UNLOGGED"; }

std::vector<std::string> table_header(const PrintOptions& options) {
  std::vector<std::string> header{"TIMESTAMP"};
  if (options.node_name) header.emplace_back("NODE");
  for (const char* name : {"CLIENT", "NAME", "TYPE", "RCODE", "COUNT", "MEAN", "MAX", "ANSWER", "SERVER"}) {
    header.emplace_back(name);
  }
  return header;
}

}  // namespace

DnsPrinter::DnsPrinter(PrintOptions options)
    : options_(std::move(options)), columns_(columns_of(options_)), table_(table_header(options_)) {}

std::vector<std::pair<std::string, std::string>> DnsPrinter::cells_of(const model::DnsRecord& record,
                                                                      std::string_view node) const {
  const bool timed = record.latency_count > 0;
  std::vector<std::pair<std::string, std::string>> cells{{"TIMESTAMP", format_time(options_.time, record.start_time)}};
  if (options_.node_name) cells.emplace_back("NODE", node.empty() ? "-" : std::string(node));
  cells.insert(cells.end(), {{"CLIENT", is_unlogged(record) ? "-" : client_of(record, options_.numeric)},
                             {"NAME", is_unlogged(record) ? "not logged: above the limit" : std::string(record.qname)},
                             {"TYPE", std::string(record.qtype)},
                             {"RCODE", is_unlogged(record) ? "-" : std::string(record.rcode)},
                             {"COUNT", std::to_string(record.count)},
                             {"MEAN", timed ? milliseconds(record.latency_mean) : "-"},
                             {"MAX", timed ? milliseconds(record.latency_max) : "-"},
                             {"ANSWER", answer_of(record)},
                             {"SERVER", servers_of(record)}});
  return cells;
}

void DnsPrinter::print_compact(const model::DnsRecord& record, std::string_view node, std::string& out) const {
  out += format_time(options_.time, record.start_time);
  if (options_.node_name) out.append(" [").append(node.empty() ? "-" : node).append("]");
  out += ": ";
  if (is_unlogged(record)) {
    out += painted(options_.colour, kYellow, std::to_string(record.count) + " lookups above the limit were not logged");
    out += '\n';
    return;
  }
  const bool failed = record.rcode != "NoError";
  out.append(painted(options_.colour, kCyan, client_of(record, options_.numeric))).append(" -> ");
  out.append(servers_of(record)).append(" ").append(record.qname).append(" ").append(record.qtype).append(" ");
  out.append(painted(options_.colour, failed ? kRed : kGreen, record.rcode)).append(" (");
  out.append(std::to_string(record.count)).append(record.count == 1 ? " lookup" : " lookups");
  if (record.latency_count > 0) {
    out.append(", ").append(milliseconds(record.latency_mean)).append(" mean, ");
    out.append(milliseconds(record.latency_max)).append(" max");
  }
  const std::string answer = answer_of(record);
  out.append(answer == "-" ? "" : "; " + answer).append(")\n");
}

void DnsPrinter::begin(std::string& out) {
  if (options_.format != Format::kCsv) return;
  for (std::size_t i = 0; i < columns_.paths().size(); ++i) {
    if (i > 0) out += ',';
    append_csv_cell(out, columns_.paths()[i]);
  }
  out += "\r\n";
}

void DnsPrinter::print(const model::DnsRecord& record, std::string_view line, std::string_view node, std::string& out) {
  switch (options_.format) {
    case Format::kCompact:
      print_compact(record, node, out);
      break;
    case Format::kTable: {
      std::vector<std::string> row;
      for (auto& [name, value] : cells_of(record, node)) row.push_back(std::move(value));
      table_.add(std::move(row));
      break;
    }
    case Format::kDict:
      if (!first_) out += "------------\n";
      for (const auto& [name, value] : cells_of(record, node)) {
        out.append(9 - std::min<std::size_t>(9, name.size()), ' ').append(name).append(": ").append(value).append("\n");
      }
      break;
    case Format::kJson:
    case Format::kJsonpb:
      if (columns_.paths().empty() || !columns_.append_object(line, out).ok()) out += line;
      out += '\n';
      break;
    case Format::kCsv:
      if (columns_.append_csv(line, out).ok()) out += "\r\n";
      break;
  }
  first_ = false;
}

void DnsPrinter::end(std::string& out) {
  if (options_.format == Format::kTable && table_.rows() > 0) out += table_.to_string();
}

}  // namespace weir::observe
