#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "query/plan.h"
#include "store/internal/disk.h"
#include "store/internal/duck.h"
#include "store/internal/line_parser.h"
#include "store/internal/manifest.h"
#include "store/internal/plan_sql.h"
#include "store/internal/source_ranges.h"
#include "store/internal/wal.h"
#include "store/store.h"

// Where a row is at a time: in the WAL and a hot table (append), in a sealed hot table while a segment is written of
// it, in a segment (flush). `state_mu_` guards which tables and segments there are, and each step changes that in one
// critical section: a query takes a snapshot and sees every row exactly once. What a snapshot holds stays: a table is
// dropped and a file unlinked when its last holder lets go.
//
// Locks, in the order in which they may be taken: flush_mu_ (one flush at a time) or merge_mu_ (one merge or expiry),
// manifest_mu_ (a manifest line and what it says become true together), hot_mu_ (WAL and hot tables are written),
// state_mu_. commit_mu_, ranges_mu_ and watch_mu_ are taken last and alone. Flushes wait for no merge: they make room.

namespace weir::store {

struct Segment {
  SegmentInfo info;
  std::string root;
  /// Of an older release: the columns it has; null if today's.
  std::shared_ptr<const std::set<std::string>> columns;
  /// Unlink the files when the last holder lets go.
  std::atomic<bool> doomed = false;

  Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment();
  std::string path() const { return root + "/" + info.file; }
};

struct HotTable {
  const DuckDatabase* engine = nullptr;
  std::string name;
  LogType log = LogType::kFlows;
  std::atomic<std::uint64_t> rows = 0;
  // Guarded by hot_mu_.
  std::uint64_t last_seq = 0, min_id = 0, max_id = 0;
  std::int64_t created = 0, min_start = INT64_MAX;

  HotTable() = default;
  HotTable(const HotTable&) = delete;
  HotTable& operator=(const HotTable&) = delete;
  ~HotTable();
};

/// What one query reads.
struct Snapshot {
  std::vector<std::shared_ptr<HotTable>> hot;
  std::vector<std::shared_ptr<Segment>> segments;
  std::uint64_t visible_id = 0;
};

class Store::Impl {
 public:
  explicit Impl(StoreOptions options) : options_(std::move(options)) {}
  ~Impl();
  Status start();
  void close();

  Result<Appended> append(LogType log, const std::optional<SourceRange>& range, std::string_view ndjson);
  std::uint64_t stored_until(std::string_view agent, std::string_view stream, std::uint64_t from) const;
  Result<query::Answer> query(const query::Request& request);
  Status tick(bool flush);
  StoreStats stats();

  // For subscriptions.
  /// Waits until a row above `after` is visible, up to `deadline`; the newest visible id. kCancelled when closing.
  Result<std::uint64_t> wait_for_rows(LogType log, std::uint64_t after, std::chrono::steady_clock::time_point deadline);
  Result<query::Answer> rows_above(const query::Plan& plan, std::uint64_t above, std::uint64_t up_to,
                                   std::uint32_t limit);
  /// The smallest id that is still stored; what comes next if there is none.
  std::uint64_t oldest_id(LogType log);
  std::uint64_t visible_id(LogType log);
  void count_subscription(int change) { subscriptions_ += static_cast<std::uint64_t>(change); }

 private:
  struct Pending;
  class Watched;

  // store_append.cc
  Result<std::optional<RangeSet>> begin_range(const SourceRange& range, std::size_t bytes);
  void end_range(LogType log, const SourceRange& range, std::uint64_t seq, bool stored);
  Status wait_for_room(std::size_t bytes);
  Status commit(Pending& pending);
  void write_batch(const std::vector<Pending*>& batch);
  Status place(LogType log, std::uint64_t seq, std::uint64_t first_row, const RowBatch& batch);
  void place_or_keep(LogType log, std::uint64_t seq, std::uint64_t first_row, RowBatch batch);
  void place_kept();
  std::uint64_t hot_rows(LogType log);

  // store.cc
  Status lock_folder();
  Status load(ManifestContents& contents);
  Status replay(const WalFrame& frame);
  Result<std::shared_ptr<HotTable>> new_hot_table(LogType log);
  void remove_unknown_files(const ManifestContents& contents);
  /// Calls `work` each second, or when woken.
  void run_background(const std::function<Status()>& work, const char* name, bool flushes);
  std::int64_t now() const;
  void note(std::string_view text) const;

  // store_maintenance.cc
  Status flush(LogType log);
  Status flush_table(LogType log, const std::shared_ptr<HotTable>& table);
  Result<std::vector<SegmentInfo>> write_segments(LogType log, const HotTable& table);
  Result<SegmentInfo> write_segment(DuckConnection& connection, LogType log, const std::string& from,
                                    std::int64_t bucket_start, const char* prefix, int group_rows);
  Status write_rollup(DuckConnection& connection, SegmentInfo& segment);
  Status compact(LogType log);
  Status compact_hour(LogType log, const std::vector<std::shared_ptr<Segment>>& parts);
  Status expire();
  Status remove_segments(const std::vector<std::shared_ptr<Segment>>& victims);
  /// Durably; then `apply` makes readers see it, before any other edit.
  Status commit_edit(ManifestEdit edit, const std::function<void()>& apply);
  Status flush_due(bool all);
  Status merge_due();
  std::shared_ptr<Segment> make_segment(SegmentInfo info);
  std::string new_file(LogType log, std::int64_t start, const char* prefix, const char* folder);
  std::uint64_t total_bytes();
  ManifestContents whole_contents();

  // store_query.cc
  Snapshot snapshot(LogType log);
  Result<DuckConnection> open_connection() const { return engine_->connect(); }
  Status fill_completeness(const query::Plan& plan, query::Answer& answer);
  Result<query::Answer> run_grouped(const query::Plan& plan);
  Result<query::Answer> run_rows(const query::Plan& plan);
  Result<query::Answer> run_newest(const query::Plan& plan);
  bool is_beyond_retention(LogType log, std::int64_t from);

  StoreOptions options_;
  int lock_fd_ = -1;
  std::optional<DuckDatabase> engine_;
  std::atomic<bool> closing_ = false;

  struct PerLog {
    std::shared_ptr<HotTable> hot;
    std::vector<std::shared_ptr<HotTable>> sealed;
    std::vector<std::shared_ptr<Segment>> segments;
    std::uint64_t visible_id = 0;
    std::uint64_t segments_expired = 0, rows_expired = 0;
  };
  std::mutex state_mu_;
  std::condition_variable visible_;
  std::array<PerLog, model::kLogTypes> logs_;

  // Guarded by hot_mu_.
  std::mutex hot_mu_;
  std::optional<Wal> wal_;
  std::optional<DuckConnection> hot_connection_;
  std::uint64_t next_seq_ = 1;
  Wal::Flushed flushed_{};
  PerLogNumbers next_row_{1, 1, 1, 1, 1};
  /// Durable rows that the engine did not take, in their order.
  struct Unplaced {
    std::uint64_t seq, first_row;
    RowBatch batch;
  };
  std::array<std::deque<Unplaced>, model::kLogTypes> unplaced_;
  std::atomic<std::uint64_t> unplaced_rows_ = 0;
  std::uint64_t hot_table_count_ = 0;

  std::mutex commit_mu_;
  std::condition_variable committed_;
  std::deque<Pending*> queue_;
  bool has_leader_ = false;
  std::uint64_t pending_bytes_ = 0;

  mutable std::mutex ranges_mu_;
  std::condition_variable range_done_;
  SourceRanges ranges_;
  /// Being stored at this moment.
  std::vector<const SourceRange*> in_flight_;
  /// Stored, but in no manifest yet.
  struct UnsavedRange {
    LogType log;
    std::uint64_t seq;
    ManifestEdit::Range range;
  };
  std::vector<UnsavedRange> unsaved_ranges_;

  std::mutex flush_mu_, merge_mu_;
  // Guarded by manifest_mu_.
  std::mutex manifest_mu_;
  std::optional<Manifest> manifest_;
  /// Those of ranges_ that are in the manifest.
  SourceRanges saved_ranges_;
  std::atomic<std::uint64_t> file_count_ = 0;
  std::map<std::uint64_t, std::string> schemas_;

  // The queries that run, and until when they may.
  std::mutex watch_mu_;
  std::condition_variable watch_change_;
  std::list<Watched*> watched_;

  std::mutex background_mu_;
  std::condition_variable wake_background_;
  bool flush_wanted_ = false;
  std::jthread flusher_, merger_, watcher_;
  void run_watcher();

  // Counters.
  struct LogCounters {
    std::atomic<std::uint64_t> appended = 0, duplicate = 0, refused = 0;
  };
  std::array<LogCounters, model::kLogTypes> counters_;
  std::atomic<std::uint64_t> wal_syncs_ = 0, appends_ = 0, flushes_ = 0, compactions_ = 0, background_failures_ = 0,
                             queries_ = 0, query_failures_ = 0, subscriptions_ = 0, torn_bytes_ = 0, replayed_rows_ = 0;
};

/// A query's connection while it runs: interrupted at its deadline or when the store closes.
class Store::Impl::Watched {
 public:
  Watched(Impl& impl, DuckConnection& connection);
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  ~Watched();

 private:
  friend class Store::Impl;
  Impl& impl_;
  DuckConnection& connection_;
  std::chrono::steady_clock::time_point deadline_;
};

/// The schema number of today's columns of a log, and their names.
std::uint64_t schema_of(LogType log);
std::string schema_text(LogType log);

}  // namespace weir::store
