#include "store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "store/internal/store_impl.h"

namespace weir::store {

using std::chrono::steady_clock;

std::string schema_text(LogType log) {
  std::string text;
  for (const StoreColumn& column : columns_of(log)) text += (text.empty() ? "" : ",") + column.name;
  return text;
}

std::uint64_t schema_of(LogType log) {
  const std::string text = schema_text(log);
  return hash_bytes(text.data(), text.size(), static_cast<std::uint64_t>(log));
}

Segment::~Segment() {
  if (!doomed) return;
  remove_file(path());
  if (!info.rollup.empty()) remove_file(root + "/" + info.rollup);
}

HotTable::~HotTable() {
  Result<DuckConnection> connection = engine->connect();
  if (connection.ok()) (void)connection.value().run("DROP TABLE IF EXISTS " + sql_name(name)).ok();
}

Status StoreOptions::validate() const {
  std::string wrong;
  const auto check = [&](bool fine, const char* what) {
    if (!fine) wrong += (wrong.empty() ? "" : "; ") + std::string(what);
  };
  check(!directory.empty(), "directory: must be given");
  check(memory_bytes >= 256ull * 1024 * 1024, "memory_bytes: must be at least 256 MiB");
  check(flush_rows >= 1, "flush_rows: must be at least 1");
  check(flush_interval.count() >= 1, "flush_interval: must be at least 1 s");
  check(max_bytes == 0 || max_bytes >= 64ull * 1024 * 1024, "max_bytes: must be 0 or at least 64 MiB");
  for (const auto& age : retention) check(age.count() >= 1, "retention: must be at least 1 s");
  if (!wrong.empty()) return invalid_argument("store: " + wrong);
  return {};
}

Store::Impl::~Impl() {
  close();
  // Tables are dropped by whoever holds them: before the engine goes.
  for (PerLog& state : logs_) state = {};
  hot_connection_.reset();
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

void Store::Impl::note(std::string_view text) const {
  if (options_.note) options_.note(text);
}

std::int64_t Store::Impl::now() const { return options_.now ? options_.now() : std::time(nullptr); }

Status Store::Impl::lock_folder() {
  const std::string path = options_.directory + "/LOCK";
  lock_fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (lock_fd_ < 0) return errno_error("open", path);
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return Error{ErrorCode::kUnavailable, options_.directory + ": another process has this store open"};
  }
  return {};
}

Result<std::shared_ptr<HotTable>> Store::Impl::new_hot_table(LogType log) {
  auto table = std::make_shared<HotTable>();
  table->engine = &*engine_;
  table->log = log;
  table->name = "hot_" + std::string(to_string(log)) + "_" + std::to_string(hot_table_count_++);
  table->created = now();
  TRY(hot_connection_->run(create_table_sql(log, table->name)));
  return table;
}

std::shared_ptr<Segment> Store::Impl::make_segment(SegmentInfo info) {
  auto segment = std::make_shared<Segment>();
  segment->root = options_.directory;
  const auto schema = schemas_.find(info.schema);
  if (info.schema != schema_of(info.log) && schema != schemas_.end()) {
    auto columns = std::make_shared<std::set<std::string>>();
    std::string_view names = schema->second;
    while (!names.empty()) {
      const std::size_t comma = names.find(',');
      columns->emplace(names.substr(0, comma));
      names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
    }
    segment->columns = std::move(columns);
  }
  segment->info = std::move(info);
  return segment;
}

void Store::Impl::remove_unknown_files(const ManifestContents& contents) {
  std::set<std::string> known;
  for (const auto& [file, segment] : contents.segments) {
    known.insert(file);
    if (!segment.rollup.empty()) known.insert(segment.rollup);
  }
  for (const char* folder : {"parquet", "rollup"}) {
    for (const std::string& file : files_below(options_.directory + "/" + folder)) {
      const std::string name = std::string(folder) + "/" + file;
      // What was being written when the process died: its rows are in the WAL, or in the segments it was merged from.
      if (known.count(name) == 0) remove_file(options_.directory + "/" + name);
    }
  }
  for (const std::string& file : files_below(options_.directory + "/tmp")) {
    remove_file(options_.directory + "/tmp/" + file);
  }
}

Status Store::Impl::load(ManifestContents& contents) {
  TRY_ASSIGN(manifest_, Manifest::open(options_.directory + "/MANIFEST", contents));
  flushed_ = contents.flushed;
  next_row_ = contents.next_row;
  ranges_ = contents.ranges;
  saved_ranges_ = contents.ranges;
  schemas_ = contents.schemas;
  for (const auto& [file, info] : contents.segments) {
    const std::uint64_t size = file_size(options_.directory + "/" + file);
    if (size != info.bytes) {
      return data_loss(options_.directory + "/" + file + ": the manifest says " + std::to_string(info.bytes) +
                       " bytes, it has " + std::to_string(size) + "; put the file back, or remove the store");
    }
    PerLog& state = logs_[static_cast<std::size_t>(info.log)];
    state.segments.push_back(make_segment(info));
  }
  remove_unknown_files(contents);
  for (std::size_t log = 0; log < model::kLogTypes; ++log) {
    TRY_ASSIGN(logs_[log].hot, new_hot_table(static_cast<LogType>(log)));
    logs_[log].visible_id = next_row_[log] - 1;
  }
  return {};
}

Status Store::Impl::replay(const WalFrame& frame) {
  const auto log = static_cast<std::size_t>(frame.log);
  next_seq_ = std::max(next_seq_, frame.seq + 1);
  if (frame.seq <= flushed_[log]) return {};
  if (frame.has_range) {
    StreamRanges& stream = ranges_[{frame.agent, frame.stream}];
    // A frame whose append failed may still be there when the same lines were sent again: the first one counts.
    if (stream.stored.covers(frame.begin, frame.end)) return {};
    stream.stored.add(frame.begin, frame.end);
    stream.touched = std::max(stream.touched, frame.time);
    unsaved_ranges_.push_back({frame.log, frame.seq, {frame.agent, frame.stream, frame.begin, frame.end, frame.time}});
  }
  ParsedLines parsed = parse_lines(frame.log, frame.text, frame.agent, nullptr, 0);
  if (parsed.batch.rows() != frame.rows) {
    note("WAL frame " + std::to_string(frame.seq) + ": " + std::to_string(frame.rows) + " rows were written, " +
         std::to_string(parsed.batch.rows()) + " can be read");
  }
  replayed_rows_ += parsed.batch.rows();
  next_row_[log] = std::max(next_row_[log], frame.first_row + frame.rows);
  TRY(place(frame.log, frame.seq, frame.first_row, parsed.batch));
  // A long WAL must not need more memory than the hot table may.
  if (logs_[log].hot->rows < options_.flush_rows) return {};
  return flush(frame.log);
}

Status Store::Impl::start() {
  TRY(options_.validate());
  for (const char* folder : {"", "/wal", "/parquet", "/rollup", "/tmp"}) TRY(make_folder(options_.directory + folder));
  TRY(lock_folder());
  DuckDatabase::Options engine;
  engine.threads = options_.threads;
  // Merges have an engine of their own: they take all that they may, and would leave no room for appends. The rest is
  // for batches and what engines do not count.
  engine.memory_bytes = options_.memory_bytes / 2;
  engine.temp_directory = options_.directory + "/tmp";
  TRY_ASSIGN(DuckDatabase opened, DuckDatabase::open(engine));
  engine_.emplace(std::move(opened));
  TRY_ASSIGN(DuckConnection connection, engine_->connect());
  TRY(register_filter_functions(connection));
  hot_connection_.emplace(std::move(connection));
  ManifestContents contents;
  TRY(load(contents));
  const std::uint64_t floor = *std::max_element(flushed_.begin(), flushed_.end());
  next_seq_ = floor + 1;
  TRY_ASSIGN(Wal wal, Wal::open(
                          options_.directory + "/wal", floor, [this](const WalFrame& frame) { return replay(frame); },
                          [this](std::string_view text) { note(text); }));
  torn_bytes_ = wal.torn_bytes();
  next_seq_ = std::max(next_seq_, wal.last_seq() + 1);
  wal_.emplace(std::move(wal));
  watcher_ = std::jthread([this] { run_watcher(); });
  file_count_ = next_seq_;
  if (options_.background) {
    flusher_ = std::jthread([this] { run_background([this] { return flush_due(false); }, "flush", true); });
    merger_ = std::jthread([this] { run_background([this] { return merge_due(); }, "merge and expiry", false); });
  }
  return {};
}

void Store::Impl::run_background(const std::function<Status()>& work, const char* name, bool flushes) {
  bool failing = false;
  while (!closing_) {
    {
      std::unique_lock lock(background_mu_);
      // What failed is tried again, but not at once.
      wake_background_.wait_for(lock, std::chrono::seconds(failing ? 5 : 1),
                                [&] { return closing_ || (flushes && !failing && flush_wanted_); });
      if (flushes) flush_wanted_ = false;
    }
    if (closing_) return;
    const Status status = work();
    if (!status.ok()) {
      ++background_failures_;
      // Told once, when it begins.
      if (!failing) note(std::string(name) + " failed and is tried again: " + status.error().message);
      failing = true;
    } else if (std::exchange(failing, false)) {
      note(std::string(name) + ": well again");
    }
    const std::lock_guard lock(commit_mu_);
    committed_.notify_all();
  }
}

void Store::Impl::close() {
  if (closing_.exchange(true)) return;
  const auto wake = [](std::mutex& mutex, std::condition_variable& condition) {
    const std::lock_guard lock(mutex);
    condition.notify_all();
  };
  wake(background_mu_, wake_background_);
  wake(commit_mu_, committed_);
  wake(state_mu_, visible_);
  wake(watch_mu_, watch_change_);
  if (flusher_.joinable()) flusher_.join();
  if (merger_.joinable()) merger_.join();
  {
    // Queries end at their interrupt.
    std::unique_lock lock(watch_mu_);
    watch_change_.wait(lock, [this] { return watched_.empty(); });
  }
  if (watcher_.joinable()) watcher_.join();
}

Store::Impl::Watched::Watched(Impl& impl, DuckConnection& connection)
    : impl_(impl), connection_(connection), deadline_(steady_clock::now() + impl.options_.query_timeout) {
  const std::lock_guard lock(impl_.watch_mu_);
  impl_.watched_.push_back(this);
  impl_.watch_change_.notify_all();
}
Store::Impl::Watched::~Watched() {
  const std::lock_guard lock(impl_.watch_mu_);
  impl_.watched_.remove(this);
  impl_.watch_change_.notify_all();
}

void Store::Impl::run_watcher() {
  std::unique_lock lock(watch_mu_);
  while (!closing_ || !watched_.empty()) {
    auto next = steady_clock::now() + std::chrono::hours(1);
    for (Watched* query : watched_) {
      if (closing_ || query->deadline_ <= steady_clock::now()) {
        // Again and again until it has ended: one that has not begun yet does not hear it.
        query->connection_.interrupt();
        next = steady_clock::now() + std::chrono::milliseconds(20);
      } else {
        next = std::min(next, query->deadline_);
      }
    }
    watch_change_.wait_until(lock, next);
  }
}

StoreStats Store::Impl::stats() {
  StoreStats stats;
  {
    const std::lock_guard lock(state_mu_);
    for (std::size_t log = 0; log < model::kLogTypes; ++log) {
      StoreStats::PerLog& out = stats.logs[log];
      const PerLog& state = logs_[log];
      out.rows_appended = counters_[log].appended;
      out.lines_duplicate = counters_[log].duplicate;
      out.lines_refused = counters_[log].refused;
      out.hot_rows = state.hot->rows;
      for (const auto& table : state.sealed) out.hot_rows += table->rows;
      out.segments = state.segments.size();
      out.segments_expired = state.segments_expired;
      out.rows_expired = state.rows_expired;
      for (const auto& segment : state.segments) {
        out.segment_rows += segment->info.rows;
        out.segment_bytes += segment->info.bytes;
        stats.rollup_bytes += segment->info.rollup_bytes;
        out.oldest = std::min(out.oldest.value_or(INT64_MAX), segment->info.min_start);
      }
      stats.total_bytes += out.segment_bytes;
    }
  }
  {
    const std::lock_guard lock(hot_mu_);
    stats.wal_bytes = wal_->bytes();
    for (std::size_t log = 0; log < model::kLogTypes; ++log) {
      if (logs_[log].hot->rows == 0) continue;
      auto& oldest = stats.logs[log].oldest;
      oldest = std::min(oldest.value_or(INT64_MAX), logs_[log].hot->min_start);
    }
  }
  stats.total_bytes += stats.wal_bytes + stats.rollup_bytes;
  stats.wal_syncs = wal_syncs_;
  stats.appends = appends_;
  stats.flushes = flushes_;
  stats.compactions = compactions_;
  stats.background_failures = background_failures_;
  stats.queries = queries_;
  stats.query_failures = query_failures_;
  stats.subscriptions = subscriptions_;
  stats.wal_torn_bytes = torn_bytes_;
  stats.wal_replayed_rows = replayed_rows_;
  return stats;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TRY(impl->start());
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Result<Appended> Store::append(LogType log, const std::optional<SourceRange>& range, std::string_view ndjson) {
  return impl_->append(log, range, ndjson);
}
std::uint64_t Store::stored_until(std::string_view agent, std::string_view stream, std::uint64_t from) const {
  return impl_->stored_until(agent, stream, from);
}
Result<query::Answer> Store::query(const query::Request& request) const { return impl_->query(request); }
Status Store::tick(bool flush) { return impl_->tick(flush); }
StoreStats Store::stats() const { return impl_->stats(); }
void Store::close() { impl_->close(); }

}  // namespace weir::store
