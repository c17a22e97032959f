#include "query/plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/hash.h"
#include "filter/field_words.h"

namespace weir::query {
namespace {

using model::FieldKind;
using Source = PlanField::Source;

struct VirtualField {
  std::string_view name;
  Source source;
  FieldKind kind;
};
constexpr VirtualField kVirtualFields[] = {
    {"bytes", Source::kBytes, FieldKind::kBytes},
    {"packets", Source::kPackets, FieldKind::kPackets},
    {"bytes_to_dest", Source::kBytesToDest, FieldKind::kBytes},
    {"bytes_to_source", Source::kBytesToSource, FieldKind::kBytes},
    {"packets_to_dest", Source::kPacketsToDest, FieldKind::kPackets},
    {"packets_to_source", Source::kPacketsToSource, FieldKind::kPackets},
};
constexpr VirtualField kTraces[] = {
    {"policies.enforced_policies", Source::kEnforced, FieldKind::kKeywordList},
    {"policies.pending_policies", Source::kPending, FieldKind::kKeywordList},
};
constexpr std::string_view kUnknownName = "extra";

Result<PlanField> find_field(LogType log, std::string_view name, const char* where) {
  PlanField field;
  field.name = name;
  if (const auto row = model::find_log_field(log, name)) {
    field.row = static_cast<std::uint8_t>(*row);
    field.kind = model::log_fields(log)[*row].kind;
    return field;
  }
  const auto take = [&](const auto& known) {
    for (const VirtualField& candidate : known) {
      if (candidate.name != name) continue;
      field.source = candidate.source;
      field.kind = candidate.kind;
      return true;
    }
    return false;
  };
  if (log == LogType::kFlows && (take(kVirtualFields) || take(kTraces))) return field;
  if (name == kUnknownName) {
    field.source = Source::kUnknown;
    field.kind = FieldKind::kJson;
    return field;
  }
  const std::string near = filter::nearest_word(log, name);
  return invalid_argument(std::string(where) + ": unknown field '" + std::string(name) + "' of " +
                          std::string(to_string(log)) +
                          (model::find_log_field(log, near) ? "; did you mean " + near + "?" : std::string()));
}

bool is_object(FieldKind kind) {
  return kind == FieldKind::kAnswers || kind == FieldKind::kServers || kind == FieldKind::kJson;
}
bool is_scalar(FieldKind kind) { return !model::is_list(kind) && !is_object(kind); }

Result<PlanField> find_scalar(LogType log, std::string_view name, const char* where) {
  TRY_ASSIGN(PlanField field, find_field(log, name, where));
  if (is_scalar(field.kind)) return field;
  return invalid_argument(std::string(where) + ": " + field.name + " is a list; only single values can be used here");
}

Status add_columns(const Request& request, Plan& plan) {
  const auto add = [&](std::string_view name) -> Status {
    if (name == "policies" && plan.log == LogType::kFlows) {
      for (const VirtualField& trace : kTraces) {
        TRY_ASSIGN(PlanField field, find_field(plan.log, trace.name, "columns"));
        plan.fields.push_back(std::move(field));
      }
      return {};
    }
    TRY_ASSIGN(PlanField field, find_field(plan.log, name, "columns"));
    plan.fields.push_back(std::move(field));
    return {};
  };
  for (const std::string& name : request.columns) TRY(add(name));
  if (!plan.fields.empty()) return {};
  for (const model::LogField& field : model::log_fields(plan.log)) TRY(add(field.name));
  return add(kUnknownName);
}

Status add_groups(const Request& request, Plan& plan) {
  for (const std::string& name : request.group_by) {
    TRY_ASSIGN(PlanField field, find_scalar(plan.log, name, "group_by"));
    plan.fields.push_back(std::move(field));
  }
  for (const Metric& metric : request.metrics) {
    PlanMetric planned;
    planned.aggregate = metric.aggregate;
    planned.name = metric.name();
    if (metric.aggregate != Aggregate::kCount) {
      TRY_ASSIGN(planned.field, find_scalar(plan.log, metric.field, "metrics"));
      const bool adds = metric.aggregate == Aggregate::kSum || metric.aggregate == Aggregate::kRate;
      const FieldKind kind = planned.field.kind;
      if (adds && (!model::is_number(kind) || kind == FieldKind::kSeconds || kind == FieldKind::kPort)) {
        return invalid_argument("metrics: " + metric.field + " cannot be added up; use count, min, max or distinct");
      }
    }
    plan.metrics.push_back(std::move(planned));
  }
  if (plan.metrics.empty()) plan.metrics.push_back({Aggregate::kCount, {}, "count"});
  return {};
}

Status add_group_order(const Request& request, Plan& plan) {
  const std::vector<Column> columns = plan.columns();
  const auto add = [&](std::string_view name, bool descending) -> Status {
    const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& c) { return c.name == name; });
    if (found == columns.end()) {
      return invalid_argument("order: '" + std::string(name) + "' is no column of the answer");
    }
    plan.order.push_back({{}, static_cast<std::size_t>(found - columns.begin()), descending});
    return {};
  };
  for (const Order& order : request.order) TRY(add(order.column, order.descending));
  if (plan.order.empty()) {
    if (plan.interval > 0) TRY(add("time", false));
    TRY(add(plan.metrics.front().name, true));
  }
  return {};
}

Status add_row_order(const Request& request, Plan& plan) {
  for (const Order& order : request.order) {
    TRY_ASSIGN(PlanField field, find_scalar(plan.log, order.column, "order"));
    plan.order.push_back({std::move(field), 0, order.descending});
  }
  plan.newest_first = plan.order.empty() || (plan.order.front().field.name == "start_time" &&
                                             plan.order.front().descending && plan.order.size() == 1);
  if (plan.newest_first) plan.order.clear();
  return {};
}

bool names_reporter(const filter::Expression& expression, std::size_t reporter) {
  const auto& rows = expression.test.target.rows;
  if (expression.kind == filter::Expression::Kind::kTest) {
    return std::find(rows.begin(), rows.end(), reporter) != rows.end();
  }
  return std::any_of(expression.children.begin(), expression.children.end(),
                     [&](const filter::Expression& child) { return names_reporter(child, reporter); });
}

bool should_deduplicate(const Request& request, const Plan& plan) {
  if (!request.deduplicate || request.log != LogType::kFlows) return false;
  const std::size_t reporter = model::find_log_field(LogType::kFlows, "reporter").value();
  if (plan.filter && names_reporter(*plan.filter, reporter)) return false;
  // Not in the columns that a request without any gets.
  if (!plan.grouped && request.columns.empty()) return true;
  return std::none_of(plan.fields.begin(), plan.fields.end(),
                      [&](const PlanField& field) { return field.source == Source::kField && field.row == reporter; });
}

std::uint64_t fingerprint_of(const Request& request) {
  std::string text(to_string(request.log));
  const auto add = [&](std::string_view part) { text.append(1, '\0').append(part); };
  add(std::to_string(request.from));
  add(std::to_string(request.to));
  add(request.filter);
  for (const std::string& name : request.columns) add(name);
  add("g");
  for (const std::string& name : request.group_by) add(name);
  for (const Metric& metric : request.metrics) add(metric.name());
  add(std::to_string(request.interval));
  for (const Order& order : request.order) add((order.descending ? "-" : "+") + order.column);
  add(request.deduplicate ? "1" : "0");
  return hash_bytes(text.data(), text.size());
}

template <typename Number>
bool take_number(std::string_view& text, Number& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with('.')) text.remove_prefix(1);
  return true;
}

Status read_cursor(std::string_view text, Plan& plan) {
  if (text.empty()) return {};
  const Error wrong = invalid_argument("cursor: not one of an answer to this request");
  const bool by_row = text.starts_with("r.");
  if (!by_row && !text.starts_with("o.")) return wrong;
  text.remove_prefix(2);
  std::uint64_t fingerprint = 0;
  if (by_row) {
    std::int64_t start = 0;
    if (!take_number(text, start) || !take_number(text, plan.position.id)) return wrong;
    plan.position.start_time = start;
  } else if (!take_number(text, plan.position.offset)) {
    return wrong;
  }
  if (!take_number(text, fingerprint, 16) || !text.empty()) return wrong;
  if (fingerprint != plan.fingerprint || by_row != plan.newest_first) return wrong;
  return {};
}

}  // namespace

ColumnKind column_kind(FieldKind kind) {
  switch (kind) {
    case FieldKind::kSeconds:
      return ColumnKind::kTime;
    case FieldKind::kReal:
      return ColumnKind::kReal;
    case FieldKind::kLabels:
      return ColumnKind::kLabels;
    case FieldKind::kPortList:
      return ColumnKind::kNumbers;
    case FieldKind::kAnswers:
    case FieldKind::kServers:
    case FieldKind::kJson:
      return ColumnKind::kJson;
    case FieldKind::kKeyword:
    case FieldKind::kProtocol:
    case FieldKind::kIp:
      return ColumnKind::kText;
    default:
      return model::is_list(kind) ? ColumnKind::kList : ColumnKind::kInteger;
  }
}

std::vector<Column> Plan::columns() const {
  std::vector<Column> columns;
  if (interval > 0) columns.push_back({"time", ColumnKind::kTime});
  for (const PlanField& field : fields) {
    columns.push_back({field.name, field.source == Source::kUnknown ? ColumnKind::kMembers : column_kind(field.kind)});
  }
  for (const PlanMetric& metric : metrics) {
    ColumnKind kind = ColumnKind::kInteger;
    if (metric.aggregate == Aggregate::kRate) kind = ColumnKind::kReal;
    if (metric.aggregate == Aggregate::kSum && metric.field.kind == FieldKind::kReal) kind = ColumnKind::kReal;
    if (metric.aggregate == Aggregate::kMin || metric.aggregate == Aggregate::kMax) {
      kind = column_kind(metric.field.kind);
    }
    columns.push_back({metric.name, kind});
  }
  return columns;
}

Result<Plan> make_plan(const Request& request) {
  Plan plan;
  plan.log = request.log;
  plan.from = request.from;
  plan.to = request.to;
  if (request.from >= request.to) return invalid_argument("range: from must be before to");
  if (request.limit < 1 || request.limit > kMaxLimit) {
    return invalid_argument("limit: must be from 1 to " + std::to_string(kMaxLimit));
  }
  if (request.interval < 0) return invalid_argument("interval: must not be negative");
  if (request.interval > 0 && (request.to - request.from) / request.interval > kMaxLimit) {
    return invalid_argument("interval: the range has more than " + std::to_string(kMaxLimit) + " steps");
  }
  plan.limit = request.limit;
  plan.interval = request.interval;
  plan.grouped = request.is_grouped();
  plan.fingerprint = fingerprint_of(request);
  if (request.filter.find_first_not_of(" \t\r\n") != std::string::npos) {
    Result<filter::Expression> parsed = filter::parse(request.filter, request.log);
    if (!parsed.ok()) return invalid_argument("filter: " + parsed.error().message);
    plan.filter = std::move(parsed).value();
  }
  if (plan.grouped) {
    TRY(add_groups(request, plan));
    TRY(add_group_order(request, plan));
  } else {
    TRY(add_columns(request, plan));
    TRY(add_row_order(request, plan));
  }
  plan.deduplicate = should_deduplicate(request, plan);
  TRY(read_cursor(request.cursor, plan));
  return plan;
}

std::string cursor_after(const Plan& plan, const Position& at) {
  char hash[17];
  const auto end = std::to_chars(hash, hash + 16, plan.fingerprint, 16).ptr;
  std::string text = at.start_time ? "r." + std::to_string(*at.start_time) + "." + std::to_string(at.id)
                                   : "o." + std::to_string(at.offset);
  return text.append(1, '.').append(hash, end);
}

}  // namespace weir::query
