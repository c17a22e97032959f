#include "observe/flow_printer.h"

#include <algorithm>

#include "model/log_fields.h"
#include "model/protocol.h"
#include "observe/flow_text.h"
#include "observe/hubble_json.h"

namespace weir::observe {
namespace {

std::vector<std::string> columns_of(const PrintOptions& options) {
  if (!options.columns.empty() || options.format != Format::kCsv) return options.columns;
  std::vector<std::string> all;
  for (const model::LogField& field : model::log_fields(model::LogType::kFlows)) {
    // Of two names of one field the newer.
    if (field.name == field.stored) all.emplace_back(field.name);
  }
  return all;
}

std::vector<std::string> table_header(const PrintOptions& options) {
  std::vector<std::string> header{"TIMESTAMP"};
  if (options.node_name) header.emplace_back("NODE");
  for (const char* name : {"SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"}) header.emplace_back(name);
  return header;
}

std::string protocol_text(std::uint8_t protocol) {
  std::string text = model::protocol_name(protocol);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return text;
}

/// Who saw it, as Hubble says where.
std::string_view type_text(const model::FlowRecord& record) {
  if (record.reporter == "src") return "from-endpoint";
  return record.reporter == "dst" ? "to-endpoint" : "forwarded";
}

}  // namespace

std::string painted(bool colour, std::string_view code, std::string_view text) {
  if (!colour) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

FlowPrinter::FlowPrinter(PrintOptions options)
    : options_(std::move(options)), columns_(columns_of(options_)), table_(table_header(options_)) {}

std::string FlowPrinter::time_text(std::int64_t seconds) {
  if (seconds != last_time_) {
    last_time_ = seconds;
    last_time_text_ = format_time(options_.time, seconds);
  }
  return last_time_text_;
}

std::string FlowPrinter::verdict(const model::FlowRecord& record) const {
  const bool denied = record.action == "deny";
  std::string text = painted(options_.colour, denied ? kRed : kGreen, verdict_text(record));
  if (is_audit(record)) text += " " + painted(options_.colour, kYellow, "AUDIT");
  return text;
}

std::string FlowPrinter::summary(const model::FlowRecord& record) const {
  std::string text = protocol_text(record.protocol) + "; " + std::to_string(record.num_flows) +
                     (record.num_flows == 1 ? " flow, " : " flows, ") +
                     short_count(record.bytes_in + record.bytes_out) + " bytes, " + outcome_text(record);
  if (!options_.policy_names) return text;
  if (const std::string rule = rule_text(record); rule != "-") text += "; BY " + rule;
  if (is_audit(record)) text += "; STAGED BY " + rule_text_of(record.policies.pending->entries.back());
  return text;
}

void FlowPrinter::print_compact(const model::FlowRecord& record, std::string_view node, std::string& out) {
  out += time_text(record.start_time);
  if (options_.node_name) out.append(" [").append(node.empty() ? "-" : node).append("]");
  out.append(": ").append(painted(options_.colour, kCyan, source_name(record, options_.numeric)));
  out.append(" -> ").append(painted(options_.colour, kCyan, dest_name(record, options_.numeric)));
  out.append(" ").append(type_text(record)).append(" ").append(verdict(record));
  out.append(" (").append(summary(record)).append(")\n");
}

void FlowPrinter::print_dict(const model::FlowRecord& record, std::string_view node, std::string& out) {
  if (!first_) out += "------------\n";
  const auto row = [&](const char* name, const std::string& value) {
    out.append(name).append(": ").append(value).append("\n");
  };
  row("  TIMESTAMP", time_text(record.start_time));
  if (options_.node_name) row("       NODE", std::string(node));
  row("     SOURCE", source_name(record, options_.numeric));
  row("DESTINATION", dest_name(record, options_.numeric));
  row("       TYPE", std::string(type_text(record)));
  row("    VERDICT", verdict(record));
  row("    SUMMARY", summary(record));
}

void FlowPrinter::add_row(const model::FlowRecord& record, std::string_view node) {
  std::vector<std::string> row{time_text(record.start_time)};
  if (options_.node_name) row.emplace_back(node);
  row.push_back(source_name(record, options_.numeric));
  row.push_back(dest_name(record, options_.numeric));
  row.emplace_back(type_text(record));
  row.push_back(std::string(verdict_text(record)) + (is_audit(record) ? " AUDIT" : ""));
  row.push_back(summary(record));
  table_.add(std::move(row));
}

void FlowPrinter::begin(std::string& out) {
  if (options_.format != Format::kCsv) return;
  char separator = 0;
  for (const std::string& name : columns_.paths()) {
    if (separator != 0) out += separator;
    append_csv_cell(out, name);
    separator = ',';
  }
  out += "\r\n";
}

void FlowPrinter::print(const model::FlowRecord& record, std::string_view line, std::string_view node,
                        std::string& out) {
  switch (options_.format) {
    case Format::kCompact:
      print_compact(record, node, out);
      break;
    case Format::kTable:
      add_row(record, node);
      break;
    case Format::kDict:
      print_dict(record, node, out);
      break;
    case Format::kJson:
      // It is a record, so it is an object: the columns find it.
      if (columns_.paths().empty() || !columns_.append_object(line, out).ok()) out += line;
      out += '\n';
      break;
    case Format::kJsonpb: {
      const std::size_t begin = out.size();
      append_hubble_json(out, record, node, line);
      if (!columns_.paths().empty()) {
        const std::string whole = out.substr(begin);
        out.resize(begin);
        if (!columns_.append_object(whole, out).ok()) out += whole;
      }
      out += '\n';
      break;
    }
    case Format::kCsv:
      if (columns_.append_csv(line, out).ok()) out += "\r\n";
      break;
  }
  first_ = false;
}

void FlowPrinter::end(std::string& out) {
  if (options_.format == Format::kTable && table_.rows() > 0) out += table_.to_string();
}

}  // namespace weir::observe
