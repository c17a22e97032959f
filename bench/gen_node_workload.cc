// gen_node_workload OUT.pcap LEDGER.json CLUSTER.json [--seconds N] [--rate PER_SECOND] [--seed N]
//
// What one node's interfaces see, for measuring aggregation: node-0 runs 30 pods of 10 workloads in a cluster of 500
// pods and 100 services. The call graph is sparse: each workload calls 5 to 12 services, Zipf-distributed, and a
// service's policy admits exactly its callers. One connection in five is a DNS lookup, one in ten comes from one of
// 10,000 external clients, one in twenty is denied (by the egress policy of a local pod, or by the ingress policy of
// one). Refused connections are retried at another replica. TCP payloads are cut from the file, their lengths stay.

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <optional>
#include <set>

#include "arguments.h"
#include "synthetic_cluster.h"
#include "traffic.h"

namespace weir::bench {
namespace {

constexpr std::int64_t kWindowUs = 300'000'000;
constexpr std::int64_t kStartUs = 1'789'999'800'000'000;
static_assert(kStartUs % kWindowUs == 0, "windows of the capture are windows of the clock");

constexpr std::size_t kLocalWorkloads = 10;
/// Local workloads 1 to this serve external clients.
constexpr std::size_t kFrontEnds = 3;
constexpr std::size_t kExternalClients = 10'000;

constexpr double kDnsShare = 0.20, kExternalShare = 0.10, kOutboundShare = 0.40;
/// Of what is not DNS, so that 5 % of all connections are denied.
constexpr double kDeniedShare = 0.05 / (1 - kDnsShare);
constexpr double kRefusedShare = 0.01, kLongShare = 0.01, kUnansweredDnsShare = 0.005;

/// Who calls whom: `calls[w]` in order of preference, `callers` the reverse, `strangers[w]` two that may not call w.
struct CallGraph {
  std::vector<std::vector<std::size_t>> calls, callers, strangers;
};

CallGraph make_graph(std::size_t workloads, Random& random) {
  CallGraph graph;
  graph.calls.resize(workloads);
  graph.callers.resize(workloads);
  graph.strangers.resize(workloads);
  const Zipf popularity(workloads - 1, 1.0);
  for (std::size_t w = 1; w < workloads; ++w) {
    const std::size_t degree = random.between(5, 12);
    std::set<std::size_t> taken{w};
    while (graph.calls[w].size() < degree) {
      // The multiplier spreads popular services over local and remote workloads.
      const std::size_t callee = 1 + (popularity.sample(random) * 37 + 4) % (workloads - 1);
      if (!taken.insert(callee).second) continue;
      graph.calls[w].push_back(callee);
      graph.callers[callee].push_back(w);
    }
  }
  for (std::size_t w = 1; w < workloads; ++w) {
    const std::set<std::size_t> known(graph.callers[w].begin(), graph.callers[w].end());
    while (graph.strangers[w].size() < 2) {
      const std::size_t stranger = 1 + random.below(static_cast<std::uint32_t>(workloads - 1));
      if (stranger != w && !known.contains(stranger)) graph.strangers[w].push_back(stranger);
    }
  }
  return graph;
}

class NodeWorkload {
 public:
  NodeWorkload(const SyntheticCluster& cluster, const CallGraph& graph, Random& random)
      : cluster_(cluster), graph_(graph), random_(random), clients_(kExternalClients, 1.0) {
    for (std::size_t degree = 0; degree <= cluster.workloads.size(); ++degree) preference_.emplace_back(degree, 1.0);
    for (std::size_t w = 1; w <= kLocalWorkloads; ++w) {
      if (!graph.callers[w].empty()) called_.push_back(w);
    }
  }

  Connection draw() {
    if (retry_) {
      Connection again = std::move(*retry_);
      retry_.reset();
      again.source_port = ports_.next(again.source, again.dest, again.dest_port);
      return again;
    }
    const double at = random_.uniform();
    Connection connection = at < kDnsShare                                     ? dns()
                            : at < kDnsShare + kExternalShare                  ? from_outside()
                            : at < kDnsShare + kExternalShare + kOutboundShare ? outbound()
                                                                               : inbound();
    connection.source_port = ports_.next(connection.source, connection.dest, connection.dest_port);
    return connection;
  }

  const std::array<std::uint64_t, 3>& denied() const { return denied_; }
  std::uint64_t external() const { return external_; }

 private:
  const Pod& pod_of(std::size_t workload) {
    const std::vector<std::size_t>& pods = cluster_.workloads[workload].pods;
    return cluster_.pods[pods[random_.below(static_cast<std::uint32_t>(pods.size()))]];
  }
  const Pod& local_pod_of(std::size_t workload) {
    for (;;) {
      const Pod& pod = pod_of(workload);
      if (pod.node == 0) return pod;
    }
  }
  std::size_t local_workload() { return 1 + random_.below(kLocalWorkloads); }
  std::size_t pick(const std::vector<std::size_t>& list) { return list[preference_[list.size()].sample(random_)]; }

  Connection deny(Connection connection, std::size_t reason) {
    connection.kind = Kind::kDenied;
    connection.steps = denied_steps(random_);
    ++denied_[reason];
    return connection;
  }

  Connection serve(Connection connection) {
    if (random_.chance(kLongShare)) {
      connection.kind = Kind::kLongTcp;
      connection.steps = tcp_steps(random_, {50, 100, kMaxPayload, 0.01});
    } else {
      connection.kind = Kind::kShortTcp;
      connection.steps = tcp_steps(random_, {2, 2, kMaxPayload, 0.01});
    }
    return connection;
  }

  Connection dns() {
    Connection connection;
    connection.kind = Kind::kDns;
    connection.protocol = 17;
    const std::size_t asker = local_workload();
    connection.source = local_pod_of(asker).v4;
    connection.dest = pod_of(kDnsWorkload).v4;
    connection.dest_port = 53;
    const Workload& asked = cluster_.workloads[pick(graph_.calls[asker])];
    std::string name = fmt::format("{}.{}.svc.cluster.local", asked.name, asked.namespace_name);
    DnsSpec spec{name, static_cast<std::uint16_t>(random_.next()), 1, 0, asked.service_ip};
    if (random_.chance(0.2)) {
      name += fmt::format(".{}.svc.cluster.local", cluster_.workloads[asker].namespace_name);
      spec.rcode = 3;
    }
    spec.name = name;
    connection.query = dns_query(spec);
    connection.answer = dns_answer(spec);
    const bool unanswered = random_.chance(kUnansweredDnsShare);
    connection.steps = dns_steps(random_, connection.query.size(), unanswered ? 0 : connection.answer.size());
    return connection;
  }

  Connection from_outside() {
    ++external_;
    Connection connection;
    connection.source = IpAddress::v4(0xC6120000U + static_cast<std::uint32_t>(clients_.sample(random_) * 13));
    const std::size_t front = 1 + random_.below(kFrontEnds);
    connection.dest = local_pod_of(front).v4;
    connection.dest_port = cluster_.workloads[front].port;
    if (!random_.chance(kDeniedShare)) return serve(std::move(connection));
    connection.dest_port = kForbiddenPort;
    return deny(std::move(connection), 0);
  }

  Connection outbound() {
    Connection connection;
    const std::size_t caller = local_workload();
    connection.source = local_pod_of(caller).v4;
    if (random_.chance(kDeniedShare)) {  // one of the two outside addresses that this workload keeps trying
      connection.dest = IpAddress::v4(0xCB007100U + static_cast<std::uint32_t>(caller * 2 + random_.below(2)));
      connection.dest_port = 443;
      return deny(std::move(connection), 1);
    }
    const std::size_t callee = pick(graph_.calls[caller]);
    connection.dest = pod_of(callee).v4;
    connection.dest_port = cluster_.workloads[callee].port;
    if (!random_.chance(kRefusedShare)) return serve(std::move(connection));
    retry_ = serve(connection);
    retry_->dest = pod_of(callee).v4;
    connection.kind = Kind::kRefused;
    connection.steps = refused_steps(random_);
    return connection;
  }

  Connection inbound() {
    Connection connection;
    std::size_t callee = called_[random_.below(static_cast<std::uint32_t>(called_.size()))];
    const bool denied = random_.chance(kDeniedShare);
    if (denied) callee = kFrontEnds + 1 + random_.below(kLocalWorkloads - kFrontEnds);
    const std::size_t caller = denied ? graph_.strangers[callee][random_.below(2)] : pick(graph_.callers[callee]);
    connection.source = pod_of(caller).v4;
    connection.dest = local_pod_of(callee).v4;
    connection.dest_port = cluster_.workloads[callee].port;
    return denied ? deny(std::move(connection), 2) : serve(std::move(connection));
  }

  const SyntheticCluster& cluster_;
  const CallGraph& graph_;
  Random& random_;
  Zipf clients_;
  /// By the length of the list that is picked from.
  std::vector<Zipf> preference_;
  std::vector<std::size_t> called_;
  PortAllocator ports_;
  std::optional<Connection> retry_;
  std::array<std::uint64_t, 3> denied_{};
  std::uint64_t external_ = 0;
};

Status generate(const Arguments& arguments) {
  Random random(arguments.number("seed"));
  SyntheticCluster cluster = make_cluster({});
  const CallGraph graph = make_graph(cluster.workloads.size(), random);
  for (std::size_t w = 1; w < cluster.workloads.size(); ++w) {
    cluster.workloads[w].admits_all_apps = false;
    cluster.workloads[w].allowed_callers = graph.callers[w];
    cluster.workloads[w].open_to_world = w <= kFrontEnds;
  }
  TRY(write_manifests(cluster, arguments.words[2]));
  TRY_ASSIGN(PcapWriter writer, PcapWriter::create(arguments.words[0], 2048));
  Ledger ledger;
  Timeline timeline(writer, ledger, random, true);
  NodeWorkload workload(cluster, graph, random);
  const std::uint64_t count = arguments.number("seconds") * arguments.number("rate");
  const double gap_us = 1e6 / static_cast<double>(arguments.number("rate"));
  for (std::uint64_t i = 0; i < count; ++i) {
    TRY(timeline.open(workload.draw(), kStartUs + static_cast<std::int64_t>(static_cast<double>(i) * gap_us)));
  }
  TRY(timeline.advance(kStartUs + static_cast<std::int64_t>(arguments.number("seconds")) * 1'000'000));
  TRY(writer.close());
  const auto& denied = workload.denied();
  return write_ledger(
      ledger,
      fmt::format(",\n \"seed\": {}, \"node\": \"{}\", \"window_s\": {}, \"external_connections\": {},\n"
                  " \"denied_from_outside\": {}, \"denied_egress\": {}, \"denied_ingress\": {}",
                  arguments.number("seed"), node_name(0), kWindowUs / 1'000'000, workload.external(), denied[0],
                  denied[1], denied[2]),
      arguments.words[1]);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::Arguments arguments;
  arguments.numbers = {{"seconds", 600}, {"rate", 5'000}, {"seed", 1}};
  if (!arguments.parse({argv, static_cast<std::size_t>(argc)}, 3)) return 2;
  const weir::Status status = weir::bench::generate(arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "gen_node_workload: %s\n", status.error().message.c_str());
  return 1;
}
