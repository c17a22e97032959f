#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/log_type.h"
#include "query/request.h"

/// The embedded store of the server: durable rows in, answers out. docs/storage.md describes its files.
namespace weir::store {

using model::LogType;

/// Bytes [begin, end) of one log file generation of one node: what makes an append idempotent.
struct SourceRange {
  /// The node's agent; rows without a `host` of their own get it as their host.
  std::string agent;
  /// One generation of one file; never used again for other bytes.
  std::string stream;
  std::uint64_t begin = 0, end = 0;
};

struct Refused {
  /// From 1, in the text given to append().
  std::uint64_t line = 0;
  std::string reason;
};

struct Appended {
  /// Rows stored by this call, lines recognised as stored before, and lines refused.
  std::uint64_t rows = 0, duplicates = 0, refused_lines = 0;
  /// The first kMaxRefusedShown of them.
  std::vector<Refused> refused;
};
inline constexpr std::size_t kMaxRefusedShown = 10'000;

struct StoreOptions {
  /// Made if it is not there. One process at a time (a lock file).
  std::string directory;
  /// By LogType: rows older than this go, whole segments at a time.
  std::array<std::chrono::seconds, model::kLogTypes> retention{std::chrono::hours{7 * 24}, std::chrono::hours{7 * 24},
                                                               std::chrono::hours{7 * 24}, std::chrono::hours{14 * 24},
                                                               std::chrono::hours{30 * 24}};
  /// Bytes of all files, WAL included; beyond it the oldest segments go, whatever their type. 0: no bound.
  std::uint64_t max_bytes = 0;
  /// What the store aims to keep its memory below: engine, hot tables and batches. At least 256 MiB.
  std::uint64_t memory_bytes = 1024ull * 1024 * 1024;
  /// Engine threads; 0: one a core.
  unsigned threads = 0;
  /// A log's hot table goes to a segment at whichever comes first.
  std::uint64_t flush_rows = 50'000;
  std::chrono::seconds flush_interval{300};
  /// An hour's segments become one this long after the hour's end.
  std::chrono::seconds compaction_delay{600};
  /// Flush, compaction and retention on a thread of the store; false: only in tick().
  bool background = true;
  /// A query that runs longer is cancelled (kCancelled).
  std::chrono::milliseconds query_timeout{60'000};
  /// Unix seconds; for tests. Default: the system's clock.
  std::function<std::int64_t()> now;
  /// Once a change of state or finding at start-up (torn WAL, unknown file), never once a row. From any thread.
  std::function<void(std::string_view)> note;

  Status validate() const;
};

/// Figures of /metrics and the status page. Counters since open().
struct StoreStats {
  struct PerLog {
    std::uint64_t rows_appended = 0, lines_duplicate = 0, lines_refused = 0;
    std::uint64_t hot_rows = 0, segment_rows = 0, segments = 0, segment_bytes = 0;
    std::uint64_t segments_expired = 0, rows_expired = 0;
    /// Unix seconds of the oldest row that is left; none if there is no row.
    std::optional<std::int64_t> oldest;
  };
  std::array<PerLog, model::kLogTypes> logs;
  std::uint64_t wal_bytes = 0, total_bytes = 0, rollup_bytes = 0;
  std::uint64_t wal_syncs = 0, appends = 0, flushes = 0, compactions = 0, background_failures = 0;
  std::uint64_t queries = 0, query_failures = 0, subscriptions = 0;
  /// WAL frames and bytes found damaged at open().
  std::uint64_t wal_torn_bytes = 0, wal_replayed_rows = 0;
};

/// New rows for one subscriber, oldest first.
struct LiveBatch {
  /// Rows of the request's filter and columns; its `ids` are event ids. May have no rows (timeout).
  query::Answer answer;
  /// Resume after this id: everything up to it was given, did not match, or is in `lost`.
  std::uint64_t last_id = 0;
  /// Rows that arrived and were passed over, matching or not, because the subscriber was further behind than
  /// kMaxLiveBacklog rows or they are no longer stored.
  std::uint64_t lost = 0;
};
inline constexpr std::uint64_t kMaxLiveBacklog = 200'000;

/// Follows one log. Keeps no rows: each next() reads on in the store, so a slow subscriber costs no memory.
/// Threads: one at a time. Must not outlive its store.
class Subscription {
 public:
  virtual ~Subscription() = default;
  /// Waits until there are rows, up to `timeout`. At most `limit` rows. kCancelled once the store closes.
  virtual Result<LiveBatch> next(std::chrono::milliseconds timeout, std::uint32_t limit = 1000) = 0;
};

/// Threads: append(), query(), subscribe(), stats() from any number of threads.
class Store {
 public:
  /// Replays the WAL, removes what no manifest names, and starts the background thread.
  /// Errors: a locked folder, a damaged manifest (kDataLoss), no memory for the engine, a wrong engine library.
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Stores the lines of `ndjson`. When it returns they are on the disk (fdatasync; calls at the same time share one)
  /// and seen by queries. Lines that are no record of the type are refused one by one and never fail the rest.
  ///
  /// With a range: `ndjson` is the bytes of the range, and lines that lie in bytes already stored are skipped and
  /// counted as duplicates. If its size is not that of the range (the sender left lines out), a range that is stored in
  /// part cannot be told apart by line: kInvalidArgument; send from stored_until() on.
  /// Errors: kResourceExhausted under pressure (try again later) or on a full disk; nothing of the call is stored then.
  Result<Appended> append(LogType log, const std::optional<SourceRange>& range, std::string_view ndjson);

  /// The first byte at or after `from` of the stream that is not stored.
  std::uint64_t stored_until(std::string_view agent, std::string_view stream, std::uint64_t from = 0) const;

  /// Errors: kInvalidArgument (the request), kCancelled (timeout, closing), kResourceExhausted (memory).
  Result<query::Answer> query(const query::Request& request) const;

  /// New rows of request.log that match its filter (range, grouping, order and limit are not looked at; deduplicate
  /// is), after event `after_id`, or from now on.
  Result<std::unique_ptr<Subscription>> subscribe(const query::Request& request,
                                                  std::optional<std::uint64_t> after_id) const;

  /// What the background thread does, once, for everything that is due. `flush`: hot rows go to segments even if not
  /// due.
  Status tick(bool flush = false);

  StoreStats stats() const;

  /// Flushes nothing (the WAL has everything), wakes subscribers, waits for queries. Idempotent.
  void close();

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::store
