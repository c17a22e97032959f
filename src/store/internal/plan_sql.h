#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "query/plan.h"
#include "store/internal/schema.h"

/// Plans as SQL of the engine.
namespace weir::store {

/// A table or a set of files that are read alike.
struct SqlSource {
  /// What stands after FROM.
  std::string from;
  /// All rows are in the plan's range: it need not be checked.
  bool in_range = false;
  bool is_rollup = false;
  /// The columns that it has, if not all of today's.
  const std::set<std::string>* columns = nullptr;
};

/// `read_parquet([…])`.
std::string files_sql(std::span<const std::string> paths);

/// Whether the roll-up can answer the plan for hours that lie in its range as a whole.
bool rollup_serves(const query::Plan& plan);

/// The answer's columns, ordered, limit + 1 rows.
std::string grouped_sql(const query::Plan& plan, std::span<const SqlSource> sources);

/// Bounds beside the plan's.
struct RowBounds {
  /// Newest first: only rows after (start_time, row_id).
  std::optional<query::Position> after;
  /// Not older than this.
  std::optional<std::int64_t> not_before;
  /// Live: rows with an id above this and up to that, in the order of ids, without the plan's range.
  std::optional<std::uint64_t> above_id, up_to_id;
  std::uint64_t limit = 0;
};
/// start_time, row_id, then the answer's columns.
std::string rows_sql(const query::Plan& plan, std::span<const SqlSource> sources, const RowBounds& bounds);

/// The roll-up of one hour's rows.
std::string rollup_sql(const std::string& from);

}  // namespace weir::store
