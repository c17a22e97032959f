#include "store_workload.h"

#include <algorithm>

#include "base/hash.h"

namespace weir::bench {
namespace {

constexpr std::uint32_t kNamespaces = 200, kWorkloads = 5000, kEdges = 60'000, kNodes = 100, kAddresses = 200'000;
constexpr std::uint16_t kPorts[] = {80, 443, 5432, 6379, 8080, 9090, 9092, 53, 3306, 8443};

}  // namespace

StoreWorkload::StoreWorkload(std::uint64_t seed) : random_(seed) {
  for (std::uint32_t at = 0; at < kWorkloads; ++at) {
    Workload& workload = workloads_.emplace_back();
    workload.namespace_name = "team-" + std::to_string(at % kNamespaces);
    workload.name = "service-" + std::to_string(at);
    workload.name_aggr = workload.name + "-" + std::to_string(random_.below(100'000'000)) + "-*";
    workload.labels.pairs = {"app=" + workload.name,
                             "app.kubernetes.io/component=c" + std::to_string(random_.below(8)),
                             "app.kubernetes.io/part-of=product-" + std::to_string(random_.below(40)),
                             "pod-template-hash=" + std::to_string(random_.below(1'000'000'000)),
                             "tier=" + std::to_string(random_.below(4)),
                             "version=v" + std::to_string(random_.below(20))};
  }
  for (std::uint32_t at = 0; at < kEdges; ++at) {
    Edge& edge = edges_.emplace_back();
    edge.source = random_.below(kWorkloads);
    edge.dest = random_.below(kWorkloads);
    edge.port = kPorts[random_.below(10)];
    edge.denied = random_.chance(0.05);
    edge.external = random_.chance(0.097);
    edge.bytes = random_.between(200, 2'000'000);
    const std::string action = edge.denied ? "deny" : "allow";
    const std::string ns = workloads_[edge.dest].namespace_name;
    const std::string rule = "|default|" + ns + "/default." + workloads_[edge.dest].name + "|" + action + "|0";
    edge.enforced.entries = {"0|platform|platform.baseline|pass|1", "1" + rule};
    edge.pending.entries = edge.enforced.entries;
    edge.service = workloads_[edge.dest].name;
  }
  // A node's records come together.
  std::stable_sort(edges_.begin(), edges_.end(),
                   [](const Edge& a, const Edge& b) { return a.source % kNodes < b.source % kNodes; });
}

void StoreWorkload::append_line(std::uint64_t row, std::string& out) {
  const std::uint64_t in_window = row % kRowsOfWindow;
  const std::uint64_t noise = mix64(row, 0x5151);
  const Edge& edge = edges_[std::min<std::uint64_t>(in_window * kEdges / kRowsOfWindow + (noise & 1), kEdges - 1)];
  const Workload& source = workloads_[edge.source];
  const Workload& dest = workloads_[edge.dest];
  model::FlowRecord record;
  record.start_time = time_of(row);
  record.end_time = record.start_time + 300;
  record.action = edge.denied ? "deny" : "allow";
  record.reporter = (noise & 2) != 0 ? "src" : "dst";
  record.protocol = 6;
  record.verdict_source = "dataplane";
  record.aggregation_level = edge.denied ? 1 : 2;
  record.source_namespace = source.namespace_name;
  record.source_name_aggr = source.name_aggr;
  record.source_type = "wep";
  record.source_workload = source.name;
  record.source_workload_kind = "Deployment";
  record.source_labels = &source.labels;
  record.dest_port = edge.port;
  record.dest_namespace = dest.namespace_name;
  record.dest_name_aggr = dest.name_aggr;
  record.dest_type = "wep";
  record.dest_workload = dest.name;
  record.dest_workload_kind = "Deployment";
  record.dest_labels = &dest.labels;
  record.dest_service_namespace = dest.namespace_name;
  record.dest_service_name = edge.service;
  record.dest_service_port_name = "http";
  record.dest_service_port_num = edge.port;
  if (edge.external) {
    record.dest_namespace = "-";
    record.dest_name_aggr = "pub";
    record.dest_type = "net";
    record.dest_workload = record.dest_workload_kind = record.dest_service_namespace = record.dest_service_name = "-";
    record.dest_labels = nullptr;
    record.dest_ip = IpAddress::v4(0x0B000000u + static_cast<std::uint32_t>(noise >> 32) % kAddresses);
  }
  record.policies = {&edge.enforced, &edge.pending};
  record.num_flows = 1 + (noise >> 8) % 40;
  record.num_flows_started = record.num_flows - (noise >> 16) % 2;
  record.num_flows_completed = record.num_flows_started;
  record.num_flows_established = edge.denied ? 0 : record.num_flows;
  record.packets_in = record.num_flows * (3 + (noise >> 24) % 9);
  record.packets_out = record.packets_in + (noise >> 20) % 5;
  record.bytes_in = edge.denied ? 60 * record.packets_in : edge.bytes / 2 + (noise >> 30) % edge.bytes;
  record.bytes_out = edge.denied ? 0 : edge.bytes / 3 + (noise >> 12) % edge.bytes;
  record.tcp_mean_smooth_rtt = 200 + (noise >> 40) % 2000;
  record.tcp_max_smooth_rtt = record.tcp_mean_smooth_rtt * 2 + (noise >> 44) % 500;
  record.tcp_mean_mss = 1410;
  record.tcp_min_mss = 1398;
  writer_.append(record, out);
}

void StoreWorkload::append_lines(std::uint64_t first, std::uint64_t count, std::string& out) {
  for (std::uint64_t row = first; row < first + count; ++row) append_line(row, out);
}

}  // namespace weir::bench
