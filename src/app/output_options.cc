#include "app/output_options.h"

#include <algorithm>
#include <utility>

#include "app/pager.h"
#include "app/query_options.h"

namespace weir::app {
namespace {

using observe::Format;

const std::pair<std::string, Format> kFormats[] = {
    {"compact", Format::kCompact}, {"table", Format::kTable},   {"tab", Format::kTable}, {"dict", Format::kDict},
    {"json", Format::kJson},       {"jsonpb", Format::kJsonpb}, {"csv", Format::kCsv}};

}  // namespace

void add_terminal_options(CLI::App& app, std::string& colour, bool& no_pager) {
  app.add_option("--color", colour, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str()
      ->group("Output");
  app.add_flag("--no-pager", no_pager, "do not page on a terminal")->group("Output");
}

void OutputOptions::add_to(CLI::App& app, const std::vector<std::string>& formats, const std::string& what) {
  app.add_option("-o,--output", output, what)->check(CLI::IsMember(formats))->capture_default_str()->group("Output");
  app.add_option("--field-mask,--columns", columns,
                 "json, jsonpb: only these members, csv: these columns; a comma list, nested ones with dots")
      ->group("Output");
  app.add_option("--time-format", time_format,
                 "StampMilli, YearMonthDay, YearMonthDayHour, YearMonthDayHourMinute, RFC3339, RFC3339Milli, "
                 "RFC3339Micro, RFC3339Nano, RFC1123Z, or a pattern of strftime")
      ->capture_default_str()
      ->group("Output");
  app.add_flag("--print-node-name", print_node, "with the node that reports")->group("Output");
  app.add_flag("--numeric", numeric, "addresses instead of names, where records have them")->group("Output");
  add_terminal_options(app, colour, no_pager);
  app.add_flag("-s,--silent-errors", silent, "say nothing of lines that are no records")->group("Output");
  app.add_flag("--print-raw-filters", print_filter, "print the filter that the flags mean, and end")->group("Output");
}

Result<observe::PrintOptions> OutputOptions::print_options(bool follow) const {
  observe::PrintOptions print;
  for (const auto& [name, format] : kFormats) {
    if (name == output) print.format = format;
  }
  if (print.format == Format::kTable && follow) {
    return invalid_argument("-o table and --follow cannot be combined: a table is as wide as its widest row");
  }
  TRY_ASSIGN(print.time, observe::parse_time_format(time_format));
  print.columns = split_list(columns);
  if (!print.columns.empty() && is_for_people(print.format)) {
    return invalid_argument("--field-mask goes with -o json, jsonpb or csv");
  }
  print.node_name = print_node;
  print.policy_names = policy_names;
  print.numeric = numeric;
  print.colour = wants_colour(colour);
  return print;
}

bool is_for_people(observe::Format format) {
  return format == Format::kCompact || format == Format::kTable || format == Format::kDict;
}

}  // namespace weir::app
