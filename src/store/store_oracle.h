#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "filter/filter.h"
#include "flowlog/field_json.h"
#include "flowlog/flow_log_reader.h"
#include "flowlog/log_readers.h"
#include "model/protocol.h"
#include "query/request.h"

/// The slow, obvious store: all lines in memory, one pass a query. For tests.
namespace weir::store {

using model::LogType;

struct OracleValue {
  static query::Value of(std::string_view text) { return std::string(text); }
  static query::Value of(const std::string& text) { return text; }
  static query::Value of(double real) { return real; }
  template <typename Number>
  requires std::is_integral_v<Number>
  static query::Value of(Number number) { return static_cast<std::int64_t>(number); }
  static query::Value of(const std::optional<IpAddress>& ip) {
    return ip ? query::Value(ip->to_string()) : query::Value();
  }
  static query::Value of(const std::optional<std::uint16_t>& port) { return port ? of(*port) : query::Value(); }
  static query::Value of(const model::LabelSet* labels) {
    return labels ? query::Value(labels->pairs) : query::Value();
  }
  static std::string element(std::string_view text) { return std::string(text); }
  static std::string element(std::uint16_t port) { return std::to_string(port); }
  static std::string element(const IpAddress& ip) { return ip.to_string(); }
  template <typename T>
  static query::Value of(std::span<const T> list) {
    if constexpr (requires(std::string & out) { flowlog::append_field(out, list); }) {
      std::string json;
      flowlog::append_field(json, list);
      return json;
    } else {
      if (list.empty()) return {};
      std::vector<std::string> elements;
      for (const T& value : list) elements.push_back(element(value));
      return elements;
    }
  }
  template <typename T>
  static query::Value of(const std::vector<T>& objects) {
    std::string json;
    flowlog::append_field(json, objects);
    return json;
  }
  static query::Value of(const model::PolicyTraces&) { return {}; }
};

template <LogType kLog>
class Oracle {
 public:
  using Record = model::RecordOf<kLog>;
  using Reader =
      std::conditional_t<kLog == LogType::kFlows, flowlog::FlowLogReader,
                         flowlog::LogReader<std::conditional_t<kLog == LogType::kFlows, model::DnsRecord, Record>>>;

  /// False: the line is refused.
  bool add(const std::string& line) {
    Reader& reader = readers_.emplace_back();
    const auto record = reader.read(line);
    if (record.ok() && record.value()->start_time > 0) {
      rows_.push_back({record.value(), rows_.size() + 1});
      return true;
    }
    readers_.pop_back();
    return false;
  }
  std::size_t size() const { return rows_.size(); }

  /// All rows, without cursor: the caller compares pages.
  query::Answer answer(const query::Request& request) const {
    std::vector<Row> rows;
    std::optional<filter::Filter> filter;
    if (!request.filter.empty()) filter = filter::Filter::compile(request.filter, kLog).value();
    for (const Row& row : rows_) {
      if (row.record->start_time < request.from || row.record->start_time >= request.to) continue;
      if (filter && !filter->matches(*row.record)) continue;
      if (is_left_out(*row.record, request)) continue;
      rows.push_back(row);
    }
    return request.is_grouped() ? groups(request, rows) : plain(request, rows);
  }

  static query::Value value_of(const Record& record, std::string_view name) {
    query::Value value;
    const auto take = [&](const auto& field) {
      using FieldType = std::remove_cvref_t<decltype(field)>;
      if (field.name != name) return;
      if (model::kind_of_field<FieldType, Record>(field) == model::FieldKind::kProtocol) {
        if constexpr (kLog == LogType::kFlows) value = model::protocol_name(record.protocol);
      } else {
        value = OracleValue::of(FieldType::get(record));
      }
    };
    std::apply([&](const auto&... field) { (take(field), ...); }, model::kStoredFields<kLog>);
    if constexpr (kLog == LogType::kFlows) flow_value(record, name, value);
    return value;
  }

 private:
  struct Row {
    const Record* record;
    std::uint64_t id;
  };

  static void flow_value(const model::FlowRecord& r, std::string_view name, query::Value& value) {
    const bool dst = r.reporter == "dst";
    if (name == "bytes") value = OracleValue::of(r.bytes_in + r.bytes_out);
    if (name == "packets") value = OracleValue::of(r.packets_in + r.packets_out);
    if (name == "bytes_to_dest") value = OracleValue::of(dst ? r.bytes_in : r.bytes_out);
    if (name == "bytes_to_source") value = OracleValue::of(dst ? r.bytes_out : r.bytes_in);
    if (name == "packets_to_dest") value = OracleValue::of(dst ? r.packets_in : r.packets_out);
    if (name == "packets_to_source") value = OracleValue::of(dst ? r.packets_out : r.packets_in);
    const auto trace = [&](const model::PolicyTrace* t) { value = t ? query::Value(t->entries) : query::Value(); };
    if (name == "policies.enforced_policies") trace(r.policies.enforced);
    if (name == "policies.pending_policies") trace(r.policies.pending);
  }

  static bool is_left_out(const Record& record, const query::Request& request) {
    if constexpr (kLog == LogType::kFlows) {
      const auto names = [&](const std::vector<std::string>& list) {
        return std::find(list.begin(), list.end(), "reporter") != list.end();
      };
      if (!request.deduplicate || request.filter.find("reporter") != std::string::npos || names(request.group_by) ||
          names(request.columns)) {
        return false;
      }
      if (record.reporter == "src") return record.action != "deny" && record.dest_type == "wep";
      if (record.reporter == "fwd") return record.source_type == "wep" || record.dest_type == "wep";
    }
    return false;
  }

  /// Ascending with absent last.
  static int compare(const query::Value& a, const query::Value& b, bool descending) {
    const bool a_none = a.index() == 0, b_none = b.index() == 0;
    if (a_none || b_none) return a_none == b_none ? 0 : (a_none ? 1 : -1);
    const int order = a < b ? -1 : (b < a ? 1 : 0);
    return descending ? -order : order;
  }

  static query::Answer plain(const query::Request& request, std::vector<Row> rows) {
    std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
      for (const query::Order& by : request.order) {
        const int order = compare(value_of(*a.record, by.column), value_of(*b.record, by.column), by.descending);
        if (order != 0) return order < 0;
      }
      return std::pair(a.record->start_time, a.id) > std::pair(b.record->start_time, b.id);
    });
    query::Answer answer;
    for (const Row& row : rows) {
      std::vector<query::Value>& values = answer.rows.emplace_back();
      for (const std::string& name : request.columns) values.push_back(value_of(*row.record, name));
      answer.ids.push_back(row.id);
    }
    return answer;
  }

  static query::Value metric(const query::Request& request, const query::Metric& metric, const std::vector<Row>& rows) {
    using query::Aggregate;
    if (metric.aggregate == Aggregate::kCount) return static_cast<std::int64_t>(rows.size());
    std::int64_t sum = 0;
    double real = 0;
    query::Value smallest, largest;
    std::set<query::Value> distinct;
    for (const Row& row : rows) {
      const query::Value value = value_of(*row.record, metric.field);
      if (value.index() == 0) continue;
      distinct.insert(value);
      if (const auto* number = std::get_if<std::int64_t>(&value)) sum += *number, real += static_cast<double>(*number);
      if (const auto* number = std::get_if<double>(&value)) real += *number;
      if (smallest.index() == 0 || value < smallest) smallest = value;
      if (largest.index() == 0 || largest < value) largest = value;
    }
    const std::int64_t seconds = request.interval > 0 ? request.interval : request.to - request.from;
    switch (metric.aggregate) {
      case Aggregate::kSum:
        if (metric.field.ends_with("_seconds")) return real;
        return sum;
      case Aggregate::kRate:
        return real / static_cast<double>(seconds);
      case Aggregate::kMin:
        return smallest;
      case Aggregate::kMax:
        return largest;
      default:
        return static_cast<std::int64_t>(distinct.size());
    }
  }

  static query::Answer groups(const query::Request& request, const std::vector<Row>& rows) {
    std::map<std::vector<query::Value>, std::vector<Row>> groups;
    for (const Row& row : rows) {
      std::vector<query::Value> key;
      if (request.interval > 0) key.emplace_back(row.record->start_time - row.record->start_time % request.interval);
      for (const std::string& name : request.group_by) key.push_back(value_of(*row.record, name));
      groups[key].push_back(row);
    }
    const std::size_t keys = request.group_by.size() + (request.interval > 0 ? 1 : 0);
    // Without keys there is one group, even of nothing.
    if (keys == 0 && groups.empty()) groups[{}];
    query::Answer answer;
    std::vector<query::Metric> metrics = request.metrics;
    if (metrics.empty()) metrics.emplace_back();
    for (const auto& [key, members] : groups) {
      std::vector<query::Value>& values = answer.rows.emplace_back(key);
      for (const query::Metric& m : metrics) values.push_back(metric(request, m, members));
    }
    std::vector<std::pair<std::size_t, bool>> order;
    const auto column_of = [&](std::string_view name) {
      if (name == "time" && request.interval > 0) return std::size_t{0};
      std::size_t at = request.interval > 0 ? 1 : 0;
      for (const std::string& field : request.group_by) {
        if (field == name) return at;
        ++at;
      }
      for (const query::Metric& m : metrics) {
        if (m.name() == name) return at;
        ++at;
      }
      return at;
    };
    for (const query::Order& by : request.order) order.emplace_back(column_of(by.column), by.descending);
    if (order.empty()) {
      if (request.interval > 0) order.emplace_back(0, false);
      order.emplace_back(keys, true);
    }
    for (std::size_t at = 0; at < keys; ++at) order.emplace_back(at, false);
    std::stable_sort(answer.rows.begin(), answer.rows.end(), [&](const auto& a, const auto& b) {
      for (const auto& [column, descending] : order) {
        const int by = compare(a[column], b[column], descending);
        if (by != 0) return by < 0;
      }
      return false;
    });
    return answer;
  }

  std::deque<Reader> readers_;
  std::vector<Row> rows_;
};

}  // namespace weir::store
