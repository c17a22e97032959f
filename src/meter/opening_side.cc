#include "meter/internal/opening_side.h"

#include <algorithm>
#include <iterator>

#include "meter/internal/tcp_tracker.h"

namespace weir::meter {
namespace {

/// Ports below 1024, and those above that servers in clusters commonly have. Sorted.
bool is_service_port(std::uint16_t port) {
  constexpr std::uint16_t kPorts[] = {
      1433,   // SQL Server
      1521,   // Oracle
      1883,   // MQTT
      2049,   // NFS
      2181,   // ZooKeeper
      2379,   // etcd
      2380,   // etcd peers
      3000,   // Grafana
      3128,   // Squid
      3306,   // MySQL
      3389,   // RDP
      4222,   // NATS
      4317,   // OTLP
      4318,   // OTLP over HTTP
      4789,   // VXLAN
      5060,   // SIP
      5353,   // mDNS
      5432,   // PostgreSQL
      5672,   // AMQP
      6379,   // Redis
      6443,   // Kubernetes API
      7000,   // Cassandra
      8080,   // HTTP
      8443,   // HTTPS
      8472,   // VXLAN of the Linux kernel
      9000,   // MinIO, ClickHouse
      9042,   // Cassandra
      9090,   // Prometheus
      9092,   // Kafka
      9093,   // Alertmanager, Kafka
      9100,   // node exporter
      9200,   // Elasticsearch
      9300,   // Elasticsearch nodes
      10250,  // kubelet
      11211,  // memcached
      15672,  // RabbitMQ
      27017,  // MongoDB
  };
  return port < 1024 || std::binary_search(std::begin(kPorts), std::end(kPorts), port);
}

bool is_ephemeral_port(std::uint16_t port) { return port >= 32768; }

}  // namespace

bool opened_by_sender(const packet::DecodedPacket& p) {
  const model::Tuple& t = p.tuple;
  if (t.protocol == model::kProtoIcmp || t.protocol == model::kProtoIcmp6) return !p.icmp_reply;
  if (t.protocol == model::kProtoTcp && has_tcp_header(p) && (p.tcp_flags & packet::kTcpSyn) != 0)
    return (p.tcp_flags & packet::kTcpAck) == 0;
  const bool has_ports = t.source_port != 0 && t.dest_port != 0;
  // Met in mid-stream. Source NAT and clients with settings of their own use any port above 1023, servers' ports
  // hardly.
  if (t.protocol == model::kProtoTcp && has_ports && is_service_port(t.source_port) && !is_service_port(t.dest_port)) {
    return false;
  }
  return !has_ports || !is_service_port(t.source_port) || !is_ephemeral_port(t.dest_port);
}

State first_state(const packet::DecodedPacket& p) {
  switch (p.tuple.protocol) {
    case model::kProtoTcp:
      if (!has_tcp_header(p) || (p.tcp_flags & packet::kTcpSyn) == 0) return State::kTcpMidstream;
      return (p.tcp_flags & packet::kTcpAck) != 0 ? State::kTcpSynRecv : State::kTcpSynSent;
    case model::kProtoUdp:
      return State::kUdp;
    case model::kProtoIcmp:
    case model::kProtoIcmp6:
      return State::kIcmp;
    case model::kProtoSctp:
      return State::kSctp;
    default:
      return State::kGeneric;
  }
}

bool expects_answer(const packet::DecodedPacket& p) {
  const int icmp_type = p.tuple.dest_port >> 8;
  switch (p.tuple.protocol) {
    case model::kProtoTcp:
      return has_tcp_header(p) && (p.tcp_flags & packet::kTcpSyn) != 0;
    case model::kProtoIcmp:
      return icmp_type == 8 || icmp_type == 13 || icmp_type == 15 || icmp_type == 17;
    case model::kProtoIcmp6:
      return icmp_type == 128;
    default:
      return true;
  }
}

}  // namespace weir::meter
