// connection_memory COUNT
//
// Opens COUNT TCP connections in the meter, each with a SYN and its answer, and prints by how much the process grew.

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "meter/meter.h"

namespace weir::bench {
namespace {

constexpr std::uint64_t kBatch = 512;

/// Resident memory of this process in bytes; 0 if the kernel does not tell.
std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long size = 0, resident = 0;
  const int fields = std::fscanf(file, "%lu %lu", &size, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

/// The SYN (even) or the SYN and ACK (odd) of connection `number` / 2.
packet::DecodedPacket handshake(std::uint64_t number) {
  const std::uint64_t connection = number / 2;
  const IpAddress client = IpAddress::v4(0x0A000000U + static_cast<std::uint32_t>(connection / 20'000));
  const IpAddress server = IpAddress::v4(0x0A600001U);
  const auto port = static_cast<std::uint16_t>(32'768 + connection % 20'000);
  packet::DecodedPacket packet;
  packet.time_ns = 1'790'000'000'000'000'000 + static_cast<std::int64_t>(number) * 1'000;
  packet.tuple = {client, server, port, 8080, model::kProtoTcp};
  packet.tcp_flags = packet::kTcpSyn;
  packet.tcp_ack = 1;
  if (number % 2 != 0) {
    packet.tuple = {server, client, 8080, port, model::kProtoTcp};
    packet.tcp_flags = packet::kTcpSyn | packet::kTcpAck;
  }
  packet.tcp_valid = true;
  packet.ip_bytes = 44;
  return packet;
}

int run(std::uint64_t connections) {
  const auto meter = meter::Meter::create({});
  if (!meter.ok()) {
    std::fprintf(stderr, "connection_memory: %s\n", meter.error().message.c_str());
    return 1;
  }
  std::array<packet::DecodedPacket, kBatch> batch;
  const std::uint64_t before = resident_bytes();
  for (std::uint64_t next = 0; next < connections * 2;) {
    std::size_t count = 0;
    while (count < kBatch && next < connections * 2) batch[count++] = handshake(next++);
    meter.value()->process({batch.data(), count});
    meter.value()->clear_updates();
  }
  const std::uint64_t grown = resident_bytes() - before;
  const std::uint64_t open = meter.value()->stats().open;
  std::printf("{\"connections\": %lu, \"grown_bytes\": %lu, \"used_bytes\": %lu, \"bytes_per_connection\": %.1f}\n",
              open, grown, static_cast<std::uint64_t>(meter.value()->used_bytes()),
              static_cast<double>(grown) / static_cast<double>(open));
  return open == connections ? 0 : 1;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  const std::uint64_t connections = argc == 2 ? std::strtoull(argv[1], nullptr, 10) : 0;
  if (connections == 0) {
    std::fputs("usage: connection_memory COUNT\n", stderr);
    return 2;
  }
  return weir::bench::run(connections);
}
