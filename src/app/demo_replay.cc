#include "app/demo_replay.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "app/replay_pipeline.h"
#include "base/text_table.h"
#include "flowlog/flow_log.h"
#include "model/protocol.h"

namespace weir::app {
namespace {

std::string endpoint_text(std::string_view namespace_name, std::string_view name_aggr) {
  if (namespace_name == "-") return std::string(name_aggr);
  return std::string(namespace_name) + "/" + std::string(name_aggr);
}

std::string service_text(const model::FlowRecord& record) {
  if (record.dest_service_name == "-") return "-";
  return std::string(record.dest_service_name) + ":" + std::to_string(record.dest_service_port_num);
}

std::string port_text(const model::FlowRecord& record) {
  std::string text = model::protocol_name(record.protocol);
  const bool has_port = record.protocol == model::kProtoTcp || record.protocol == model::kProtoUdp;
  if (record.dest_port && has_port) text += "/" + std::to_string(*record.dest_port);
  return text;
}

/// The entry that decided: the last of the enforced trace, without its index.
std::string policy_text(const model::FlowRecord& record) {
  if (record.policies.enforced == nullptr || record.policies.enforced->entries.empty()) return "-";
  const std::string& entry = record.policies.enforced->entries.back();
  return entry.substr(entry.find('|') + 1);
}

struct Demo {
  TextTable flows{{"REPORTER", "SOURCE", "DESTINATION", "SERVICE", "PORT", "ACTION", "FLOWS", "PACKETS", "BYTES"}};
  TextTable denied{{"REPORTER", "SOURCE", "DESTINATION", "PORT", "FLOWS", "OUTCOME", "DENIED BY"}};
  /// By what a person looks for first: lookups that failed, then the most frequent.
  std::vector<std::pair<std::uint64_t, std::vector<std::string>>> lookups;
  std::uint64_t records = 0, bytes = 0;
  flowlog::FlowLogWriter writer;

  void on_flow(const model::FlowRecord& record) {
    std::string line;
    writer.append(record, line);
    ++records;
    bytes += line.size();
    const std::string source = endpoint_text(record.source_namespace, record.source_name_aggr);
    const std::string dest = endpoint_text(record.dest_namespace, record.dest_name_aggr);
    flows.add({std::string(record.reporter), source, dest, service_text(record), port_text(record),
               std::string(record.action), std::to_string(record.num_flows),
               short_count(record.packets_in + record.packets_out), short_count(record.bytes_in + record.bytes_out)});
    if (record.action != "deny") return;
    const char* outcome = record.num_flows_refused > 0       ? "refused"
                          : record.num_flows_established > 0 ? "answered"
                          : record.num_flows_unanswered > 0  ? "unanswered"
                                                             : "-";
    denied.add({std::string(record.reporter), source, dest, port_text(record), std::to_string(record.num_flows),
                outcome, policy_text(record)});
  }

  void on_dns(const model::DnsRecord& record) {
    char latency[32] = "-";
    if (record.latency_count > 0) {
      std::snprintf(latency, sizeof latency, "%.2f ms", static_cast<double>(record.latency_mean) / 1e6);
    }
    const bool lost = record.rcode == "Timeout" || record.rcode == "ServFail" || record.rcode == "Refused";
    lookups.emplace_back((lost ? 1'000'000'000 : 0) + record.count,
                         std::vector{endpoint_text(record.client_namespace, record.client_name_aggr),
                                     std::string(record.qname), std::string(record.qtype), std::string(record.rcode),
                                     std::to_string(record.count), std::string(latency)});
  }

  std::string lookup_table() {
    constexpr std::size_t kShown = 20;
    std::stable_sort(lookups.begin(), lookups.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    TextTable table{{"CLIENT", "NAME", "TYPE", "RCODE", "COUNT", "LATENCY"}};
    for (std::size_t i = 0; i < std::min(kShown, lookups.size()); ++i) table.add(lookups[i].second);
    std::string text = table.to_string();
    if (lookups.size() > kShown) text += "... and " + std::to_string(lookups.size() - kShown) + " more\n";
    return text;
  }
};

Status replay(const std::string& folder, const config::Settings& settings, Demo& demo, bool dns) {
  RecordSinks sinks;
  sinks.flow = [&](const model::FlowRecord& record) { demo.on_flow(record); };
  if (dns) sinks.dns = [&](const model::DnsRecord& record) { demo.on_dns(record); };
  TRY_ASSIGN(const auto pipeline, ReplayPipeline::create(settings, {folder + "/manifests.yaml"}, "", std::move(sinks)));
  TRY(pipeline->read_file(folder + "/shop.pcap"));
  pipeline->finish();
  return {};
}

}  // namespace

Status show_recorded_demo(const std::string& folder) {
  Demo demo;
  TRY(replay(folder, config::Settings{}, demo, true));
  Demo unaggregated;
  config::Settings level0;
  level0.aggregation_level_allowed = level0.aggregation_level_denied = 0;
  TRY(replay(folder, level0, unaggregated, false));

  std::printf("Flows (aggregation: level 2 allowed, 1 denied; windows of 5 minutes)\n\n%s\n",
              demo.flows.to_string().c_str());
  std::printf("Denied, and by which policy\n\n%s\n", demo.denied.to_string().c_str());
  std::printf("DNS lookups\n\n%s\n", demo.lookup_table().c_str());
  std::printf("Size: %llu records, %llu bytes; unaggregated %llu records, %llu bytes: %.1f times as many\n",
              static_cast<unsigned long long>(demo.records), static_cast<unsigned long long>(demo.bytes),
              static_cast<unsigned long long>(unaggregated.records),
              static_cast<unsigned long long>(unaggregated.bytes),
              static_cast<double>(unaggregated.bytes) / static_cast<double>(std::max<std::uint64_t>(demo.bytes, 1)));
  return {};
}

}  // namespace weir::app
