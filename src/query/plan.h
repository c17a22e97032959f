#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "filter/expression.h"
#include "model/log_fields.h"
#include "query/request.h"

/// A request, checked and resolved: the one form that engines compile.
namespace weir::query {

/// What is computed of one record: a field of its log, one of the two traces, or a sum of counters.
struct PlanField {
  enum class Source : std::uint8_t {
    kField,
    kEnforced,  ///< of `policies`
    kPending,
    kBytes,  ///< in + out; and so on
    kPackets,
    kBytesToDest,  ///< reporter dst: bytes_in, else bytes_out
    kBytesToSource,
    kPacketsToDest,
    kPacketsToSource,
    kUnknown,  ///< the JSON object of the line's members that are no fields
  };
  Source source = Source::kField;
  /// Row of model::log_fields(); of kField only.
  std::uint8_t row = 0;
  /// As asked for.
  std::string name;
  model::FieldKind kind = model::FieldKind::kKeyword;
};

struct PlanMetric {
  Aggregate aggregate = Aggregate::kCount;
  /// Not of kCount.
  PlanField field;
  std::string name;
};

struct PlanOrder {
  /// Rows: what to order by.
  PlanField field;
  /// Groups: index in Plan::columns().
  std::size_t column = 0;
  bool descending = false;
};

/// Where an answer goes on: after a row (newest first), or after a number of rows.
struct Position {
  std::optional<std::int64_t> start_time;
  std::uint64_t id = 0;
  std::uint64_t offset = 0;
};

struct Plan {
  LogType log = LogType::kFlows;
  std::int64_t from = 0, to = 0;
  std::optional<filter::Expression> filter;
  /// Apply the rule of Request::deduplicate.
  bool deduplicate = false;
  bool grouped = false;
  /// Rows: what to give. Groups: the keys, after the time of a series.
  std::vector<PlanField> fields;
  std::vector<PlanMetric> metrics;
  std::int64_t interval = 0;
  std::vector<PlanOrder> order;
  /// Rows by start_time and id, newest first.
  bool newest_first = false;
  std::uint32_t limit = 100;
  Position position;
  /// Of everything but limit and cursor: a cursor fits only the request it is of.
  std::uint64_t fingerprint = 0;

  /// The answer's columns: time, fields, metrics.
  std::vector<Column> columns() const;
  /// Seconds that kRate divides by.
  std::int64_t rate_seconds() const { return interval > 0 ? interval : to - from; }
};

/// Errors: kInvalidArgument, with what was asked and what there is.
Result<Plan> make_plan(const Request& request);

/// The cursor of an answer whose last row is `at`.
std::string cursor_after(const Plan& plan, const Position& at);

ColumnKind column_kind(model::FieldKind kind);

}  // namespace weir::query
