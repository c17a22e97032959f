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

TotalsByReporter& Top::totals_of(std::string_view name, const Ends& ends) {
  std::string key(name);
  for (const std::string* part : {&ends.source, &ends.dest, &ends.port}) key.append(1, '\0').append(*part);
  return edges_[std::move(key)];
}

template <typename Add>
void Top::add_ends(const Ends& ends, Add&& add) {
  const auto add_namespace = [&](std::string_view name) {
    add(totals_of(name.empty() || name == "-" ? kOutside : name, ends));
  };
  switch (of_) {
    case TopOf::kSource:
      return add(totals_of(ends.source, ends));
    case TopOf::kDest:
      return add(totals_of(ends.dest, ends));
    case TopOf::kPair:
      return add(totals_of(ends.source + " -> " + ends.dest, ends));
    case TopOf::kNamespace:
      // Traffic within one counts once.
      add_namespace(ends.source_namespace);
      if (ends.dest_namespace != ends.source_namespace) add_namespace(ends.dest_namespace);
      return;
    case TopOf::kPort:
      return add(totals_of(ends.port, ends));
    case TopOf::kPolicy:
    case TopOf::kDomain:
      return;
  }
}

void Top::add(const model::FlowRecord& r) {
  const Ends ends{end_name(r.source_namespace, r.source_workload, r.source_name_aggr),
                  end_name(r.dest_namespace, r.dest_workload, r.dest_name_aggr),
                  port_text(model::protocol_name(r.protocol), r.dest_port ? std::int64_t{*r.dest_port} : -1),
                  r.source_namespace, r.dest_namespace};
  if (of_ == TopOf::kPolicy) totals_of(rule_text(r), ends).add(r);
  if (of_ == TopOf::kDomain) {
    for (const std::string_view domain : r.dest_domains) totals_of(domain, ends).add(r);
  }
  add_ends(ends, [&](TotalsByReporter& totals) { totals.add(r); });
}

void Top::add(const query::GraphEdge& edge) {
  const Ends ends{end_name(edge.source.namespace_name, edge.source.workload, "-"),
                  end_name(edge.dest.namespace_name, edge.dest.workload, "-"), port_text(edge.protocol, edge.port),
                  edge.source.namespace_name, edge.dest.namespace_name};
  const auto count = [](std::int64_t number) { return static_cast<std::uint64_t>(std::max<std::int64_t>(number, 0)); };
  Totals whole;
  whole.flows_allowed = count(edge.flows_allowed);
  whole.flows_denied = count(edge.flows_denied);
  whole.bytes_to_dest = count(edge.bytes_to_dest);
  whole.bytes_to_source = count(edge.bytes_to_source);
  whole.packets_to_dest = count(edge.packets_to_dest);
  whole.packets_to_source = count(edge.packets_to_source);
  add_ends(ends, [&](TotalsByReporter& totals) { totals.source.add(whole); });
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
