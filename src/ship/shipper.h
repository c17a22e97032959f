#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ship/destination.h"

namespace weir::ship {

struct ShipperOptions {
  /// Where flows.log and the others are.
  std::string log_directory;
  /// NAME.cursors and NAME.refused.log of each destination are kept here; made if it is not there.
  std::string state_directory;
  /// Becomes `host`, and who the Weir server knows the streams by.
  std::string node;
  std::vector<DestinationSpec> destinations;
  /// Of a batch, before compression; a longer line is one of its own.
  std::size_t batch_bytes = 1024 * 1024;
  /// Between two attempts: doubling from the first to the second, each time with up to half of it more or less.
  std::chrono::milliseconds first_retry{500}, longest_retry{60'000};
  /// Between two looks at files that have nothing new.
  std::chrono::milliseconds poll{200};
  /// Of the refused lines kept of a destination; the oldest half goes beyond it.
  std::uint64_t refused_log_bytes = 16 * 1024 * 1024;
  /// End once everything that is in the files was delivered.
  bool once = false;
  /// Once a change of state, never once a batch. From any thread.
  std::function<void(std::string_view)> note = [](std::string_view) {};
};

/// Since the start, but for lag and failing.
struct DestinationStats {
  std::string name, kind;
  std::uint64_t lines_sent = 0, bytes_sent = 0, batches_sent = 0;
  /// Lines that the filter left out.
  std::uint64_t lines_filtered = 0;
  /// Lines that the destination does not take: kept in NAME.refused.log where it said which.
  std::uint64_t lines_refused = 0;
  std::uint64_t retries = 0;
  /// Of files that were gone before they were read, and of lines beyond 16 MiB.
  std::uint64_t bytes_lost = 0, files_lost = 0, lines_too_long = 0;
  std::uint64_t cursor_failures = 0;
  /// In the files and not delivered; since when there is something, 0 if nothing is.
  std::uint64_t lag_bytes = 0;
  double lag_seconds = 0;
  bool failing = false;
  std::string last_error;
};

/// Sends the lines of a node's logs to any number of destinations, each on a thread and with cursors of its own: one
/// that is slow or away holds up nobody else, and nothing but the files themselves waits for it.
///
/// Every line is sent at least once as long as its file is there; a Weir server stores it exactly once. A cursor moves
/// when its destination has answered, so what was under way when the process died is sent again.
/// Bounds:  a batch as it is, as it is sent and its compressed form, a destination.
/// Threads: start(), wait(), stop() and the destructor: one; stats(): any.
class Shipper {
 public:
  /// Reads cursors and credentials. Two destinations never share a name.
  static Result<std::unique_ptr<Shipper>> create(ShipperOptions options);
  ~Shipper();
  Shipper(const Shipper&) = delete;
  Shipper& operator=(const Shipper&) = delete;

  void start();
  /// With `once`: until all have ended, or `patience` is over; true if they have.
  bool wait(std::chrono::milliseconds patience);
  /// Breaks off what is under way, stores the cursors. Idempotent.
  void stop();
  std::vector<DestinationStats> stats() const;

 private:
  struct State;
  explicit Shipper(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir::ship
