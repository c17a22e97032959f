#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "store/internal/list_text.h"
#include "store/internal/store_impl.h"

namespace weir::store {
namespace {

using query::Answer;
using query::ColumnKind;
using query::Plan;
using query::Value;

constexpr std::int64_t kDay = 86'400;
constexpr std::size_t kMaxSilentNodes = 100;

Value read_value(const DuckChunk& chunk, std::size_t column, std::size_t row, ColumnKind kind) {
  if (chunk.is_null(column, row)) return {};
  switch (kind) {
    case ColumnKind::kInteger:
    case ColumnKind::kTime:
      return chunk.integer(column, row);
    case ColumnKind::kReal:
      return chunk.real(column, row);
    case ColumnKind::kList:
    case ColumnKind::kNumbers:
    case ColumnKind::kLabels:
      return split_list(chunk.text(column, row));
    case ColumnKind::kText:
    case ColumnKind::kJson:
    case ColumnKind::kMembers:
      return std::string(chunk.text(column, row));
  }
  return {};
}

/// Appends the rows of a result whose first `skip` columns are not the answer's.
void read_rows(DuckResult& result, std::size_t skip, Answer& answer, std::vector<query::Position>* positions) {
  while (true) {
    const DuckChunk chunk = result.next();
    if (chunk.rows() == 0) return;
    for (std::size_t row = 0; row < chunk.rows(); ++row) {
      std::vector<Value>& values = answer.rows.emplace_back();
      values.reserve(answer.columns.size());
      for (std::size_t column = 0; column < answer.columns.size(); ++column) {
        values.push_back(read_value(chunk, skip + column, row, answer.columns[column].kind));
      }
      if (positions == nullptr) continue;
      const auto id = static_cast<std::uint64_t>(chunk.integer(1, row));
      positions->push_back({chunk.integer(0, row), id, 0});
      answer.ids.push_back(id);
    }
  }
}

/// Takes the newest `limit` rows of two lists that are ordered.
void merge_newest(Answer& answer, std::vector<query::Position>& positions, Answer more,
                  const std::vector<query::Position>& more_positions, std::uint64_t limit) {
  std::vector<std::vector<Value>> rows;
  std::vector<query::Position> merged;
  std::size_t a = 0, b = 0;
  const auto key = [](const query::Position& at) { return std::pair(at.start_time, at.id); };
  while (merged.size() < limit && (a < positions.size() || b < more_positions.size())) {
    const bool first =
        b == more_positions.size() || (a < positions.size() && key(positions[a]) > key(more_positions[b]));
    merged.push_back(first ? positions[a] : more_positions[b]);
    rows.push_back(std::move(first ? answer.rows[a] : more.rows[b]));
    ++(first ? a : b);
  }
  answer.rows = std::move(rows);
  positions = std::move(merged);
}

/// Files that are read alike make one source.
struct SourceBuilder {
  std::vector<SqlSource> sources;
  query::Statistics& statistics;

  void add_table(const HotTable& table) {
    sources.push_back({sql_name(table.name), false, false, nullptr});
    statistics.rows_considered += table.rows;
  }
  void add(const std::vector<std::shared_ptr<Segment>>& segments, const Plan& plan, bool use_rollups, bool live) {
    std::map<std::pair<const std::set<std::string>*, int>, std::vector<std::string>> files;
    for (const auto& segment : segments) {
      const SegmentInfo& info = segment->info;
      const bool in_range = !live && info.min_start >= plan.from && info.max_start < plan.to;
      const bool rollup = use_rollups && in_range && !info.rollup.empty();
      // 0: check the range; 1: all of it; 2: its roll-up.
      const int form = rollup ? 2 : (in_range ? 1 : 0);
      files[{rollup ? nullptr : segment->columns.get(), form}].push_back(rollup ? segment->root + "/" + info.rollup
                                                                                : segment->path());
      statistics.used_rollup |= rollup;
      ++statistics.segments_read;
      statistics.rows_considered += rollup ? info.rollup_rows : info.rows;
    }
    for (const auto& [form, paths] : files) {
      sources.push_back({files_sql(paths), form.second != 0, form.second == 2, form.first});
    }
  }
};

bool is_in_range(const Segment& segment, const Plan& plan) {
  return segment.info.max_start >= plan.from && segment.info.min_start < plan.to;
}

/// The hot rows, and the segments that have some of the range.
std::vector<SqlSource> sources_in_range(const Snapshot& from, const Plan& plan, bool use_rollups,
                                        query::Statistics& statistics) {
  SourceBuilder builder{{}, statistics};
  for (const auto& table : from.hot) builder.add_table(*table);
  std::vector<std::shared_ptr<Segment>> chosen;
  for (const auto& segment : from.segments) {
    if (is_in_range(*segment, plan)) chosen.push_back(segment);
  }
  statistics.segments_skipped = static_cast<std::uint32_t>(from.segments.size() - chosen.size());
  builder.add(chosen, plan, use_rollups, false);
  return std::move(builder.sources);
}

/// Takes off the row that only told that there is more; whoever asks on begins so many rows later.
void cut_by_offset(const Plan& plan, Answer& answer) {
  if (answer.rows.size() <= plan.limit) return;
  answer.rows.resize(plan.limit);
  if (!answer.ids.empty()) answer.ids.resize(plan.limit);
  answer.next_cursor = cursor_after(plan, {std::nullopt, 0, plan.position.offset + plan.limit});
}

}  // namespace

Snapshot Store::Impl::snapshot(LogType log) {
  const std::lock_guard lock(state_mu_);
  const PerLog& state = logs_[static_cast<std::size_t>(log)];
  Snapshot snapshot;
  snapshot.hot = state.sealed;
  snapshot.hot.push_back(state.hot);
  snapshot.segments = state.segments;
  snapshot.visible_id = state.visible_id;
  return snapshot;
}

Result<Answer> Store::Impl::run_grouped(const Plan& plan) {
  Answer answer;
  answer.columns = plan.columns();
  const Snapshot from = snapshot(plan.log);
  const std::vector<SqlSource> sources = sources_in_range(from, plan, rollup_serves(plan), answer.statistics);
  TRY_ASSIGN(DuckConnection connection, open_connection());
  const Watched watched(*this, connection);
  TRY_ASSIGN(DuckResult result, connection.query(grouped_sql(plan, sources)));
  read_rows(result, 0, answer, nullptr);
  cut_by_offset(plan, answer);
  return answer;
}

Result<Answer> Store::Impl::run_rows(const Plan& plan) {
  Answer answer;
  answer.columns = plan.columns();
  const Snapshot from = snapshot(plan.log);
  const std::vector<SqlSource> sources = sources_in_range(from, plan, false, answer.statistics);
  TRY_ASSIGN(DuckConnection connection, open_connection());
  const Watched watched(*this, connection);
  RowBounds bounds;
  bounds.limit = std::uint64_t{plan.limit} + 1;
  TRY_ASSIGN(DuckResult result, connection.query(rows_sql(plan, sources, bounds)));
  std::vector<query::Position> positions;
  read_rows(result, 2, answer, &positions);
  cut_by_offset(plan, answer);
  return answer;
}

/// Rows newest first: reads the newest segments until the rest can hold nothing newer than what was found.
Result<Answer> Store::Impl::run_newest(const Plan& plan) {
  Answer answer;
  answer.columns = plan.columns();
  const Snapshot from = snapshot(plan.log);
  std::vector<std::shared_ptr<Segment>> left;
  for (const auto& segment : from.segments) {
    const bool after_cursor = !plan.position.start_time || segment->info.min_start <= *plan.position.start_time;
    if (after_cursor && is_in_range(*segment, plan)) left.push_back(segment);
  }
  std::sort(left.begin(), left.end(),
            [](const auto& a, const auto& b) { return a->info.max_start > b->info.max_start; });
  TRY_ASSIGN(DuckConnection connection, open_connection());
  const Watched watched(*this, connection);
  RowBounds bounds;
  bounds.limit = std::uint64_t{plan.limit} + 1;
  if (plan.position.start_time) bounds.after = plan.position;
  std::vector<query::Position> positions;
  std::size_t step = 2;
  for (bool first = true; first || !left.empty(); first = false, step *= 2) {
    SourceBuilder builder{{}, answer.statistics};
    if (first) {
      for (const auto& table : from.hot) builder.add_table(*table);
    }
    const auto end = left.begin() + static_cast<std::ptrdiff_t>(std::min(step, left.size()));
    builder.add({left.begin(), end}, plan, false, false);
    left.erase(left.begin(), end);
    TRY_ASSIGN(DuckResult result, connection.query(rows_sql(plan, builder.sources, bounds)));
    Answer more;
    more.columns = answer.columns;
    std::vector<query::Position> more_positions;
    read_rows(result, 2, more, &more_positions);
    merge_newest(answer, positions, std::move(more), more_positions, bounds.limit);
    if (positions.size() < bounds.limit) continue;
    bounds.not_before = positions.back().start_time;
    // Equal times in the rest may have larger ids: only what is wholly older is out.
    std::erase_if(left, [&](const auto& segment) { return segment->info.max_start < *bounds.not_before; });
  }
  answer.statistics.segments_skipped =
      static_cast<std::uint32_t>(from.segments.size()) - answer.statistics.segments_read;
  if (answer.rows.size() > plan.limit) {
    answer.rows.resize(plan.limit);
    positions.resize(plan.limit);
    answer.next_cursor = cursor_after(plan, positions.back());
  }
  answer.ids.clear();
  for (const query::Position& at : positions) answer.ids.push_back(at.id);
  return answer;
}

Result<Answer> Store::Impl::rows_above(const Plan& plan, std::uint64_t above, std::uint64_t up_to,
                                       std::uint32_t limit) {
  Answer answer;
  answer.columns = plan.columns();
  const Snapshot from = snapshot(plan.log);
  SourceBuilder builder{{}, answer.statistics};
  for (const auto& table : from.hot) builder.add_table(*table);
  std::vector<std::shared_ptr<Segment>> chosen;
  for (const auto& segment : from.segments) {
    if (segment->info.max_id > above && segment->info.min_id <= up_to) chosen.push_back(segment);
  }
  builder.add(chosen, plan, false, true);
  TRY_ASSIGN(DuckConnection connection, open_connection());
  const Watched watched(*this, connection);
  RowBounds bounds;
  bounds.limit = limit;
  bounds.above_id = above;
  bounds.up_to_id = up_to;
  TRY_ASSIGN(DuckResult result, connection.query(rows_sql(plan, builder.sources, bounds)));
  std::vector<query::Position> positions;
  read_rows(result, 2, answer, &positions);
  return answer;
}

bool Store::Impl::is_beyond_retention(LogType log, std::int64_t from) {
  if (from < now() - options_.retention[static_cast<std::size_t>(log)].count()) return true;
  const std::lock_guard lock(state_mu_);
  const PerLog& state = logs_[static_cast<std::size_t>(log)];
  if (state.segments_expired == 0) return false;
  std::int64_t oldest = INT64_MAX;
  for (const auto& segment : state.segments) oldest = std::min(oldest, segment->info.min_start);
  return from < oldest;
}

/// What the agents' own windows say of the range; see query::Completeness.
Status Store::Impl::fill_completeness(const Plan& plan, Answer& answer) {
  query::Completeness& out = answer.completeness;
  out.beyond_retention = is_beyond_retention(plan.log, plan.from);
  const Snapshot agents = snapshot(LogType::kAgent);
  // No agent ever reported: nothing is known, and nothing to ask.
  if (agents.visible_id == 0) return {};
  const std::int64_t before = plan.from > kDay ? plan.from - kDay : 0;
  std::vector<std::string> files;
  std::string from;
  const std::string columns = "SELECT host,start_time,end_time,lost_events,dropped_flows,dropped_lines FROM ";
  for (const auto& table : agents.hot) from += (from.empty() ? "" : " UNION ALL ") + columns + sql_name(table->name);
  for (const auto& segment : agents.segments) {
    if (segment->info.max_start >= before && segment->info.min_start < plan.to) files.push_back(segment->path());
  }
  if (!files.empty()) from += " UNION ALL " + columns + files_sql(files);
  const std::string lo = std::to_string(plan.from), hi = std::to_string(plan.to);
  const std::string in_range = " FILTER (WHERE start_time>=" + lo + "),0) AS BIGINT)";
  const std::string overlap =
      "CAST(sum(greatest(least(end_time," + hi + ")-greatest(start_time," + lo + "),0)) AS BIGINT)";
  TRY_ASSIGN(DuckConnection connection, open_connection());
  const Watched watched(*this, connection);
  TRY_ASSIGN(DuckResult result,
             connection.query("SELECT host,CAST(coalesce(sum(lost_events)" + in_range +
                              ",CAST(coalesce(sum(dropped_flows)" + in_range + ",CAST(coalesce(sum(dropped_lines)" +
                              in_range + ",min(start_time),max(end_time),max(end_time-start_time)," + overlap +
                              " FROM (" + from + ") WHERE start_time>=" + std::to_string(before) + " AND start_time<" +
                              hi + " GROUP BY host ORDER BY host"));
  const std::int64_t end = std::min(plan.to, now());
  while (true) {
    const DuckChunk chunk = result.next();
    if (chunk.rows() == 0) break;
    for (std::size_t row = 0; row < chunk.rows(); ++row) {
      out.lost_events += static_cast<std::uint64_t>(chunk.integer(1, row));
      out.dropped_flows += static_cast<std::uint64_t>(chunk.integer(2, row));
      out.dropped_lines += static_cast<std::uint64_t>(chunk.integer(3, row));
      const std::int64_t last_seen = chunk.integer(5, row), covered = chunk.integer(7, row);
      if (covered > 0) ++out.nodes;
      const std::int64_t expected = end - std::max(plan.from, chunk.integer(4, row));
      const std::int64_t patience = 3 * std::max<std::int64_t>(chunk.integer(6, row), 1);
      if (expected - covered > patience) {
        ++out.silent;
        if (out.silent_nodes.size() < kMaxSilentNodes) {
          out.silent_nodes.push_back({std::string(chunk.text(0, row)), last_seen});
        }
      }
    }
  }
  out.complete = out.nodes > 0 && out.silent == 0 && out.lost_events == 0 && out.dropped_flows == 0 &&
                 out.dropped_lines == 0 && !out.beyond_retention;
  return {};
}

Result<Answer> Store::Impl::query(const query::Request& request) {
  if (closing_) return Error{ErrorCode::kCancelled, "the store is closing"};
  const auto begin = std::chrono::steady_clock::now();
  ++queries_;
  const auto run = [&]() -> Result<Answer> {
    TRY_ASSIGN(const Plan plan, query::make_plan(request));
    TRY_ASSIGN(Answer answer,
               plan.grouped ? run_grouped(plan) : (plan.newest_first ? run_newest(plan) : run_rows(plan)));
    TRY(fill_completeness(plan, answer));
    return answer;
  };
  Result<Answer> answer = run();
  if (!answer.ok()) {
    ++query_failures_;
    if (answer.error().code == ErrorCode::kCancelled && !closing_) {
      answer.error().message =
          "the query took longer than " + std::to_string(options_.query_timeout.count()) + " ms and was stopped";
    }
    return answer;
  }
  answer.value().statistics.elapsed_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count());
  return answer;
}

}  // namespace weir::store
