#include "store/internal/schema.h"

#include <array>

#include "store/internal/duck.h"

namespace weir::store {
namespace {

using model::FieldKind;

void add_field(std::vector<StoreColumn>& columns, const model::LogField& field) {
  const std::string name(field.name);
  switch (field.kind) {
    case FieldKind::kKeyword:
    case FieldKind::kProtocol:
    case FieldKind::kJson:
      columns.push_back({name, ColumnType::kText, false});
      break;
    case FieldKind::kKeywordList:
    case FieldKind::kPortList:
    case FieldKind::kIp:
    case FieldKind::kIpList:
    case FieldKind::kLabels:
      columns.push_back({name, ColumnType::kText, true});
      break;
    case FieldKind::kPolicies:
      columns.push_back({std::string(kEnforcedColumn), ColumnType::kText, true});
      columns.push_back({std::string(kPendingColumn), ColumnType::kText, true});
      break;
    case FieldKind::kAnswers:
      columns.push_back({name, ColumnType::kText, true});
      columns.push_back({std::string(kAnswersColumn), ColumnType::kText, true});
      break;
    case FieldKind::kServers:
      columns.push_back({name, ColumnType::kText, true});
      columns.push_back({std::string(kServerIpsColumn), ColumnType::kText, true});
      break;
    case FieldKind::kPort:
      columns.push_back({name, ColumnType::kInteger, true});
      break;
    case FieldKind::kReal:
      columns.push_back({name, ColumnType::kDouble, false});
      break;
    default:
      columns.push_back({name, ColumnType::kBigint, false});
  }
}

std::vector<StoreColumn> make_columns(LogType log) {
  std::vector<StoreColumn> columns;
  for (const model::LogField& field : model::log_fields(log)) {
    if (field.stored == field.name) add_field(columns, field);
  }
  columns.push_back({std::string(kExtraColumn), ColumnType::kText, true});
  columns.push_back({std::string(kRowIdColumn), ColumnType::kBigint, false});
  return columns;
}

const char* type_sql(ColumnType type) {
  switch (type) {
    case ColumnType::kBigint:
      return " BIGINT";
    case ColumnType::kInteger:
      return " INTEGER";
    case ColumnType::kDouble:
      return " DOUBLE";
    case ColumnType::kText:
      return " VARCHAR";
  }
  return "";
}

}  // namespace

const std::vector<StoreColumn>& columns_of(LogType log) {
  static const std::array<std::vector<StoreColumn>, model::kLogTypes> kColumns{
      make_columns(LogType::kFlows), make_columns(LogType::kDns), make_columns(LogType::kL7),
      make_columns(LogType::kAgent), make_columns(LogType::kAudit)};
  return kColumns[static_cast<std::size_t>(log)];
}

std::string create_table_sql(LogType log, std::string_view name) {
  std::string sql = "CREATE TABLE " + sql_name(name);
  char separator = '(';
  for (const StoreColumn& column : columns_of(log)) {
    sql += separator;
    sql += sql_name(column.name);
    sql += type_sql(column.type);
    separator = ',';
  }
  return sql + ")";
}

std::string_view sort_key(LogType log) {
  switch (log) {
    case LogType::kFlows:
      return "dest_namespace,dest_name_aggr,source_namespace,source_name_aggr,dest_port,reporter,action,host,start_"
             "time,"
             "row_id";
    case LogType::kDns:
      return "client_namespace,client_name_aggr,qname,qtype,host,start_time,row_id";
    case LogType::kL7:
      return "dest_namespace,dest_name_aggr,src_namespace,src_name_aggr,url,host,start_time,row_id";
    case LogType::kAgent:
      return "host,start_time,row_id";
    case LogType::kAudit:
      return "start_time,row_id";
  }
  return "row_id";
}

std::string_view absent_sql(const StoreColumn& column) {
  if (column.nullable) return "NULL";
  return column.type == ColumnType::kText ? "'-'" : "0";
}

const std::vector<std::string>& rollup_keys() {
  static const std::vector<std::string> kKeys{"dest_namespace",
                                              "dest_name_aggr",
                                              "source_namespace",
                                              "source_name_aggr",
                                              "dest_port",
                                              "reporter",
                                              "action",
                                              "proto",
                                              "source_type",
                                              "source_workload",
                                              "source_workload_kind",
                                              "dest_type",
                                              "dest_workload",
                                              "dest_workload_kind",
                                              "dest_service_namespace",
                                              "dest_service_name",
                                              "dest_service_port_name",
                                              "dest_service_port_num"};
  return kKeys;
}

const std::vector<std::string>& rollup_sums() {
  static const std::vector<std::string> kSums{"num_flows",
                                              "num_flows_started",
                                              "num_flows_completed",
                                              "num_flows_established",
                                              "num_flows_refused",
                                              "num_flows_unanswered",
                                              "packets_in",
                                              "packets_out",
                                              "bytes_in",
                                              "bytes_out",
                                              "tcp_total_retransmissions",
                                              "tcp_lost_packets",
                                              "tcp_unrecovered_to",
                                              "tcp_resets"};
  return kSums;
}

}  // namespace weir::store
