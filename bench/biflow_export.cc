// biflow_export FILE.pcap OUT.bin
//
// What the flow exporters of the comparison do, with our modules: read a capture, meter it, write one fixed binary
// record a connection. Prints its counts as JSON, for the check against the workload's ledger.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/file.h"
#include "capture/capture_file.h"
#include "meter/meter.h"
#include "packet/decoder.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBatch = 512;

/// What a biflow of RFC 5103 carries in the usual templates.
struct BiflowRecord {
  std::uint8_t source[16], dest[16];
  std::int64_t start_ns, end_ns;
  std::uint64_t packets[2], bytes[2];
  std::uint32_t rtt_us, retransmissions;
  std::uint16_t source_port, dest_port;
  std::uint8_t protocol, outcome, resets, closed;
};
static_assert(sizeof(BiflowRecord) == 96);

struct Counts {
  std::uint64_t biflows = 0, packets = 0, bytes = 0, unanswered = 0, refused = 0;
};

class Exporter {
 public:
  explicit Exporter(OutputFile& out) : out_(out) {}

  Status write(std::span<const model::ConnectionUpdate> updates) {
    for (const model::ConnectionUpdate& update : updates) {
      const BiflowRecord record = to_record(update);
      out_.buffer().append(reinterpret_cast<const char*>(&record), sizeof record);
      count(update);
    }
    return out_.flush_if_large();
  }
  const Counts& counts() const { return counts_; }

 private:
  static BiflowRecord to_record(const model::ConnectionUpdate& update) {
    BiflowRecord record;
    std::memcpy(record.source, update.tuple.source.bytes.data(), 16);
    std::memcpy(record.dest, update.tuple.dest.bytes.data(), 16);
    record.start_ns = update.start_ns;
    record.end_ns = update.newest_ns;
    record.packets[0] = update.delta.packets_forward;
    record.packets[1] = update.delta.packets_reverse;
    record.bytes[0] = update.delta.bytes_forward;
    record.bytes[1] = update.delta.bytes_reverse;
    record.rtt_us = update.tcp.min_rtt_us;
    record.retransmissions = update.tcp.retransmissions;
    record.source_port = update.tuple.source_port;
    record.dest_port = update.tuple.dest_port;
    record.protocol = update.tuple.protocol;
    record.outcome = static_cast<std::uint8_t>(update.outcome);
    record.resets = static_cast<std::uint8_t>(update.tcp.resets);
    record.closed = update.closed ? 1 : 0;
    return record;
  }

  void count(const model::ConnectionUpdate& update) {
    const model::TrafficDelta& delta = update.delta;
    ++counts_.biflows;
    counts_.packets += delta.packets_forward + delta.packets_reverse;
    counts_.bytes += delta.bytes_forward + delta.bytes_reverse;
    counts_.unanswered += delta.packets_reverse == 0 ? 1 : 0;
    counts_.refused += update.outcome == model::Outcome::kRefused ? 1 : 0;
  }

  OutputFile& out_;
  Counts counts_;
};

Status export_biflows(const std::string& in, const std::string& out_path) {
  TRY_ASSIGN(const auto file, capture::CaptureFile::open(in));
  TRY_ASSIGN(OutputFile out, OutputFile::open(out_path));
  TRY_ASSIGN(const auto meter, meter::Meter::create({}));
  packet::Decoder decoder;
  Exporter exporter(out);
  std::array<packet::PacketView, kBatch> views;
  std::array<packet::DecodedPacket, kBatch> packets;
  while (const std::size_t count = file->next_batch(views)) {
    std::size_t decoded = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (decoder.decode(views[i], packets[decoded]) == packet::DecodeStatus::kOk) ++decoded;
    }
    meter->process({packets.data(), decoded});
    TRY(exporter.write(meter->updates()));
    meter->clear_updates();
  }
  TRY(file->status());
  for (auto updates = meter->flush(); !updates.empty(); updates = meter->flush()) TRY(exporter.write(updates));
  TRY(out.close());
  const Counts& counts = exporter.counts();
  std::printf("{\"packets\": %lu, \"bytes\": %lu, \"biflows\": %lu, \"unanswered\": %lu, \"refused\": %lu}\n",
              counts.packets, counts.bytes, counts.biflows, counts.unanswered, counts.refused);
  return {};
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: biflow_export FILE.pcap OUT.bin\n", stderr);
    return 2;
  }
  const weir::Status status = weir::bench::export_biflows(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "biflow_export: %s\n", status.error().message.c_str());
  return 1;
}
