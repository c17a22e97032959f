// Writes a flows.log as an agent does, as fast as it is told, until SIGTERM: for tests of what reads it.
//
// usage: log_writer DIRECTORY FIRST_NUMBER LINES_PER_SECOND MAX_BYTES

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "base/clock.h"
#include "flowlog/flow_log.h"
#include "flowlog/log_file.h"

namespace {

volatile std::sig_atomic_t ended = 0;

/// A number that no sum hides.
std::uint64_t scattered(std::uint64_t number) { return number * 2'654'435'761ULL % 1'000'000'007ULL; }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  weir::flowlog::LogFileOptions options;
  options.max_bytes = std::strtoull(argv[4], nullptr, 10);
  options.max_files = 10'000;
  auto file = weir::flowlog::LogFile::open(argv[1], "flows.log", options);
  if (!file.ok()) {
    std::fprintf(stderr, "log_writer: %s\n", file.error().message.c_str());
    return 1;
  }
  std::signal(SIGTERM, [](int) { ended = 1; });
  std::uint64_t number = std::strtoull(argv[2], nullptr, 10);
  const std::uint64_t each = std::strtoull(argv[3], nullptr, 10) / 100;
  weir::flowlog::FlowLogWriter writer;
  while (ended == 0) {
    for (std::uint64_t i = 0; i < each; ++i, ++number) {
      weir::model::FlowRecord record;
      record.end_time = weir::clock_ns(CLOCK_REALTIME) / 1'000'000'000;
      record.start_time = record.end_time - 15;
      record.source_namespace = record.dest_namespace = "shop";
      record.source_type = record.dest_type = "wep";
      record.reporter = "dst";
      record.num_flows = number;
      record.bytes_in = scattered(number);
      writer.append(record, file.value()->buffer());
    }
    (void)file.value()->flush(weir::clock_ns(CLOCK_MONOTONIC));
    const timespec rest{0, 10'000'000};
    ::nanosleep(&rest, nullptr);
  }
  return file.value()->close().ok() ? 0 : 1;
}
