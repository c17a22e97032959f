#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "base/file.h"
#include "base/result.h"
#include "capture/internal/pcap_reader.h"
#include "capture/internal/pcapng_reader.h"
#include "packet/packet.h"

namespace weir::capture {

/// What was read so far.
struct CaptureStats {
  std::uint64_t packets = 0;
  std::uint64_t wire_bytes = 0;
  std::uint64_t captured_bytes = 0;
};

/// A capture file, read from begin to end: pcap (microseconds, nanoseconds, the "modified" kind of 1998) or pcapng.
///
/// Own readers, because the goal is speed: packets are views into a small buffer (pcap) or the mapped file (pcapng),
/// and records are walked in batches. libpcap copies every packet and calls back for each, at 3 times the cost. Errors:
/// open() fails for what is no capture. Damage further on ends the reading there: what came before it has
///          been delivered, and status() says what is wrong at which record and byte.
/// Threads: one.
class CaptureFile {
 public:
  /// `path` "-" is standard input.
  static Result<std::unique_ptr<CaptureFile>> open(const std::string& path);
  /// `bytes` outlive the CaptureFile; `name` is for messages.
  static Result<std::unique_ptr<CaptureFile>> open(std::span<const std::uint8_t> bytes, const std::string& name);

  /// Fills `out` from the front; the number filled, 0 at the end. The views stay valid until the next call.
  std::size_t next_batch(std::span<packet::PacketView> out);
  /// After the end: why reading stopped early, if it did.
  const Status& status() const { return status_; }
  const CaptureStats& stats() const { return stats_; }

 private:
  using Reader = std::variant<PcapReader, PcapngReader>;
  CaptureFile(std::string name, Reader reader) : name_(std::move(name)), reader_(std::move(reader)) {}

  std::string name_;
  Reader reader_;
  /// What the reader's bytes come from: one of the two, or the caller's memory.
  std::unique_ptr<InputFile> input_;
  std::unique_ptr<FileBytes> file_;
  Status status_;
  CaptureStats stats_;
};

}  // namespace weir::capture
