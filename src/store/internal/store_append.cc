#include <algorithm>
#include <utility>

#include "store/internal/store_impl.h"

// Group commit: whoever finds no leader leads. It takes what has queued, writes it with one fdatasync, puts the rows
// into the hot tables and wakes the rest, so that as many calls share a sync as came while the last one ran.

namespace weir::store {
namespace {

constexpr std::uint64_t kMaxBatchBytes = 16 * 1024 * 1024;
/// What a row takes in a hot table, about.
constexpr std::uint64_t kHotRowBytes = 2500;
constexpr auto kRoomPatience = std::chrono::seconds(5);

bool overlaps(const SourceRange& a, const SourceRange& b) {
  return a.agent == b.agent && a.stream == b.stream && a.begin < b.end && b.begin < a.end;
}

std::uint64_t count_lines(std::string_view text) {
  std::uint64_t lines = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (text.substr(0, end).find_first_not_of(" \t\r") != std::string_view::npos) ++lines;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace

struct Store::Impl::Pending {
  LogType log;
  std::string frame;
  RowBatch* batch;
  std::uint64_t seq = 0;
  bool done = false;
  Status status;
};

std::uint64_t Store::Impl::hot_rows(LogType log) {
  const std::lock_guard lock(state_mu_);
  const PerLog& state = logs_[static_cast<std::size_t>(log)];
  std::uint64_t rows = state.hot->rows;
  for (const auto& table : state.sealed) rows += table->rows;
  return rows;
}

Status Store::Impl::wait_for_room(std::size_t bytes) {
  const std::uint64_t max_rows = std::max(options_.flush_rows * 3 / 2, options_.memory_bytes / 6 / kHotRowBytes);
  const std::uint64_t max_pending = options_.memory_bytes / 8;
  const auto has_room = [&] {
    std::uint64_t rows = unplaced_rows_;
    for (std::size_t log = 0; log < model::kLogTypes; ++log) rows += hot_rows(static_cast<LogType>(log));
    return rows < max_rows;
  };
  const auto deadline = std::chrono::steady_clock::now() + kRoomPatience;
  std::unique_lock lock(commit_mu_);
  while (!closing_) {
    lock.unlock();
    const bool rows_fit = has_room();
    lock.lock();
    if (rows_fit && (pending_bytes_ == 0 || pending_bytes_ + bytes <= max_pending)) {
      pending_bytes_ += bytes;
      return {};
    }
    // Without a thread of its own nobody makes room while we wait.
    if (!options_.background || committed_.wait_until(lock, deadline) == std::cv_status::timeout) {
      return Error{ErrorCode::kResourceExhausted, "the store is behind with writing; try again later"};
    }
  }
  return Error{ErrorCode::kCancelled, "the store is closing"};
}

Result<std::optional<RangeSet>> Store::Impl::begin_range(const SourceRange& range, std::size_t bytes) {
  if (range.begin >= range.end) return invalid_argument("range: begin must be before end");
  if (range.agent.empty() || range.stream.empty() || range.agent.size() + range.stream.size() > 4096) {
    return invalid_argument("range: agent and stream must be named, in at most 4 KiB");
  }
  std::unique_lock lock(ranges_mu_);
  range_done_.wait(lock, [&] {
    return std::none_of(in_flight_.begin(), in_flight_.end(),
                        [&](const SourceRange* r) { return overlaps(*r, range); });
  });
  const auto found = ranges_.find({range.agent, range.stream});
  RangeSet stored;
  if (found != ranges_.end() && found->second.stored.touches(range.begin, range.end)) stored = found->second.stored;
  if (stored.covers(range.begin, range.end)) return std::optional<RangeSet>();
  if (!stored.ranges().empty() && bytes != range.end - range.begin) {
    return invalid_argument(
        "range: part of it is stored already, and the lines are not all of its bytes; send from byte " +
        std::to_string(stored.next_outside(range.begin)) + " on");
  }
  in_flight_.push_back(&range);
  return std::optional<RangeSet>(std::move(stored));
}

void Store::Impl::end_range(LogType log, const SourceRange& range, std::uint64_t seq, bool stored) {
  const std::lock_guard lock(ranges_mu_);
  std::erase(in_flight_, &range);
  if (stored) {
    StreamRanges& stream = ranges_[{range.agent, range.stream}];
    stream.stored.add(range.begin, range.end);
    stream.touched = now();
    unsaved_ranges_.push_back({log, seq, {range.agent, range.stream, range.begin, range.end, stream.touched}});
  }
  range_done_.notify_all();
}

Result<Appended> Store::Impl::append(LogType log, const std::optional<SourceRange>& range, std::string_view ndjson) {
  if (closing_) return Error{ErrorCode::kCancelled, "the store is closing"};
  if (ndjson.size() > kMaxWalText) return invalid_argument("more than 64 MiB of lines at once");
  ++appends_;
  LogCounters& counters = counters_[static_cast<std::size_t>(log)];
  RangeSet stored;
  if (range) {
    TRY_ASSIGN(std::optional<RangeSet> begun, begin_range(*range, ndjson.size()));
    if (!begun) {
      Appended all_known;
      all_known.duplicates = count_lines(ndjson);
      counters.duplicate += all_known.duplicates;
      return all_known;
    }
    stored = std::move(*begun);
  }
  Status status = wait_for_room(ndjson.size());
  Appended appended;
  Pending pending{log, {}, nullptr, 0, false, {}};
  if (status.ok()) {
    ParsedLines parsed = parse_lines(log, ndjson, range ? std::string_view(range->agent) : std::string_view(),
                                     range ? &stored : nullptr, range ? range->begin : 0);
    appended = {parsed.batch.rows(), parsed.duplicates, parsed.refused_lines, std::move(parsed.refused)};
    if (appended.rows > 0 || range) {
      WalFrame frame;
      frame.log = log;
      frame.rows = static_cast<std::uint32_t>(appended.rows);
      frame.time = now();
      frame.has_range = range.has_value();
      if (range) {
        frame.agent = range->agent;
        frame.stream = range->stream;
        frame.begin = range->begin;
        frame.end = range->end;
      }
      pending.frame = encode_wal_frame(frame, parsed.accepted(ndjson));
      pending.batch = &parsed.batch;
      status = commit(pending);
    }
    const std::lock_guard lock(commit_mu_);
    pending_bytes_ -= ndjson.size();
    committed_.notify_all();
  }
  if (range) end_range(log, *range, pending.seq, status.ok());
  if (!status.ok()) return std::move(status).error();
  counters.appended += appended.rows;
  counters.duplicate += appended.duplicates;
  counters.refused += appended.refused_lines;
  return appended;
}

Status Store::Impl::commit(Pending& pending) {
  std::unique_lock lock(commit_mu_);
  queue_.push_back(&pending);
  while (!pending.done) {
    if (has_leader_) {
      committed_.wait(lock);
      continue;
    }
    has_leader_ = true;
    std::vector<Pending*> batch;
    std::uint64_t bytes = 0;
    while (!queue_.empty() && (batch.empty() || bytes + queue_.front()->frame.size() <= kMaxBatchBytes)) {
      bytes += queue_.front()->frame.size();
      batch.push_back(queue_.front());
      queue_.pop_front();
    }
    lock.unlock();
    write_batch(batch);
    lock.lock();
    for (Pending* written : batch) written->done = true;
    has_leader_ = false;
    committed_.notify_all();
  }
  return pending.status;
}

void Store::Impl::write_batch(const std::vector<Pending*>& batch) {
  const std::lock_guard lock(hot_mu_);
  std::string bytes;
  std::array<bool, model::kLogTypes> logs{};
  std::vector<std::uint64_t> first_rows;
  for (Pending* pending : batch) {
    const auto log = static_cast<std::size_t>(pending->log);
    pending->seq = next_seq_++;
    first_rows.push_back(next_row_[log]);
    next_row_[log] += pending->batch->rows();
    logs[log] = true;
    seal_wal_frame(pending->frame, pending->seq, first_rows.back());
    bytes += pending->frame;
  }
  const Status status = wal_->append(bytes, next_seq_ - 1, logs);
  ++wal_syncs_;
  for (std::size_t at = 0; at < batch.size(); ++at) {
    if (status.ok()) {
      place_or_keep(batch[at]->log, batch[at]->seq, first_rows[at], std::move(*batch[at]->batch));
    } else {
      batch[at]->status = status;
    }
  }
}

Status Store::Impl::place(LogType log, std::uint64_t seq, std::uint64_t first_row, const RowBatch& batch) {
  PerLog& state = logs_[static_cast<std::size_t>(log)];
  HotTable& table = *state.hot;
  TRY(batch.append_to(*hot_connection_, table.name, first_row));
  if (batch.rows() > 0) {
    if (table.rows == 0) {
      table.min_id = first_row;
      table.created = now();
    }
    table.max_id = first_row + batch.rows() - 1;
    table.min_start = std::min(table.min_start, batch.min_start());
    table.rows += batch.rows();
  }
  table.last_seq = seq;
  {
    const std::lock_guard lock(state_mu_);
    if (batch.rows() > 0) state.visible_id = table.max_id;
  }
  visible_.notify_all();
  if (table.rows >= options_.flush_rows) {
    const std::lock_guard lock(background_mu_);
    flush_wanted_ = true;
    wake_background_.notify_all();
  }
  return {};
}

/// The rows are durable: if the engine has no memory for them now, they are seen later, not lost.
void Store::Impl::place_or_keep(LogType log, std::uint64_t seq, std::uint64_t first_row, RowBatch batch) {
  std::deque<Unplaced>& kept = unplaced_[static_cast<std::size_t>(log)];
  if (kept.empty()) {
    const Status status = place(log, seq, first_row, batch);
    if (status.ok()) return;
    note("rows are durable but not visible yet: " + status.error().message);
  }
  unplaced_rows_ += batch.rows();
  kept.push_back({seq, first_row, std::move(batch)});
}

void Store::Impl::place_kept() {
  const std::lock_guard lock(hot_mu_);
  for (std::size_t log = 0; log < model::kLogTypes; ++log) {
    std::deque<Unplaced>& kept = unplaced_[log];
    while (!kept.empty()) {
      const Unplaced& first = kept.front();
      if (!place(static_cast<LogType>(log), first.seq, first.first_row, first.batch).ok()) return;
      unplaced_rows_ -= first.batch.rows();
      kept.pop_front();
    }
  }
}

std::uint64_t Store::Impl::stored_until(std::string_view agent, std::string_view stream, std::uint64_t from) const {
  const std::lock_guard lock(ranges_mu_);
  const auto found = ranges_.find({std::string(agent), std::string(stream)});
  return found == ranges_.end() ? from : found->second.stored.next_outside(from);
}

}  // namespace weir::store
