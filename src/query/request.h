#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/log_type.h"

/// What is asked of a store, and its answer: one form for the API, the CLI, alert rules and every engine.
namespace weir::query {

using model::LogType;

/// What is computed of the rows of a group.
enum class Aggregate : std::uint8_t {
  kCount,     ///< rows; no field
  kSum,       ///< of a numeric field
  kMin,       ///< of any field but lists
  kMax,       ///< of any field but lists
  kRate,      ///< sum divided by the seconds of the request's range, or of the interval in a series
  kDistinct,  ///< different values of a field that is not a list
};

struct Metric {
  Aggregate aggregate = Aggregate::kCount;
  /// A field of the log, or of flows: `bytes`, `packets` (both directions), `bytes_to_dest`, `bytes_to_source`,
  /// `packets_to_dest`, `packets_to_source` (whoever reports). Empty for kCount.
  std::string field;

  /// Its column in the answer: "count", "sum(bytes_in)".
  std::string name() const;
  /// The metric of such a name.
  static Result<Metric> parse(std::string_view text);
};

struct Order {
  /// A column of the answer: a field, "time" in a series, or a metric's name.
  std::string column;
  bool descending = false;
};

/// One question. Without group_by, metrics and interval it asks for rows; with any of them for groups.
///
/// A record belongs to the instant of its `start_time`, so that adjacent ranges add up.
struct Request {
  LogType log = LogType::kFlows;
  /// Unix seconds, [from, to). from < to.
  std::int64_t from = 0, to = 0;
  /// In the filter language; empty: everything.
  std::string filter;
  /// Rows only: the fields to give; empty: all in the order of the log's line.
  std::vector<std::string> columns;

  /// Fields, not lists. Text absent ("-") is a value like any other.
  /// Without metrics the rows of each group are counted.
  std::vector<std::string> group_by;
  std::vector<Metric> metrics;
  /// Seconds of a series' step; 0: no series. Steps begin at multiples of it (UTC). Groups get a leading column "time".
  std::int64_t interval = 0;

  /// Empty: rows by newest first; series by time; groups by the first metric, largest first. Ties are broken, so that
  /// the order is total.
  std::vector<Order> order;
  /// 1 to kMaxLimit.
  std::uint32_t limit = 100;
  /// Of an earlier answer to the same request; empty: from the beginning.
  std::string cursor;

  /// Flows: a connection between two pods has a record of either end. Keep one: the destination's, which knows the
  /// final verdict, and the source's where the destination does not report. The rule, record by record: `dst` stays;
  /// `src` stays if it was denied or its destination is no pod (`wep`); `fwd` stays if neither end is a pod. Has no
  /// effect if the filter, group_by or columns name `reporter`.
  bool deduplicate = true;

  bool is_grouped() const { return !group_by.empty() || !metrics.empty() || interval > 0; }
};

inline constexpr std::uint32_t kMaxLimit = 100'000;

/// Checks bounds, names and types against the log's fields without running anything.
/// Errors: kInvalidArgument, "group_by: unknown field 'dest_nam'; did you mean dest_name?".
Status validate(const Request& request);

/// Absent, number, text, list. Times are Unix seconds; protocols are their names; labels are "key=value" lists.
using Value = std::variant<std::monostate, std::int64_t, double, std::string, std::vector<std::string>>;

enum class ColumnKind : std::uint8_t {
  kInteger,
  kReal,
  kTime,  ///< Unix seconds
  kText,
  kList,
  kNumbers,  ///< list of numbers, as text
  kLabels,   ///< list; in JSON {"labels": […]}
  kJson,     ///< text that is JSON
  kMembers,  ///< text: a JSON object whose members stand beside the other columns
};

struct Column {
  /// Traces are two columns, `policies.enforced_policies` and `policies.pending_policies`.
  std::string name;
  ColumnKind kind = ColumnKind::kText;
};

/// How much of what happened the logs of the range hold, as the agents themselves said (agent.log).
struct Completeness {
  /// Events that sources lost, flows dropped between the stages, lines that no disk took; of windows in the range.
  std::uint64_t lost_events = 0, dropped_flows = 0, dropped_lines = 0;
  struct SilentNode {
    std::string node;
    /// End of its last window in the range or up to a day before it, Unix seconds.
    std::int64_t last_seen = 0;
  };
  /// Nodes whose windows leave more than three of their lengths of the range uncovered, after their first window (or
  /// the range's begin, if they reported in the day before it). At most 100, by name.
  std::vector<SilentNode> silent_nodes;
  /// How many there are in all.
  std::uint32_t silent = 0;
  /// Nodes that reported in the range.
  std::uint32_t nodes = 0;
  /// Nothing lost, nobody silent, and at least one agent reported.
  bool complete = false;
  /// Part of the range is older than the oldest record that retention has left.
  bool beyond_retention = false;
};

struct Statistics {
  std::uint32_t segments_read = 0, segments_skipped = 0;
  /// Rows of the segments and the hot table that were looked at, before the filter.
  std::uint64_t rows_considered = 0;
  bool used_rollup = false;
  std::uint64_t elapsed_us = 0;
};

struct Answer {
  std::vector<Column> columns;
  std::vector<std::vector<Value>> rows;
  /// Rows only: the id of each in its log, increasing in the order of arrival; what a live stream resumes from.
  std::vector<std::uint64_t> ids;
  /// Empty: there is no more.
  std::string next_cursor;
  Completeness completeness;
  Statistics statistics;
};

/// Appends row `at` as one JSON object. All columns of a log in their order give its line again: dotted columns become
/// one nested object without what is absent in it, kLabels {"labels": […]}, an absent value null; the members that are
/// no field of ours (column `extra`) follow.
void append_json_object(std::string& out, const Answer& answer, std::size_t at);

}  // namespace weir::query
