#include "app/group_by.h"

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <stdlib.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <limits>
#include <utility>

#include "app/observe_files.h"
#include "base/duration.h"
#include "base/text.h"
#include "base/text_table.h"
#include "observe/json_columns.h"
#include "store/store.h"

namespace weir::app {
namespace {

constexpr std::size_t kBatchBytes = 4 * 1024 * 1024;

/// "sum(bytes_in)", "count".
Result<query::Metric> parse_metric(std::string_view text) {
  using query::Aggregate;
  constexpr std::pair<std::string_view, Aggregate> kNames[] = {
      {"count", Aggregate::kCount}, {"sum", Aggregate::kSum},   {"min", Aggregate::kMin},
      {"max", Aggregate::kMax},     {"rate", Aggregate::kRate}, {"distinct", Aggregate::kDistinct}};
  const std::size_t open = std::min(text.find('('), text.size());
  query::Metric metric;
  if (open < text.size() && text.ends_with(')')) metric.field = trim(text.substr(open + 1, text.size() - open - 2));
  for (const auto& [name, aggregate] : kNames) {
    if (name != trim(text.substr(0, open)) || (open < text.size() && !text.ends_with(')'))) continue;
    metric.aggregate = aggregate;
    return metric;
  }
  return invalid_argument("--metrics: '" + std::string(text) +
                          "' is none of count, sum(F), min(F), max(F), rate(F), distinct(F)");
}

/// "bytes:desc", "time".
query::Order parse_order(std::string text) {
  query::Order order;
  if (text.ends_with(":desc")) {
    order.descending = true;
    text.resize(text.size() - 5);
  } else if (text.ends_with(":asc")) {
    text.resize(text.size() - 4);
  }
  order.column = std::move(text);
  return order;
}

class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create() {
    const char* parent = std::getenv("TMPDIR");
    std::string pattern = std::string(parent == nullptr ? "/tmp" : parent) + "/weir-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) return errno_error("mkdtemp", pattern);
    return TemporaryFolder(pattern);
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Status fill(store::Store& store, const std::vector<std::string>& files, const ServerQuestion& question) {
  TRY_ASSIGN(std::vector<observe::LogFiles> logs, observe::find_log_files(files, "flows.log"));
  TRY_ASSIGN(auto scan, observe::RecordScan<model::LogType::kFlows>::create(std::move(logs), question.selection));
  Progress progress("reading");
  scan.lines().on_progress([&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
  std::string batch;
  Status failure;
  const auto flush = [&] {
    if (batch.empty() || !failure.ok()) return;
    const auto appended = store.append(model::LogType::kFlows, std::nullopt, batch);
    if (!appended.ok()) failure = appended.error();
    batch.clear();
  };
  TRY(scan.run([&](const model::FlowRecord&, std::string_view line) {
    batch.append(line).push_back('\n');
    if (batch.size() >= kBatchBytes) flush();
  }));
  flush();
  report_bad_lines("weir observe", scan.lines().stats(), false);
  return failure;
}

}  // namespace

void GroupOptions::add_to(CLI::App& app) {
  app.add_option("--group-by", group_by, "add records up by these fields; a comma list")->group("Groups");
  app.add_option("--metrics", metrics,
                 "what is computed: count, sum(F), min(F), max(F), rate(F), distinct(F); F may be bytes, packets, "
                 "bytes_to_dest, ... (default count)")
      ->group("Groups");
  app.add_option("--interval", interval, "a series in steps of this duration")->group("Groups");
  app.add_option("--order", order, "columns, each with :desc for falling (default: the first metric, largest first)")
      ->group("Groups");
  app.add_option("--limit", limit, "groups")
      ->check(CLI::Range(std::uint32_t{1}, query::kMaxLimit))
      ->capture_default_str()
      ->group("Groups");
}

Result<query::Request> GroupOptions::request(const ServerQuestion& question) const {
  query::Request request;
  const observe::TimeRange& range = question.selection.range;
  request.from = range.from;
  request.to = range.to == std::numeric_limits<std::int64_t>::max() ? std::time(nullptr) + 1 : range.to;
  request.filter = question.selection.filter;
  request.group_by = split_list(group_by);
  for (const std::string& metric : split_list(metrics)) {
    TRY_ASSIGN(query::Metric parsed, parse_metric(metric));
    request.metrics.push_back(std::move(parsed));
  }
  if (request.metrics.empty()) request.metrics.push_back({});
  if (!interval.empty()) {
    TRY_ASSIGN(const std::chrono::nanoseconds step, parse_duration(interval));
    request.interval = std::chrono::duration_cast<std::chrono::seconds>(step).count();
    if (request.interval < 1) return invalid_argument("--interval: at least 1s");
  }
  for (const std::string& column : split_list(order)) request.order.push_back(parse_order(column));
  request.limit = limit;
  request.deduplicate = question.deduplicate;
  TRY(query::validate(request));
  return request;
}

Result<Groups> ask_groups(observe::ServerClient& client, const ServerQuestion& question, const GroupOptions& options) {
  // Checked here, so that both sources refuse alike.
  TRY_ASSIGN(const query::Request request, options.request(question));
  observe::ServerClient::Parameters parameters = parameters_of(question);
  if (!options.group_by.empty()) parameters.emplace_back("group_by", options.group_by);
  parameters.emplace_back("metrics", options.metrics.empty() ? "count" : options.metrics);
  if (request.interval > 0) parameters.emplace_back("interval", std::to_string(request.interval) + "s");
  if (!options.order.empty()) parameters.emplace_back("order", options.order);
  parameters.emplace_back("limit", std::to_string(request.limit));
  TRY_ASSIGN(const std::string body, client.get_json("/api/v1/stats", parameters));
  simdjson::dom::parser parser;
  simdjson::dom::element root, completeness;
  simdjson::dom::array items, columns;
  if (parser.parse(body).get(root) != simdjson::SUCCESS || root["items"].get(items) != simdjson::SUCCESS ||
      root["columns"].get(columns) != simdjson::SUCCESS) {
    return data_loss("the server's answer has no groups");
  }
  Groups groups;
  for (const simdjson::dom::element column : columns) {
    std::string_view name;
    if (column["name"].get(name) == simdjson::SUCCESS) groups.columns.emplace_back(name);
  }
  for (const simdjson::dom::element item : items) groups.rows.push_back(simdjson::minify(item));
  if (root["completeness"].get(completeness) == simdjson::SUCCESS) {
    const std::string text = simdjson::minify(completeness);
    std::fputs(observe::completeness_text(text, question.selection.range.from > 0).c_str(), stderr);
  }
  return groups;
}

Result<Groups> group_files(const std::vector<std::string>& files, const ServerQuestion& question,
                           const GroupOptions& options) {
  TRY_ASSIGN(const query::Request request, options.request(question));
  TRY_ASSIGN(const TemporaryFolder folder, TemporaryFolder::create());
  store::StoreOptions store_options;
  store_options.directory = folder.path();
  store_options.background = false;
  TRY_ASSIGN(const std::unique_ptr<store::Store> store, store::Store::open(std::move(store_options)));
  TRY(fill(*store, files, question));
  TRY_ASSIGN(const query::Answer answer, store->query(request));
  Groups groups;
  for (const query::Column& column : answer.columns) groups.columns.push_back(column.name);
  for (std::size_t row = 0; row < answer.rows.size(); ++row) {
    query::append_json_object(groups.rows.emplace_back(), answer, row);
  }
  return groups;
}

Status print_groups(const Groups& groups, const std::string& format) {
  std::string out;
  if (format == "json") {
    for (const std::string& row : groups.rows) out.append(row).append("\n");
  } else if (format == "csv") {
    for (std::size_t i = 0; i < groups.columns.size(); ++i) {
      if (i > 0) out += ',';
      observe::append_csv_cell(out, groups.columns[i]);
    }
    out += "\r\n";
    observe::JsonColumns columns(groups.columns);
    for (const std::string& row : groups.rows) {
      TRY(columns.append_csv(row, out));
      out += "\r\n";
    }
  } else {
    std::vector<std::string> header;
    for (std::string name : groups.columns) {
      for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      header.push_back(std::move(name));
    }
    TextTable table(std::move(header));
    for (const std::string& row : groups.rows) {
      std::vector<std::string> cells;
      for (const std::string& name : groups.columns) {
        observe::JsonColumns one({name});
        TRY(one.append_csv(row, cells.emplace_back()));
      }
      table.add(std::move(cells));
    }
    out = table.to_string();
  }
  std::fputs(out.c_str(), stdout);
  return {};
}

}  // namespace weir::app
