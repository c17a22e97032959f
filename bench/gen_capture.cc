// gen_capture OUT.pcap LEDGER.json CLUSTER.json [--connections N] [--rate PER_SECOND] [--snap BYTES] [--seed N]
//
// The capture that flow exporters are compared on: 500 pods behind 100 services, 54 % short and 6 % long TCP
// connections, 30 % DNS lookups, 8 % denied and 2 % refused; a tenth over IPv6. The policies of CLUSTER.json deny what
// the capture shows as denied. TCP payloads are zeros: no tool under test is asked to look into them.

#include <fmt/format.h>

#include <cstdio>
#include <limits>

#include "arguments.h"
#include "synthetic_cluster.h"
#include "traffic.h"

namespace weir::bench {
namespace {

constexpr std::int64_t kStartUs = 1'790'000'000'000'000;

class CaptureWorkload {
 public:
  CaptureWorkload(const SyntheticCluster& cluster, Random& random)
      : cluster_(cluster),
        random_(random),
        clients_(cluster.pods.size(), 0.6),
        services_(cluster.workloads.size() - 1, 1.0) {}

  Connection draw() {
    const double at = random_.uniform();
    Connection connection;
    connection.kind = at < 0.54   ? Kind::kShortTcp
                      : at < 0.60 ? Kind::kLongTcp
                      : at < 0.90 ? Kind::kDns
                      : at < 0.98 ? Kind::kDenied
                                  : Kind::kRefused;
    // Popularity ranks are spread over the pods so that busy clients sit in many workloads.
    std::size_t client = application_pod(clients_.sample(random_) * 211);
    const bool dns = connection.kind == Kind::kDns;
    const Workload& service = cluster_.workloads[dns ? kDnsWorkload : 1 + services_.sample(random_)];
    const std::size_t server = service.pods[random_.below(static_cast<std::uint32_t>(service.pods.size()))];
    if (client == server) client = application_pod(client + 1);
    const bool v6 = random_.chance(0.1);
    connection.source = v6 ? cluster_.pods[client].v6 : cluster_.pods[client].v4;
    connection.dest = v6 ? cluster_.pods[server].v6 : cluster_.pods[server].v4;
    connection.dest_port = service.port;
    script(connection, v6);
    connection.source_port = ports_.next(connection.source, connection.dest, connection.dest_port);
    return connection;
  }

 private:
  /// A pod of any workload but the DNS servers', whose pods come first.
  std::size_t application_pod(std::size_t number) const {
    const std::size_t skipped = cluster_.workloads[kDnsWorkload].pods.size();
    return skipped + number % (cluster_.pods.size() - skipped);
  }

  void script(Connection& connection, bool v6) {
    switch (connection.kind) {
      case Kind::kShortTcp:
        connection.steps = tcp_steps(random_, {2, 8, 1100});
        break;
      case Kind::kLongTcp:
        connection.steps = tcp_steps(random_, {40, 58, kMaxPayload});
        break;
      case Kind::kDns:
        script_dns(connection);
        break;
      case Kind::kDenied:
        // A third leaves the cluster, which egress policy forbids; the rest goes to a port no ingress policy admits.
        if (random_.chance(1.0 / 3)) {
          connection.dest = v6 ? outside_v6() : IpAddress::v4(0xCB007100U + random_.below(256));
          connection.dest_port = 443;
        } else {
          connection.dest_port = kForbiddenPort;
        }
        connection.steps = denied_steps(random_);
        break;
      case Kind::kRefused:
        connection.dest_port = kClosedPort;
        connection.steps = refused_steps(random_);
        break;
    }
  }

  IpAddress outside_v6() {
    std::uint8_t bytes[16] = {0x20, 0x01, 0x0D, 0xB8};
    bytes[15] = static_cast<std::uint8_t>(random_.below(256));
    return IpAddress::v6(bytes);
  }

  void script_dns(Connection& connection) {
    connection.protocol = 17;
    const Workload& asked = cluster_.workloads[1 + services_.sample(random_)];
    const double at = random_.uniform();
    std::string name = fmt::format("{}.{}.svc.cluster.local", asked.name, asked.namespace_name);
    DnsSpec spec{name, static_cast<std::uint16_t>(random_.next()), 1, 0, asked.service_ip};
    if (at < 0.2) {  // what a search path of a pod makes of the name
      name += ".team-1.svc.cluster.local";
      spec.rcode = 3;
    } else if (at < 0.3) {
      name = fmt::format("api{}.example.com", random_.below(40));
      spec.address = IpAddress::v4(0xC6336400U + random_.below(40));
    }
    spec.name = name;
    connection.query = dns_query(spec);
    connection.answer = dns_answer(spec);
    connection.steps = dns_steps(random_, connection.query.size(), connection.answer.size());
  }

  const SyntheticCluster& cluster_;
  Random& random_;
  Zipf clients_, services_;
  PortAllocator ports_;
};

Status generate(const Arguments& arguments) {
  Random random(arguments.number("seed"));
  const SyntheticCluster cluster = make_cluster({});
  TRY(write_manifests(cluster, arguments.words[2]));
  const std::uint64_t snap = arguments.number("snap");
  TRY_ASSIGN(PcapWriter writer,
             PcapWriter::create(arguments.words[0], snap == 0 ? 262144U : static_cast<std::uint32_t>(snap)));
  Ledger ledger;
  Timeline timeline(writer, ledger, random, false);
  CaptureWorkload workload(cluster, random);
  const double gap_us = 1e6 / static_cast<double>(arguments.number("rate"));
  for (std::uint64_t i = 0; i < arguments.number("connections"); ++i) {
    TRY(timeline.open(workload.draw(), kStartUs + static_cast<std::int64_t>(static_cast<double>(i) * gap_us)));
  }
  TRY(timeline.advance(std::numeric_limits<std::int64_t>::max()));
  TRY(writer.close());
  return write_ledger(ledger, fmt::format(",\n \"seed\": {}, \"snap\": {}", arguments.number("seed"), snap),
                      arguments.words[1]);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::Arguments arguments;
  arguments.numbers = {{"connections", 200'000}, {"rate", 5'000}, {"snap", 0}, {"seed", 1}};
  if (!arguments.parse({argv, static_cast<std::size_t>(argc)}, 3)) return 2;
  const weir::Status status = weir::bench::generate(arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "gen_capture: %s\n", status.error().message.c_str());
  return 1;
}
