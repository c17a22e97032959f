#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "filter/filter.h"
#include "flowlog/flow_log_reader.h"
#include "flowlog/log_readers.h"
#include "model/log_fields.h"
#include "observe/line_scan.h"

namespace weir::observe {

/// Unix seconds, [from, to). A record belongs to the instant of its start_time.
struct TimeRange {
  std::int64_t from = 0, to = std::numeric_limits<std::int64_t>::max();
  bool holds(std::int64_t time) const { return time >= from && time < to; }
};

/// Which of the records that pass.
struct Selection {
  TimeRange range;
  /// In the language of docs/filters.md; empty: all.
  std::string filter;
  std::optional<std::uint64_t> first, last;
};

/// The start_time of a line that begins with it, as the agent's do, without parsing the rest.
inline std::optional<std::int64_t> leading_start_time(std::string_view line) {
  constexpr std::string_view kBegin = "{\"start_time\":";
  if (!line.starts_with(kBegin)) return std::nullopt;
  std::int64_t time = 0;
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + kBegin.size(), end, time);
  if (error != std::errc() || stop == end || *stop != ',') return std::nullopt;
  return time;
}

/// Reads the records of one log out of files, and finds those of a selection.
/// `kLog`: kFlows or kDns. Threads: one.
template <model::LogType kLog>
class RecordScan {
 public:
  using Record = model::RecordOf<kLog>;
  using Reader = std::conditional_t<kLog == model::LogType::kFlows, flowlog::FlowLogReader, flowlog::LogReader<Record>>;

  static Result<RecordScan> create(std::vector<LogFiles> logs, Selection selection) {
    std::optional<filter::Filter> filter;
    Prefilter prefilter;
    if (!selection.filter.empty()) {
      TRY_ASSIGN(filter, filter::Filter::compile(selection.filter, kLog));
      prefilter = Prefilter::of(filter->expression());
    }
    return RecordScan(LineScan(std::move(logs), std::move(prefilter)), std::move(filter), std::move(selection));
  }

  /// Calls `on_record(record, line)` for each record of the selection, oldest first; of several logs one log after the
  /// other, but merged by time where only the last are asked for.
  template <typename OnRecord>
  Status run(OnRecord&& on_record) {
    if (selection_.last) return run_last(std::forward<OnRecord>(on_record));
    std::uint64_t taken = 0;
    return lines_.forward([&](const Line& line) {
      if (selection_.first && taken >= *selection_.first) return Verdict::kStop;
      const Verdict verdict = examine(line);
      if (verdict != Verdict::kTake) return verdict;
      ++taken;
      on_record(std::as_const(record_), line.text);
      return verdict;
    });
  }

  /// A line that came later, with the same filter and range; true if on_record() was called.
  template <typename OnRecord>
  bool offer(const Line& line, OnRecord&& on_record) {
    if (examine(line) != Verdict::kTake) return false;
    on_record(std::as_const(record_), line.text);
    return true;
  }

  LineScan& lines() { return lines_; }

 private:
  RecordScan(LineScan lines, std::optional<filter::Filter> filter, Selection selection)
      : lines_(std::move(lines)), filter_(std::move(filter)), selection_(std::move(selection)) {}

  Verdict examine(const Line& line) {
    const std::optional<std::int64_t> time = leading_start_time(line.text);
    if (time && !selection_.range.holds(*time)) return Verdict::kPass;
    const Result<const Record*> read = reader_.read(line.text);
    if (!read.ok()) return Verdict::kBad;
    record_ = *read.value();
    // The shipper adds it; in a node's own files it is the node's.
    if (record_.host == "-" && !lines_.logs()[line.log].node.empty()) record_.host = lines_.logs()[line.log].node;
    if (!time && !selection_.range.holds(record_.start_time)) return Verdict::kPass;
    return !filter_ || filter_->matches(record_) ? Verdict::kTake : Verdict::kPass;
  }

  template <typename OnRecord>
  Status run_last(OnRecord&& on_record) {
    const auto examine_line = [&](const Line& line) { return examine(line); };
    const std::size_t count = *selection_.last;
    std::vector<LineScan::OwnedLine> found;
    Result<std::vector<LineScan::OwnedLine>> backward = lines_.last(count, examine_line);
    if (backward.ok()) {
      found = std::move(backward).value();
    } else if (backward.error().code != ErrorCode::kUnsupported) {
      return backward.error();
    } else {
      TRY_ASSIGN(found, last_of_stream(count));
    }
    std::vector<std::pair<std::int64_t, std::size_t>> order;
    for (std::size_t at = 0; at < found.size(); ++at) {
      if (examine({found[at].text, found[at].log}) == Verdict::kTake) order.emplace_back(record_.start_time, at);
    }
    if (lines_.logs().size() > 1)
      std::stable_sort(order.begin(), order.end(), [](auto a, auto b) { return a.first < b.first; });
    const std::size_t begin = order.size() > count ? order.size() - count : 0;
    for (std::size_t i = begin; i < order.size(); ++i) {
      const LineScan::OwnedLine& line = found[order[i].second];
      offer({line.text, line.log}, on_record);
    }
    return {};
  }

  /// Of what can be read once and forward.
  Result<std::vector<LineScan::OwnedLine>> last_of_stream(std::size_t count) {
    std::deque<LineScan::OwnedLine> kept;
    TRY(lines_.forward([&](const Line& line) {
      const Verdict verdict = examine(line);
      if (verdict != Verdict::kTake) return verdict;
      kept.push_back({std::string(line.text), line.log});
      if (kept.size() > count) kept.pop_front();
      return verdict;
    }));
    return std::vector<LineScan::OwnedLine>(std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end()));
  }

  LineScan lines_;
  std::optional<filter::Filter> filter_;
  Selection selection_;
  Reader reader_;
  Record record_;
};

}  // namespace weir::observe
