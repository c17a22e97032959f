#include "store/internal/plan_sql.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "store/internal/duck.h"
#include "store/internal/filter_sql.h"

namespace weir::store {
namespace {

using model::FieldKind;
using query::Aggregate;
using query::Plan;
using query::PlanField;
using query::PlanMetric;
using Source = query::PlanField::Source;

constexpr const char* kMaxBigint = "9223372036854775807";

std::string to_end(const char* counter, bool dest) {
  const std::string in = std::string(counter) + "_in", out = std::string(counter) + "_out";
  return "(CASE WHEN reporter='dst' THEN " + (dest ? in : out) + " ELSE " + (dest ? out : in) + " END)";
}

/// The value of a field as BIGINT, DOUBLE or VARCHAR.
std::string field_sql(LogType log, const PlanField& field) {
  switch (field.source) {
    case Source::kField: {
      const std::string column = sql_name(model::log_fields(log)[field.row].stored);
      return field.kind == FieldKind::kPort ? "CAST(" + column + " AS BIGINT)" : column;
    }
    case Source::kEnforced:
      return sql_name(kEnforcedColumn);
    case Source::kPending:
      return sql_name(kPendingColumn);
    case Source::kUnknown:
      return sql_name(kExtraColumn);
    case Source::kBytes:
      return "(bytes_in+bytes_out)";
    case Source::kPackets:
      return "(packets_in+packets_out)";
    case Source::kBytesToDest:
      return to_end("bytes", true);
    case Source::kBytesToSource:
      return to_end("bytes", false);
    case Source::kPacketsToDest:
      return to_end("packets", true);
    case Source::kPacketsToSource:
      return to_end("packets", false);
  }
  return "NULL";
}

/// Rows that Request::deduplicate leaves out.
constexpr std::string_view kDuplicateReport =
    "((reporter='src' AND action<>'deny' AND dest_type='wep') OR (reporter='fwd' AND (source_type='wep' OR "
    "dest_type='wep')))";

std::string conditions(const Plan& plan, const SqlSource& source, const RowBounds& bounds) {
  std::string sql;
  const auto add = [&](const std::string& condition) { sql += (sql.empty() ? " WHERE " : " AND ") + condition; };
  const bool live = bounds.above_id.has_value();
  if (!source.in_range && !live) {
    add("start_time>=" + std::to_string(std::max(plan.from, bounds.not_before.value_or(plan.from))));
    add("start_time<" + std::to_string(plan.to));
  } else if (bounds.not_before) {
    add("start_time>=" + std::to_string(*bounds.not_before));
  }
  if (bounds.after) {
    const std::string start = std::to_string(bounds.after->start_time.value_or(0));
    add("start_time<=" + start);
    add("(start_time<" + start + " OR row_id<" + std::to_string(bounds.after->id) + ")");
  }
  if (live) add("row_id>" + std::to_string(*bounds.above_id));
  if (bounds.up_to_id) add("row_id<=" + std::to_string(*bounds.up_to_id));
  if (plan.deduplicate) add("NOT " + std::string(kDuplicateReport));
  if (plan.filter) add(filter_sql(*plan.filter));
  return sql;
}

/// The source, with the columns that it lacks.
std::string from_sql(LogType log, const SqlSource& source) {
  if (source.columns == nullptr) return source.from;
  std::string missing;
  for (const StoreColumn& column : columns_of(log)) {
    if (source.columns->count(column.name) > 0) continue;
    missing.append(",").append(absent_sql(column)).append(" AS ").append(sql_name(column.name));
  }
  return "(SELECT *" + missing + " FROM " + source.from + ")";
}

/// One SELECT of `list` a source, joined by UNION ALL.
template <typename List>
std::string union_sql(const Plan& plan, std::span<const SqlSource> sources, const RowBounds& bounds, List&& list) {
  std::string sql;
  for (const SqlSource& source : sources) {
    if (!sql.empty()) sql += " UNION ALL ";
    sql += "SELECT " + list(source) + " FROM " + from_sql(plan.log, source) + conditions(plan, source, bounds);
  }
  return sql;
}

/// What of one row goes into a metric.
std::string metric_input(const Plan& plan, const PlanMetric& metric, const SqlSource& source) {
  if (metric.aggregate != Aggregate::kCount) return field_sql(plan.log, metric.field);
  return source.is_rollup ? std::string(kRollupRows) : "1";
}

std::string metric_sql(const Plan& plan, const PlanMetric& metric, const std::string& input) {
  const bool real = metric.aggregate == Aggregate::kRate || metric.field.kind == FieldKind::kReal;
  switch (metric.aggregate) {
    case Aggregate::kCount:
      return "CAST(coalesce(sum(" + input + "),0) AS BIGINT)";
    case Aggregate::kSum:
      if (real) return "coalesce(sum(" + input + "),0.0::DOUBLE)";
      return "CAST(least(coalesce(sum(" + input + "),0)," + kMaxBigint + ") AS BIGINT)";
    case Aggregate::kRate:
      return "(CAST(coalesce(sum(" + input + "),0) AS DOUBLE)/" + std::to_string(plan.rate_seconds()) + ")";
    case Aggregate::kMin:
      return "min(" + input + ")";
    case Aggregate::kMax:
      return "max(" + input + ")";
    case Aggregate::kDistinct:
      return "count(DISTINCT " + input + ")";
  }
  return "NULL";
}

std::string column_name(std::size_t at) { return "c" + std::to_string(at); }

bool is_one_of(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
bool is_rollup_key(std::string_view stored) { return is_one_of(rollup_keys(), stored); }

bool rollup_serves_filter(const filter::Expression& expression) {
  if (expression.kind != filter::Expression::Kind::kTest) {
    return std::all_of(expression.children.begin(), expression.children.end(), rollup_serves_filter);
  }
  return std::all_of(expression.test.target.rows.begin(), expression.test.target.rows.end(),
                     [](std::uint8_t row) { return is_rollup_key(model::log_fields(LogType::kFlows)[row].stored); });
}

}  // namespace

std::string files_sql(std::span<const std::string> paths) {
  std::string sql = "read_parquet([";
  for (const std::string& path : paths) {
    if (&path != &paths.front()) sql += ',';
    sql += sql_text(path);
  }
  return sql + "])";
}

bool rollup_serves(const Plan& plan) {
  constexpr std::int64_t kHour = 3600;
  if (plan.log != LogType::kFlows || !plan.grouped || plan.interval % kHour != 0) return false;
  if (plan.filter && !rollup_serves_filter(*plan.filter)) return false;
  const auto is_key = [](const PlanField& field) {
    return field.source == Source::kField && is_rollup_key(model::log_fields(LogType::kFlows)[field.row].stored);
  };
  const auto serves = [&](const PlanMetric& metric) {
    if (metric.aggregate == Aggregate::kCount) return true;
    const bool adds = metric.aggregate == Aggregate::kSum || metric.aggregate == Aggregate::kRate;
    if (!adds) return is_key(metric.field);
    return metric.field.source != Source::kField || is_one_of(rollup_sums(), metric.field.name);
  };
  return std::all_of(plan.fields.begin(), plan.fields.end(), is_key) &&
         std::all_of(plan.metrics.begin(), plan.metrics.end(), serves);
}

std::string grouped_sql(const Plan& plan, std::span<const SqlSource> sources) {
  const std::size_t keys = plan.fields.size() + (plan.interval > 0 ? 1 : 0);
  const auto inputs = [&](const SqlSource& source) {
    std::string list;
    std::size_t at = 0;
    const auto add = [&](const std::string& value) {
      list += (list.empty() ? "" : ",") + value + " AS " + column_name(at++);
    };
    if (plan.interval > 0) add("start_time-start_time%" + std::to_string(plan.interval));
    for (const PlanField& field : plan.fields) add(field_sql(plan.log, field));
    for (const PlanMetric& metric : plan.metrics) add(metric_input(plan, metric, source));
    return list;
  };
  std::string sql = "SELECT ";
  for (std::size_t at = 0; at < keys; ++at) sql += column_name(at) + ",";
  for (std::size_t at = 0; at < plan.metrics.size(); ++at) {
    sql += metric_sql(plan, plan.metrics[at], column_name(keys + at)) + " AS a" + std::to_string(keys + at) + ",";
  }
  sql.pop_back();
  sql += " FROM (" + union_sql(plan, sources, {}, inputs) + ")";
  std::string group, order;
  const auto add_order = [&](std::size_t column, bool descending) {
    order += (order.empty() ? "" : ",") + ((column < keys ? "c" : "a") + std::to_string(column)) +
             (descending ? " DESC NULLS LAST" : " ASC NULLS LAST");
  };
  for (const query::PlanOrder& by : plan.order) add_order(by.column, by.descending);
  for (std::size_t at = 0; at < keys; ++at) {
    group += (group.empty() ? "" : ",") + column_name(at);
    add_order(at, false);
  }
  if (!group.empty()) sql += " GROUP BY " + group;
  return sql + " ORDER BY " + order + " LIMIT " + std::to_string(std::uint64_t{plan.limit} + 1) + " OFFSET " +
         std::to_string(plan.position.offset);
}

std::string rows_sql(const Plan& plan, std::span<const SqlSource> sources, const RowBounds& bounds) {
  const auto list = [&](const SqlSource&) {
    std::string columns = "start_time AS s,row_id AS r";
    std::size_t at = 0;
    for (const PlanField& field : plan.fields) {
      columns += "," + field_sql(plan.log, field) + " AS " + column_name(at++);
    }
    for (const query::PlanOrder& by : plan.order) {
      columns += "," + field_sql(plan.log, by.field) + " AS " + column_name(at++);
    }
    return columns;
  };
  std::string sql = "SELECT s,r";
  for (std::size_t at = 0; at < plan.fields.size(); ++at) sql += "," + column_name(at);
  sql += " FROM (" + union_sql(plan, sources, bounds, list) + ") ORDER BY ";
  if (bounds.above_id) {
    sql += "r";
  } else {
    for (std::size_t at = 0; at < plan.order.size(); ++at) {
      sql +=
          column_name(plan.fields.size() + at) + (plan.order[at].descending ? " DESC NULLS LAST," : " ASC NULLS LAST,");
    }
    sql += "s DESC,r DESC";
  }
  sql += " LIMIT " + std::to_string(bounds.limit);
  if (!plan.newest_first) sql += " OFFSET " + std::to_string(plan.position.offset);
  return sql;
}

std::string rollup_sql(const std::string& from) {
  constexpr const char* kHour = "start_time-start_time%3600";
  std::string keys, sums;
  for (const std::string& key : rollup_keys()) keys += sql_name(key) + ",";
  for (const std::string& sum : rollup_sums()) {
    sums += std::string(",CAST(least(sum(") + sum + ")," + std::to_string(kMaxStoredNumber) + ") AS BIGINT) AS " + sum;
  }
  return "SELECT " + keys + kHour + " AS start_time,count(*) AS " + std::string(kRollupRows) + sums + " FROM " + from +
         " GROUP BY ALL ORDER BY ALL";
}

}  // namespace weir::store
