#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>
#include <utility>

#include "store/internal/store_impl.h"

// Every change of what is stored is one manifest record; only after it is on the disk do readers see the change. A file
// that was written before its record is unknown at the next start and removed.

namespace weir::store {
namespace {

constexpr std::int64_t kHour = 3600, kDay = 86'400;
/// A flush that spans more hours than this makes a file a day; more days, one file.
constexpr std::int64_t kMaxFilesOfFlush = 48;
/// A merged hour takes late rows in once they are that many files, or a tenth of it.
constexpr std::size_t kLateFiles = 4;
constexpr std::uint64_t kLateShare = 10;
/// Streams that nobody has sent for so long are forgotten.
constexpr std::int64_t kStreamDays = 30;
constexpr std::uint64_t kSizeReserve = 64ull * 1024 * 1024;

/// Rows of a Parquet row group, which is in memory while it is written; and where there is no memory for that.
constexpr int kGroupRows = 122'880, kSmallGroupRows = 16'384;

std::string parquet_options(int group_rows) {
  return "(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE " + std::to_string(group_rows) + ")";
}

}  // namespace

std::string Store::Impl::new_file(LogType log, std::int64_t start, const char* prefix, const char* folder) {
  const std::time_t time = start;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char hour[32];
  std::strftime(hour, sizeof hour, "%Y%m%d/%H", &parts);
  std::string file;
  do {
    file = std::string(folder) + "/" + std::string(to_string(log)) + "/" + hour + "/" + prefix + "-" +
           std::to_string(file_count_++) + ".parquet";
  } while (std::filesystem::exists(options_.directory + "/" + file));
  return file;
}

/// Writes the rows of `from` (a table or read_parquet call, and a condition) as one sorted file.
Result<SegmentInfo> Store::Impl::write_segment(DuckConnection& connection, LogType log, const std::string& from,
                                               std::int64_t bucket_start, const char* prefix, int group_rows) {
  SegmentInfo segment;
  segment.log = log;
  segment.schema = schema_of(log);
  TRY_ASSIGN(DuckResult result,
             connection.query("SELECT count(*),min(start_time),max(start_time),min(row_id),max(row_id) FROM " + from));
  {
    const DuckChunk chunk = result.next();
    segment.rows = static_cast<std::uint64_t>(chunk.integer(0, 0));
    if (segment.rows == 0) return Error{ErrorCode::kInternal, "no rows to write"};
    segment.min_start = chunk.integer(1, 0);
    segment.max_start = chunk.integer(2, 0);
    segment.min_id = static_cast<std::uint64_t>(chunk.integer(3, 0));
    segment.max_id = static_cast<std::uint64_t>(chunk.integer(4, 0));
  }
  segment.file = new_file(log, bucket_start, prefix, "parquet");
  const std::string path = options_.directory + "/" + segment.file;
  const std::string temporary = options_.directory + "/tmp/" + std::to_string(file_count_++) + ".parquet.tmp";
  TRY(make_folder(std::filesystem::path(path).parent_path()));
  remove_file(temporary);
  TRY(connection.run("COPY (SELECT * FROM " + from + " ORDER BY " + std::string(sort_key(log)) + ") TO " +
                     sql_text(temporary) + " " + parquet_options(group_rows)));
  TRY(publish_file(temporary, path));
  segment.bytes = file_size(path);
  return segment;
}

Status Store::Impl::write_rollup(DuckConnection& connection, SegmentInfo& segment) {
  const std::string file = new_file(segment.log, segment.min_start, "r", "rollup");
  const std::string path = options_.directory + "/" + file;
  const std::string temporary = options_.directory + "/tmp/" + std::to_string(file_count_++) + ".rollup.tmp";
  TRY(make_folder(std::filesystem::path(path).parent_path()));
  remove_file(temporary);
  const std::string source = files_sql(std::vector<std::string>{options_.directory + "/" + segment.file});
  TRY(connection.run("COPY (" + rollup_sql(source) + ") TO " + sql_text(temporary) + " " +
                     parquet_options(kGroupRows)));
  TRY(publish_file(temporary, path));
  segment.rollup = file;
  segment.rollup_bytes = file_size(path);
  TRY_ASSIGN(const std::int64_t rows,
             connection.number("SELECT count(*) FROM " + files_sql(std::vector<std::string>{path})));
  segment.rollup_rows = static_cast<std::uint64_t>(rows);
  return {};
}

Result<std::vector<SegmentInfo>> Store::Impl::write_segments(LogType log, const HotTable& table) {
  std::vector<SegmentInfo> segments;
  TRY_ASSIGN(DuckConnection connection, open_connection());
  const auto buckets_of = [&](std::int64_t width) -> Result<std::vector<std::int64_t>> {
    const std::string bucket = "start_time-start_time%" + std::to_string(width);
    TRY_ASSIGN(DuckResult result, connection.query("SELECT DISTINCT " + bucket + " AS b FROM " + sql_name(table.name) +
                                                   " ORDER BY b LIMIT " + std::to_string(kMaxFilesOfFlush + 1)));
    std::vector<std::int64_t> buckets;
    while (true) {
      const DuckChunk chunk = result.next();
      if (chunk.rows() == 0) return buckets;
      for (std::size_t row = 0; row < chunk.rows(); ++row) buckets.push_back(chunk.integer(0, row));
    }
  };
  std::int64_t width = kHour;
  TRY_ASSIGN(std::vector<std::int64_t> buckets, buckets_of(width));
  if (buckets.size() > kMaxFilesOfFlush) {
    width = kDay;
    TRY_ASSIGN(buckets, buckets_of(width));
  }
  if (buckets.size() > kMaxFilesOfFlush) {
    width = INT64_MAX / 2;
    buckets = {0};
  }
  for (const std::int64_t bucket : buckets) {
    const std::string from = sql_name(table.name) + " WHERE start_time>=" + std::to_string(bucket) +
                             " AND start_time<" + std::to_string(bucket + width);
    TRY_ASSIGN(SegmentInfo segment,
               write_segment(connection, log, from, std::max(bucket, table.min_start), "m", kGroupRows));
    segments.push_back(std::move(segment));
  }
  return segments;
}

ManifestContents Store::Impl::whole_contents() {
  ManifestContents contents;
  contents.schemas = schemas_;
  {
    const std::lock_guard lock(hot_mu_);
    contents.flushed = flushed_;
    contents.next_row = next_row_;
  }
  {
    const std::lock_guard lock(state_mu_);
    for (const PerLog& state : logs_) {
      for (const auto& segment : state.segments) contents.segments[segment->info.file] = segment->info;
    }
  }
  // Ranges of frames that are still in the WAL may be there too: a replay adds nothing to them but skips such frames,
  // so they must not be.
  const std::lock_guard lock(ranges_mu_);
  const std::int64_t oldest = now() - kStreamDays * kDay;
  std::erase_if(ranges_, [&](const auto& stream) { return stream.second.touched < oldest; });
  contents.ranges = saved_ranges_;
  return contents;
}

Status Store::Impl::commit_edit(ManifestEdit edit, const std::function<void()>& apply) {
  const std::lock_guard manifest_lock(manifest_mu_);
  for (const SegmentInfo& segment : edit.added) {
    if (schemas_.emplace(segment.schema, schema_text(segment.log)).second) {
      edit.schemas.emplace_back(segment.schema, schema_text(segment.log));
    }
  }
  const Status status = manifest_->commit(edit, [this] { return whole_contents(); });
  if (!status.ok()) {
    for (const auto& [schema, text] : edit.schemas) schemas_.erase(schema);
    return status;
  }
  for (const ManifestEdit::Range& range : edit.ranges) {
    StreamRanges& stream = saved_ranges_[{range.agent, range.stream}];
    stream.stored.add(range.begin, range.end);
    stream.touched = std::max(stream.touched, range.touched);
  }
  const std::int64_t oldest = now() - kStreamDays * kDay;
  std::erase_if(saved_ranges_, [&](const auto& stream) { return stream.second.touched < oldest; });
  apply();
  return {};
}

/// Makes a segment of a sealed table.
Status Store::Impl::flush_table(LogType log, const std::shared_ptr<HotTable>& table) {
  const auto at = static_cast<std::size_t>(log);
  ManifestEdit edit;
  std::uint64_t last_seq = 0;
  {
    const std::lock_guard lock(hot_mu_);
    last_seq = table->last_seq;
    edit.next_row = next_row_;
  }
  if (table->rows > 0) {
    TRY_ASSIGN(edit.added, write_segments(log, *table));
  }
  edit.flushed[at] = last_seq;
  const auto is_covered = [&](const UnsavedRange& range) { return range.log == log && range.seq <= last_seq; };
  {
    const std::lock_guard lock(ranges_mu_);
    for (const UnsavedRange& range : unsaved_ranges_) {
      if (!is_covered(range)) continue;
      // Mostly one append goes on where the last one ended.
      ManifestEdit::Range* last = edit.ranges.empty() ? nullptr : &edit.ranges.back();
      if (last != nullptr && last->agent == range.range.agent && last->stream == range.range.stream &&
          last->end == range.range.begin) {
        last->end = range.range.end;
        last->touched = range.range.touched;
      } else {
        edit.ranges.push_back(range.range);
      }
    }
  }
  const std::vector<SegmentInfo> added = edit.added;
  TRY(commit_edit(std::move(edit), [&] {
    const std::lock_guard hot_lock(hot_mu_);
    flushed_[at] = std::max(flushed_[at], last_seq);
    const std::lock_guard lock(state_mu_);
    for (const SegmentInfo& segment : added) logs_[at].segments.push_back(make_segment(segment));
    std::erase(logs_[at].sealed, table);
  }));
  {
    const std::lock_guard lock(ranges_mu_);
    std::erase_if(unsaved_ranges_, is_covered);
  }
  ++flushes_;
  const std::lock_guard lock(hot_mu_);
  if (wal_) wal_->trim(flushed_);
  return {};
}

Status Store::Impl::flush(LogType log) {
  PerLog& state = logs_[static_cast<std::size_t>(log)];
  // Those that an earlier attempt left come first, so that the WAL's numbers rise.
  std::vector<std::shared_ptr<HotTable>> sealed;
  {
    const std::lock_guard hot_lock(hot_mu_);
    if (state.hot->rows > 0 || state.hot->last_seq > flushed_[static_cast<std::size_t>(log)]) {
      TRY_ASSIGN(std::shared_ptr<HotTable> fresh, new_hot_table(log));
      const std::lock_guard lock(state_mu_);
      state.sealed.push_back(std::exchange(state.hot, std::move(fresh)));
    }
    const std::lock_guard lock(state_mu_);
    sealed = state.sealed;
  }
  for (const auto& table : sealed) TRY(flush_table(log, table));
  return {};
}

Status Store::Impl::compact_hour(LogType log, const std::vector<std::shared_ptr<Segment>>& parts) {
  // For the time of the merge, which reads and writes files only. One thread: it has an hour for it, queries have not.
  DuckDatabase::Options merging;
  merging.threads = 1;
  merging.memory_bytes = options_.memory_bytes * 3 / 8;
  merging.temp_directory = options_.directory + "/tmp/merge";
  TRY_ASSIGN(const DuckDatabase engine, DuckDatabase::open(merging));
  TRY_ASSIGN(DuckConnection connection, engine.connect());
  std::string from;
  for (const auto& part : parts) {
    std::string columns;
    for (const StoreColumn& column : columns_of(log)) {
      const bool has = part->columns == nullptr || part->columns->count(column.name) > 0;
      columns +=
          (columns.empty() ? "" : ",") + (has ? "" : std::string(absent_sql(column)) + " AS ") + sql_name(column.name);
    }
    from += (from.empty() ? "(SELECT " : " UNION ALL SELECT ") + columns + " FROM " +
            files_sql(std::vector<std::string>{part->path()});
  }
  from += ")";
  ManifestEdit edit;
  const std::int64_t start = parts.front()->info.min_start;
  Result<SegmentInfo> written = write_segment(connection, log, from, start, "h", kGroupRows);
  if (!written.ok() && written.error().code == ErrorCode::kResourceExhausted) {
    written = write_segment(connection, log, from, start, "h", kSmallGroupRows);
  }
  TRY_ASSIGN(SegmentInfo merged, std::move(written));
  merged.compacted = true;
  if (log == LogType::kFlows) TRY(write_rollup(connection, merged));
  std::uint64_t rows = 0;
  for (const auto& part : parts) {
    rows += part->info.rows;
    edit.removed.push_back(part->info.file);
  }
  if (rows != merged.rows) {
    return Error{ErrorCode::kInternal, "compaction of " + merged.file + " has " + std::to_string(merged.rows) +
                                           " rows instead of " + std::to_string(rows)};
  }
  edit.added.push_back(merged);
  {
    const std::lock_guard lock(hot_mu_);
    edit.next_row = next_row_;
  }
  TRY(commit_edit(std::move(edit), [&] {
    const std::lock_guard lock(state_mu_);
    auto& segments = logs_[static_cast<std::size_t>(log)].segments;
    std::erase_if(segments,
                  [&](const auto& segment) { return std::find(parts.begin(), parts.end(), segment) != parts.end(); });
    segments.push_back(make_segment(merged));
  }));
  for (const auto& part : parts) part->doomed = true;
  ++compactions_;
  return {};
}

Status Store::Impl::compact(LogType log) {
  std::map<std::int64_t, std::vector<std::shared_ptr<Segment>>> hours;
  {
    const std::lock_guard lock(state_mu_);
    for (const auto& segment : logs_[static_cast<std::size_t>(log)].segments) {
      const std::int64_t hour = segment->info.min_start / kHour;
      if (hour == segment->info.max_start / kHour) hours[hour].push_back(segment);
    }
  }
  for (const auto& [hour, parts] : hours) {
    if (closing_) break;
    if ((hour + 1) * kHour + options_.compaction_delay.count() > now()) continue;
    std::uint64_t merged_rows = 0, late_rows = 0, late_files = 0;
    for (const auto& part : parts) {
      (part->info.compacted ? merged_rows : late_rows) += part->info.rows;
      late_files += part->info.compacted ? 0 : 1;
    }
    if (late_files == 0 || (late_files == 1 && merged_rows == 0 && log != LogType::kFlows)) continue;
    if (merged_rows > 0 && late_files < kLateFiles && late_rows * kLateShare < merged_rows) continue;
    TRY(compact_hour(log, parts));
  }
  return {};
}

std::uint64_t Store::Impl::total_bytes() {
  std::uint64_t bytes = 0;
  {
    const std::lock_guard lock(manifest_mu_);
    bytes = manifest_->bytes();
  }
  {
    const std::lock_guard lock(state_mu_);
    for (const PerLog& state : logs_) {
      for (const auto& segment : state.segments) bytes += segment->info.bytes + segment->info.rollup_bytes;
    }
  }
  const std::lock_guard lock(hot_mu_);
  return bytes + wal_->bytes();
}

Status Store::Impl::remove_segments(const std::vector<std::shared_ptr<Segment>>& victims) {
  if (victims.empty()) return {};
  ManifestEdit edit;
  for (const auto& victim : victims) edit.removed.push_back(victim->info.file);
  {
    const std::lock_guard lock(hot_mu_);
    edit.next_row = next_row_;
  }
  return commit_edit(std::move(edit), [&] {
    const std::lock_guard lock(state_mu_);
    for (const auto& victim : victims) {
      PerLog& state = logs_[static_cast<std::size_t>(victim->info.log)];
      std::erase(state.segments, victim);
      ++state.segments_expired;
      state.rows_expired += victim->info.rows;
      victim->doomed = true;
    }
  });
}

Status Store::Impl::expire() {
  std::vector<std::shared_ptr<Segment>> all, victims;
  {
    const std::lock_guard lock(state_mu_);
    for (const PerLog& state : logs_) all.insert(all.end(), state.segments.begin(), state.segments.end());
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->info.max_start < b->info.max_start; });
  const std::uint64_t reserve = std::min(options_.max_bytes / 4, kSizeReserve);
  std::uint64_t bytes = total_bytes();
  for (const auto& segment : all) {
    const auto age = options_.retention[static_cast<std::size_t>(segment->info.log)].count();
    const bool too_old = segment->info.max_start < now() - age;
    const bool too_much = options_.max_bytes > 0 && bytes + reserve > options_.max_bytes;
    if (!too_old && !too_much) continue;
    bytes -= segment->info.bytes + segment->info.rollup_bytes;
    victims.push_back(segment);
  }
  return remove_segments(victims);
}

namespace {

/// Does all the work that it can; the first error is told.
void keep_first(Status& first, Status status) {
  if (!status.ok() && first.ok()) first = std::move(status);
}

}  // namespace

Status Store::Impl::flush_due(bool all) {
  const std::lock_guard lock(flush_mu_);
  place_kept();
  Status first;
  for (std::size_t log = 0; log < model::kLogTypes; ++log) {
    bool due = all;
    {
      const std::lock_guard hot_lock(hot_mu_);
      const HotTable& hot = *logs_[log].hot;
      const bool used = hot.rows > 0 || hot.last_seq > flushed_[log];
      due = due || hot.rows >= options_.flush_rows || (used && now() - hot.created >= options_.flush_interval.count());
      const std::lock_guard state_lock(state_mu_);
      due = due || !logs_[log].sealed.empty();
    }
    if (due) keep_first(first, flush(static_cast<LogType>(log)));
  }
  return first;
}

Status Store::Impl::merge_due() {
  const std::lock_guard lock(merge_mu_);
  Status first;
  // First room, then work that needs room.
  keep_first(first, expire());
  for (std::size_t log = 0; log < model::kLogTypes && !closing_; ++log) {
    keep_first(first, compact(static_cast<LogType>(log)));
  }
  return first;
}

Status Store::Impl::tick(bool flush_all) {
  Status first = flush_due(flush_all);
  keep_first(first, merge_due());
  return first;
}

}  // namespace weir::store
