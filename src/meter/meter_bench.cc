#include <benchmark/benchmark.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "meter/meter.h"
#include "model/protocol.h"

namespace weir::meter {
namespace {

using packet::DecodedPacket;
using packet::kTcpAck;
using packet::kTcpFin;
using packet::kTcpSyn;

constexpr std::size_t kBatch = 1024;
constexpr std::int64_t kEpoch = 1'700'000'000'000'000'000;

struct Random {
  std::uint64_t state;
  std::uint64_t next() { return state = mix64(state, ++count); }
  std::uint64_t count = 0;
};

/// Connection `i`: pods of one cluster, IPv4 but for every tenth, TCP but for every third.
model::Tuple tuple_of(std::uint32_t i) {
  const std::uint64_t r = mix64(i, 1);
  model::Tuple t;
  if (i % 10 == 0) {
    t.source = t.dest = IpAddress::parse("fd00::").value();
    for (std::size_t b = 0; b < 4; ++b) t.source.bytes[12 + b] = static_cast<std::uint8_t>(i >> (8 * b));
    t.dest.bytes[15] = static_cast<std::uint8_t>(r);
  } else {
    t.source = IpAddress::v4(0x0A000000 + i / 16);
    t.dest = IpAddress::v4(0x0A600000 + static_cast<std::uint32_t>(r & 0xFF));
  }
  t.source_port = static_cast<std::uint16_t>(32768 + i % 16);
  t.dest_port = static_cast<std::uint16_t>(80 + (r >> 8) % 4);
  t.protocol = i % 3 == 0 ? model::kProtoUdp : model::kProtoTcp;
  return t;
}

/// Packet `number` of a connection's eight: handshake, two requests and answers, FINs.
void fill(DecodedPacket& p, const model::Tuple& t, std::uint32_t number, std::int64_t time_ns) {
  constexpr std::uint8_t kFlags[8] = {kTcpSyn, kTcpSyn | kTcpAck, kTcpAck,           kTcpAck,
                                      kTcpAck, kTcpAck,           kTcpFin | kTcpAck, kTcpFin | kTcpAck};
  constexpr std::uint32_t kPayload[8] = {0, 0, 100, 400, 100, 400, 0, 0};
  constexpr std::uint32_t kSeq[8] = {0, 0, 1, 1, 101, 401, 201, 801}, kAck[8] = {0, 1, 1, 101, 401, 201, 801, 202};
  p.time_ns = time_ns;
  p.tuple = t;
  if (number % 2 == 1) {
    std::swap(p.tuple.source, p.tuple.dest);
    std::swap(p.tuple.source_port, p.tuple.dest_port);
  }
  p.ip_bytes = 40 + kPayload[number];
  p.tcp_valid = t.protocol == model::kProtoTcp;
  p.tcp_flags = p.tcp_valid ? kFlags[number] : 0;
  p.tcp_seq = kSeq[number];
  p.tcp_ack = kAck[number];
  p.payload_bytes = kPayload[number];
}

/// CPU time of this thread: the machine may be shared.
class Clock {
 public:
  void start() { start_ = now(); }
  void stop() { total_ += now() - start_; }
  double seconds() const { return total_; }

 private:
  static double now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  double start_ = 0, total_ = 0;
};

/// Requests and answers on random open connections: what one update of the table costs.
void update(benchmark::State& state) {
  const auto connections = static_cast<std::uint32_t>(state.range(0));
  constexpr std::size_t kPackets = 1'000'000;
  const auto meter = Meter::create({}).value();
  std::array<DecodedPacket, kBatch> batch;
  std::vector<model::Tuple> tuples(connections);
  std::vector<std::uint32_t> exchanged(connections);
  for (std::uint32_t i = 0; i < connections; ++i) {
    tuples[i] = tuple_of(i);
    for (std::uint32_t n = 0; n < 3; ++n) fill(batch[n], tuples[i], n, kEpoch);
    meter->process({batch.data(), 3});
  }
  Random random{42};
  for (auto _ : state) {
    Clock clock;
    for (std::size_t sent = 0; sent < kPackets; sent += kBatch) {
      for (auto& p : batch) {
        const std::uint32_t i = static_cast<std::uint32_t>(random.next() >> 8) % connections;
        const std::uint32_t exchanges = exchanged[i]++ / 2, server = exchanged[i] % 2 == 0 ? 1 : 0;
        fill(p, tuples[i], 2 + server, kEpoch + static_cast<std::int64_t>(sent));
        p.tcp_seq = 1 + exchanges * (server != 0 ? 400 : 100);
        p.tcp_ack = 1 + (server != 0 ? (exchanges + 1) * 100 : exchanges * 400);
      }
      clock.start();
      meter->process(batch);
      clock.stop();
    }
    meter->clear_updates();
    state.SetIterationTime(clock.seconds());
  }
  if (meter->stats().open != connections) state.SkipWithError("connections were lost");
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kPackets));
}
BENCHMARK(update)->Arg(1'000)->Arg(60'000)->Arg(200'000)->Arg(1'000'000)->UseManualTime()->Unit(
    benchmark::kMillisecond);

/// Whole lives: 5,000 new connections a second, eight packets each within 4 s, a window flushed every 10 s. Opening,
/// closing, timing out and the updates are all in the time.
void whole_lives(benchmark::State& state) {
  const auto connections = static_cast<std::uint32_t>(state.range(0));
  constexpr std::int64_t kGap = 25'000;  // ns between packets: 40,000 packets/s
  constexpr std::uint32_t kLag = 2'500;  // connections between two packets of one connection
  std::vector<model::Tuple> tuples(connections);
  for (std::uint32_t i = 0; i < connections; ++i) tuples[i] = tuple_of(i);
  std::array<DecodedPacket, kBatch> batch;
  PacketNotes notes;
  std::uint64_t packets = 0;
  for (auto _ : state) {
    const auto meter = Meter::create({}).value();
    Clock clock;
    std::uint64_t counted = 0, updates = 0;
    std::size_t filled = 0;
    std::int64_t now = kEpoch, window_end = kEpoch + 10'000'000'000;
    const auto run = [&] {
      clock.start();
      meter->process({batch.data(), filled}, &notes);
      const auto add = [&](std::span<const model::ConnectionUpdate> span) {
        updates += span.size();
        for (const auto& u : span) counted += u.delta.packets_forward + u.delta.packets_reverse;
      };
      add(meter->updates());
      meter->clear_updates();
      if (now >= window_end) {
        for (auto span = meter->flush(); !span.empty(); span = meter->flush()) add(span);
        window_end += 10'000'000'000;
      }
      clock.stop();
      filled = 0;
    };
    for (std::uint32_t newest = 0; newest < connections + 7 * kLag; ++newest) {
      for (std::uint32_t n = 0; n < 8; ++n) {
        const std::uint32_t i = newest - n * kLag;
        if (newest < n * kLag || i >= connections) continue;
        fill(batch[filled++], tuples[i], n, now += kGap);
        if (filled == kBatch) run();
      }
    }
    run();
    window_end = now;
    run();
    if (counted != std::uint64_t{connections} * 8) state.SkipWithError("packets were lost");
    packets += counted;
    state.counters["updates/conn"] = static_cast<double>(updates) / connections;
    state.SetIterationTime(clock.seconds());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
}
BENCHMARK(whole_lives)->Arg(250'000)->UseManualTime()->Unit(benchmark::kMillisecond);

std::uint64_t resident_bytes() {
  std::uint64_t total = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// Opens connections and shows what the process grew by for each.
void memory_of_open(benchmark::State& state) {
  const auto connections = static_cast<std::uint32_t>(state.range(0));
  for (auto _ : state) {
    const auto meter = Meter::create({}).value();
    const std::uint64_t before = resident_bytes();
    std::array<DecodedPacket, 2> batch;
    for (std::uint32_t i = 0; i < connections; ++i) {
      fill(batch[0], tuple_of(i), 0, kEpoch + i * 1000);
      fill(batch[1], tuple_of(i), 1, kEpoch + i * 1000);
      meter->process(batch);
    }
    state.counters["RSS/conn"] = static_cast<double>(resident_bytes() - before) / connections;
    state.counters["used/conn"] = static_cast<double>(meter->used_bytes()) / connections;
  }
}
BENCHMARK(memory_of_open)->Arg(100'000)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weir::meter
