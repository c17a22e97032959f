#include "api/internal/request_parameters.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/duration.h"
#include "base/text.h"

namespace weir::api {
namespace {

constexpr std::int64_t kDefaultRangeSeconds = 3600;

bool parse_whole(std::string_view text, std::int64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) parts.emplace_back(trim(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

Result<std::int64_t> parse_rfc3339(const std::string& text) {
  std::tm utc{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr) rest = ::strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &utc);
  if (rest == nullptr) return invalid_argument("'" + text.substr(0, 40) + "' is no time");
  std::int64_t seconds = ::timegm(&utc);
  if (*rest == '.') {
    do {
      ++rest;
    } while (*rest >= '0' && *rest <= '9');
  }
  const std::string_view zone(rest);
  if (zone == "Z" || zone == "z") return seconds;
  int hours = 0, minutes = 0;
  char sign = 0;
  if (zone.size() != 6 || std::sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3 ||
      (sign != '+' && sign != '-')) {
    return invalid_argument("'" + text.substr(0, 40) + "' has no time zone (Z or +01:00)");
  }
  const std::int64_t offset = hours * 3600 + minutes * 60;
  return sign == '+' ? seconds - offset : seconds + offset;
}

/// "sum(bytes_in)", "count", "distinct(dest_name)".
Result<query::Metric> parse_metric(std::string_view text) {
  using query::Aggregate;
  const struct {
    std::string_view name;
    Aggregate aggregate;
  } names[] = {{"count", Aggregate::kCount}, {"sum", Aggregate::kSum},   {"min", Aggregate::kMin},
               {"max", Aggregate::kMax},     {"rate", Aggregate::kRate}, {"distinct", Aggregate::kDistinct}};
  const std::size_t open = std::min(text.find('('), text.size());
  query::Metric metric;
  if (open < text.size()) {
    if (!text.ends_with(')')) return invalid_argument("metrics: '" + std::string(text) + "' has no ')' at its end");
    metric.field = trim(text.substr(open + 1, text.size() - open - 2));
  }
  for (const auto& name : names) {
    if (name.name != trim(text.substr(0, open))) continue;
    metric.aggregate = name.aggregate;
    return metric;
  }
  return invalid_argument("metrics: '" + std::string(text.substr(0, 40)) +
                          "' is none of count, sum(F), min(F), max(F), rate(F), distinct(F)");
}

Status set_order(query::Request& request, std::string_view text) {
  for (std::string part : split(text)) {
    query::Order order;
    if (part.starts_with('-')) {
      order.descending = true;
      part.erase(0, 1);
    }
    const std::size_t blank = part.find_first_of(" :");
    if (blank != std::string::npos) {
      const std::string_view way = trim(std::string_view(part).substr(blank + 1));
      if (way != "asc" && way != "desc")
        return invalid_argument("order: 'asc' or 'desc' is wanted, not '" + std::string(way) + "'");
      order.descending = way == "desc";
      part.resize(blank);
    }
    order.column = part;
    request.order.push_back(std::move(order));
  }
  return {};
}

Status set_numbers(query::Request& request, const http::Fields& query) {
  if (const std::string* text = http::find_field(query, "interval")) {
    TRY_ASSIGN(const std::chrono::nanoseconds interval, parse_duration(*text));
    request.interval = std::chrono::duration_cast<std::chrono::seconds>(interval).count();
    if (request.interval < 1) return invalid_argument("interval: at least 1s");
  }
  if (const std::string* text = http::find_field(query, "limit")) {
    std::int64_t limit = 0;
    if (!parse_whole(*text, limit) || limit < 1 || limit > query::kMaxLimit) {
      return invalid_argument("limit: a number from 1 to " + std::to_string(query::kMaxLimit));
    }
    request.limit = static_cast<std::uint32_t>(limit);
  }
  if (const std::string* text = http::find_field(query, "dedupe")) {
    if (*text != "true" && *text != "false") return invalid_argument("dedupe: true or false");
    request.deduplicate = *text == "true";
  }
  return {};
}

}  // namespace

Result<std::int64_t> parse_time(std::string_view text, std::int64_t now) {
  std::int64_t number = 0;
  if (text == "now") return now;
  if (text.starts_with("now-") || (text.starts_with('-') && text.size() > 1)) {
    const Result<std::chrono::nanoseconds> ago = parse_duration(text.substr(text.find('-') + 1));
    if (!ago.ok())
      return invalid_argument("'" + std::string(text.substr(0, 40)) + "' is no time: " + ago.error().message);
    return now - std::chrono::duration_cast<std::chrono::seconds>(ago.value()).count();
  }
  if (parse_whole(text, number)) return number;
  return parse_rfc3339(std::string(text));
}

Result<query::Request> parse_request(const http::Request& http, model::LogType log, std::int64_t now) {
  query::Request request;
  request.log = log;
  std::string_view named = http.parameter("log");
  if (const std::string* text = http::find_field(http.query, "log")) named = *text;
  if (!named.empty()) {
    const auto type = model::log_type_named(named);
    if (!type)
      return invalid_argument("log: '" + std::string(named.substr(0, 40)) +
                              "' is none of flows, dns, l7, agent, audit");
    request.log = *type;
  }
  // Records of this very second belong to it.
  request.to = now + 1;
  if (const std::string* text = http::find_field(http.query, "to")) {
    const auto to = parse_time(*text, now);
    if (!to.ok()) return invalid_argument("to: " + to.error().message);
    request.to = to.value();
  }
  request.from = request.to - kDefaultRangeSeconds;
  if (const std::string* text = http::find_field(http.query, "from")) {
    const auto from = parse_time(*text, now);
    if (!from.ok()) return invalid_argument("from: " + from.error().message);
    request.from = from.value();
  }
  const auto text_of = [&](std::string_view name) {
    const std::string* text = http::find_field(http.query, name);
    return text == nullptr ? std::string() : *text;
  };
  request.filter = text_of("filter");
  request.cursor = text_of("cursor");
  request.columns = split(text_of("columns"));
  request.group_by = split(text_of("group_by"));
  for (const std::string& metric : split(text_of("metrics"))) {
    TRY_ASSIGN(query::Metric parsed, parse_metric(metric));
    request.metrics.push_back(std::move(parsed));
  }
  TRY(set_numbers(request, http.query));
  TRY(set_order(request, text_of("order")));
  return request;
}

Status check_parameters(const Endpoint& endpoint, const http::Request& request) {
  for (std::size_t i = 0; i < request.query.size(); ++i) {
    const std::string& name = request.query[i].first;
    const auto known = [&](const Parameter& parameter) { return parameter.name == name; };
    if (std::none_of(endpoint.parameters.begin(), endpoint.parameters.end(), known)) {
      std::string list;
      for (const Parameter& parameter : endpoint.parameters)
        list.append(list.empty() ? "" : ", ").append(parameter.name);
      return invalid_argument("unknown parameter '" + name.substr(0, 40) + "'; " +
                              (list.empty() ? "there are none" : "there are " + list));
    }
    const auto same = [&](const auto& field) { return field.first == name; };
    if (std::any_of(request.query.begin() + static_cast<std::ptrdiff_t>(i) + 1, request.query.end(), same)) {
      return invalid_argument("parameter '" + name + "' is given twice");
    }
  }
  return {};
}

std::vector<Parameter> range_parameters() {
  return {
      {"from", ParameterType::kTime,
       "First second of the range: RFC 3339, Unix seconds, `now-15m` or `-15m`. Default: an hour before `to`."},
      {"to", ParameterType::kTime, "First second after the range. Default: now."},
      {"filter", ParameterType::kText, "In the filter language (filters.md). Default: everything."},
      {"dedupe", ParameterType::kBoolean, "One of the two records of a connection between pods. Default: `true`."},
  };
}

std::vector<Parameter> row_parameters() {
  std::vector<Parameter> parameters = range_parameters();
  parameters.insert(parameters.end(),
                    {{"columns", ParameterType::kList, "Fields to give. Default: all, in the order of the log's line."},
                     {"order", ParameterType::kList, "Columns, each with `:desc` for falling. Default: newest first."},
                     {"limit", ParameterType::kInteger, "Rows of one answer, 1 to 100000. Default: 100."},
                     {"cursor", ParameterType::kText, "`cursor` of the answer before, to go on behind it."}});
  return parameters;
}

std::vector<Parameter> group_parameters() {
  std::vector<Parameter> parameters = range_parameters();
  parameters.insert(parameters.end(),
                    {{"log", ParameterType::kText, "`flows` (default), `dns`, `l7`, `agent` or `audit`."},
                     {"group_by", ParameterType::kList, "Fields whose values make the groups."},
                     {"metrics", ParameterType::kList,
                      "`count`, `sum(F)`, `min(F)`, `max(F)`, `rate(F)`, `distinct(F)`; of flows F may be `bytes`, "
                      "`packets`, `bytes_to_dest` and the like. Default: `count`."},
                     {"interval", ParameterType::kText, "Step of a series, such as `1m`; groups get a column `time`."},
                     {"order", ParameterType::kList,
                      "Columns, each with `:desc` for falling. Default: largest first metric first; series by time."},
                     {"limit", ParameterType::kInteger, "Groups of one answer, 1 to 100000. Default: 100."},
                     {"cursor", ParameterType::kText, "`cursor` of the answer before, to go on behind it."}});
  return parameters;
}

}  // namespace weir::api
