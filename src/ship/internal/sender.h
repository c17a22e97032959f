#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "flowlog/log_file.h"
#include "flowlog/tailer.h"
#include "ship/internal/line_filter.h"
#include "ship/shipper.h"

namespace weir::ship {

/// One destination at work: its tailers, cursors and retries. run() is its thread; stop() and stats() are for others.
class Sender {
 public:
  static Result<std::unique_ptr<Sender>> create(const ShipperOptions& options, const DestinationSpec& spec);

  /// Until stop(), or with `once` until everything was delivered.
  void run();
  void stop();
  bool ended() const { return ended_.load(); }
  DestinationStats stats() const;

 private:
  struct Log {
    model::LogType type;
    flowlog::Tailer tailer;
    std::optional<LineFilter> filter;
  };
  Sender(const ShipperOptions& options, const DestinationSpec& spec) : options_(options), spec_(spec) {}
  Status open();

  bool send_some();
  bool send_batch(Log& log, const flowlog::TailBatch& batch);
  std::uint64_t choose_lines(Log& log, const flowlog::TailBatch& batch, std::uint64_t begin, std::uint64_t end,
                             LineBatch& out);
  void settle(const LineBatch& part, const Delivery& delivery);
  Delivery deliver(const LineBatch& batch);
  void keep_refused(const LineBatch& batch, const Delivery::Refused& refused);
  void failed(const Delivery& delivery);
  void recovered();
  void rest(std::chrono::milliseconds time);
  void store_cursors(bool now);
  void publish();

  const ShipperOptions& options_;
  DestinationSpec spec_;
  std::unique_ptr<Destination> destination_;
  std::vector<Log> logs_;
  /// Opened with the first line.
  std::unique_ptr<flowlog::LogFile> refused_;
  std::string cursor_path_;
  bool cursors_moved_ = false, cursors_failing_ = false;
  std::int64_t cursors_stored_ns_ = 0, caught_up_ns_ = 0;
  unsigned failures_ = 0;
  std::minstd_rand random_;
  DestinationStats counts_;

  std::atomic<bool> stopping_{false}, ended_{false};
  mutable std::mutex mutex_;  // guards published_, and stopping_ for who waits
  std::condition_variable wake_;
  DestinationStats published_;
};

}  // namespace weir::ship
