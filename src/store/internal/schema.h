#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/log_fields.h"
#include "model/log_type.h"

/// The columns of each log in hot tables and Parquet files, made from the field tables.
namespace weir::store {

using model::LogType;

/// Larger counters are kept as this one: two may be added in SQL.
inline constexpr std::uint64_t kMaxStoredNumber = 1ull << 61;

enum class ColumnType : std::uint8_t { kBigint, kInteger, kDouble, kText };

struct StoreColumn {
  std::string name;
  ColumnType type = ColumnType::kText;
  bool nullable = false;
};

/// The fields' columns in their order, then `extra` (unknown members) and `row_id`. Traces are the two columns
/// enforced_policies and pending_policies; answers and servers have their JSON, and a list to search in beside it.
const std::vector<StoreColumn>& columns_of(LogType log);

inline constexpr std::string_view kAnswersColumn = "answers", kServerIpsColumn = "server_ips";
inline constexpr std::string_view kEnforcedColumn = "enforced_policies", kPendingColumn = "pending_policies";
inline constexpr std::string_view kExtraColumn = "extra", kRowIdColumn = "row_id";

/// "CREATE TABLE name (…)".
std::string create_table_sql(LogType log, std::string_view name);
/// What sorts a segment: rows that are alike lie together.
std::string_view sort_key(LogType log);
/// What a column that an older segment lacks is read as.
std::string_view absent_sql(const StoreColumn& column);

/// The roll-up of flows: edges of an hour with their sums.
const std::vector<std::string>& rollup_keys();
const std::vector<std::string>& rollup_sums();
inline constexpr std::string_view kRollupRows = "rollup_rows";

}  // namespace weir::store
