#include "observe/top.h"

#include <algorithm>

#include "base/text_table.h"
#include "model/protocol.h"
#include "observe/flow_printer.h"
#include "observe/flow_text.h"

namespace weir::observe {
namespace {

constexpr std::size_t kBarWidth = 20;
constexpr std::string_view kOutside = "outside";

std::string end_name(std::string_view namespace_name, std::string_view workload, std::string_view name_aggr) {
  const std::string name(workload != "-" ? workload : name_aggr);
  return namespace_name == "-" ? name : std::string(namespace_name) + "/" + name;
}

std::string source_of(const model::FlowRecord& r) {
  return end_name(r.source_namespace, r.source_workload, r.source_name_aggr);
}
std::string dest_of(const model::FlowRecord& r) {
  return end_name(r.dest_namespace, r.dest_workload, r.dest_name_aggr);
}

std::string port_of(const model::FlowRecord& r) {
  return port_text(model::protocol_name(r.protocol), r.dest_port ? std::int64_t{*r.dest_port} : -1);
}

std::string bar(std::uint64_t value, std::uint64_t most) {
  const std::size_t filled =
      most == 0 ? 0
                : static_cast<std::size_t>(static_cast<double>(value) / static_cast<double>(most) * kBarWidth + 0.5);
  std::string text;
  for (std::size_t i = 0; i < filled; ++i) text += "█";
  return text;
}

}  // namespace

std::uint64_t measure(const Totals& totals, TopBy by) {
  switch (by) {
    case TopBy::kBytes:
      return totals.bytes();
    case TopBy::kPackets:
      return totals.packets();
    case TopBy::kFlows:
      return totals.flows();
    case TopBy::kDenied:
      return totals.flows_denied;
  }
  return 0;
}

void Top::add_to(std::string_view name, const model::FlowRecord& record) {
  std::string key(name);
  key.append(1, '\0').append(source_of(record)).append(1, '\0').append(dest_of(record)).append(1, '\0');
  key.append(port_of(record));
  edges_[std::move(key)].add(record);
}

void Top::add(const model::FlowRecord& r) {
  switch (of_) {
    case TopOf::kSource:
      return add_to(source_of(r), r);
    case TopOf::kDest:
      return add_to(dest_of(r), r);
    case TopOf::kPair:
      return add_to(source_of(r) + " -> " + dest_of(r), r);
    case TopOf::kNamespace:
      // Traffic within one counts once.
      add_to(r.source_namespace == "-" ? kOutside : r.source_namespace, r);
      if (r.dest_namespace != r.source_namespace) add_to(r.dest_namespace == "-" ? kOutside : r.dest_namespace, r);
      return;
    case TopOf::kPort:
      return add_to(port_of(r), r);
    case TopOf::kPolicy:
      return add_to(rule_text(r), r);
    case TopOf::kDomain:
      for (const std::string_view domain : r.dest_domains) add_to(domain, r);
      return;
  }
}

std::vector<TopRow> Top::rows(TopBy by, std::size_t count) const {
  std::vector<TopRow> rows;
  std::unordered_map<std::string_view, Totals> names;
  for (const auto& [key, totals] : edges_) {
    const std::string_view name = std::string_view(key).substr(0, key.find('\0'));
    names[name].add(of_ == TopOf::kPolicy ? totals.both() : totals.once());
  }
  for (const auto& [name, totals] : names) {
    if (measure(totals, by) > 0) rows.push_back({std::string(name), totals});
  }
  std::sort(rows.begin(), rows.end(), [&](const TopRow& a, const TopRow& b) {
    const std::uint64_t left = measure(a.totals, by), right = measure(b.totals, by);
    return left != right ? left > right : a.name < b.name;
  });
  rows.resize(std::min(rows.size(), count));
  return rows;
}

std::vector<std::pair<std::string_view, std::uint64_t>> figures(const Totals& totals) {
  return {{"bytes_to_dest", totals.bytes_to_dest},     {"bytes_to_source", totals.bytes_to_source},
          {"packets_to_dest", totals.packets_to_dest}, {"packets_to_source", totals.packets_to_source},
          {"flows_allowed", totals.flows_allowed},     {"flows_denied", totals.flows_denied}};
}

std::string top_table(const std::vector<TopRow>& rows, TopOf of, TopBy by, bool colour) {
  std::string heading(kTopOfNames[static_cast<std::size_t>(of)]);
  std::transform(heading.begin(), heading.end(), heading.begin(), [](char c) { return static_cast<char>(c - 32); });
  TextTable table({heading, "BYTES", "PACKETS", "FLOWS", "DENIED", ""});
  const std::uint64_t most = rows.empty() ? 0 : measure(rows.front().totals, by);
  for (const TopRow& row : rows) {
    table.add({row.name, short_count(row.totals.bytes()), short_count(row.totals.packets()),
               short_count(row.totals.flows()), short_count(row.totals.flows_denied),
               bar(measure(row.totals, by), most)});
  }
  std::string text = table.to_string();
  if (!colour) return text;
  const std::size_t end = text.find('\n');
  return painted(true, kBold, text.substr(0, end)) + text.substr(end);
}

}  // namespace weir::observe
