// The store against the engine alone, in one run: ./dev bench store [--rows N] [--dir FOLDER] [--rounds N]
//
// Rows of a 100-node cluster at 10 million a day are appended (parse, WAL, hot table, segments, merges), then asked for
// with the eight questions of the design. The floors are the same engine without us: DuckDB's own durable file filled
// by its appender, and SQL written by hand over the very files that the store has made.

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "store/internal/disk.h"
#include "store/internal/duck.h"
#include "store/internal/line_parser.h"
#include "store/internal/schema.h"
#include "store/store.h"
#include "store_workload.h"

namespace {

using namespace weir;  // NOLINT: a program, not a header
using bench::kRowsOfWindow;
using bench::kStoreBenchStart;
using bench::StoreWorkload;
using Clock = std::chrono::steady_clock;

struct Options {
  std::uint64_t rows = 1'000'000;
  std::uint64_t floor_rows = 300'000;
  std::uint64_t batch = 10'000;
  int rounds = 15;
  std::string folder = "/tmp/weir_store_bench";
};

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }
double cpu_seconds(clockid_t clock = CLOCK_PROCESS_CPUTIME_ID) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}
double percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(p * static_cast<double>(values.size())))];
}
std::uint64_t status_kib(const char* key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(key)) return std::strtoull(line.c_str() + std::strlen(key) + 1, nullptr, 10);
  }
  return 0;
}
[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "store_bench: %s\n", what.c_str());
  std::exit(1);
}
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) fail(result.error().message);
  return std::move(result).value();
}
void must(Status status) {
  if (!status.ok()) fail(status.error().message);
}

int g_missed = 0;
void goal(const char* name, double value, const char* sign, double gate, const char* unit) {
  const bool met = *sign == '<' ? value <= gate : value >= gate;
  if (!met) ++g_missed;
  std::printf("  %-62s %8.2f %-4s gate %s %.2f%s\n", name, value, unit, sign, gate, met ? "" : "   MISSED");
}

/// As a shipper does: what the store has no room for now is sent again.
std::uint64_t append_patiently(store::Store& store, const std::optional<store::SourceRange>& range,
                               const std::string& lines) {
  while (true) {
    Result<store::Appended> appended = store.append(model::LogType::kFlows, range, lines);
    if (appended.ok() || appended.error().code != ErrorCode::kResourceExhausted) return must(std::move(appended)).rows;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

struct IngestFigures {
  double rows_per_second = 0, rows_per_cpu = 0;
};

/// Appends the rows through the store; its clock follows the rows'.
IngestFigures ingest(store::Store& store, const Options& options, std::atomic<std::int64_t>& now) {
  StoreWorkload workload;
  std::vector<double> acks;
  double wall = 0, made = 0;
  const double cpu_before = cpu_seconds();
  std::uint64_t offset = 0;
  for (std::uint64_t row = 0; row < options.rows; row += options.batch) {
    const double making = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    std::string lines;
    const std::uint64_t count = std::min(options.batch, options.rows - row);
    workload.append_lines(row, count, lines);
    made += cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - making;
    now = StoreWorkload::time_of(row) + 300;
    const auto begin = Clock::now();
    const store::SourceRange range{"node", "g", offset, offset + lines.size()};
    offset += lines.size();
    if (append_patiently(store, range, lines) != count) fail("rows were refused");
    acks.push_back(seconds_since(begin) * 1000);
    wall += acks.back() / 1000;
  }
  const double cpu = cpu_seconds() - cpu_before - made;
  const auto rows = static_cast<double>(options.rows);
  std::printf(
      "append: %.0f rows/s, %.0f rows per CPU second, batch of %llu rows acknowledged in p50 %.0f p99 %.0f ms\n",
      rows / wall, rows / cpu, static_cast<unsigned long long>(options.batch), percentile(acks, 0.5),
      percentile(acks, 0.99));
  std::printf("        %.0f bytes of JSON a row\n", static_cast<double>(offset) / rows);
  return {rows / wall, rows / cpu};
}

/// The same rows, parsed before, into DuckDB's own file: one transaction a batch.
IngestFigures raw_engine(const Options& options) {
  const std::string path = options.folder + "/native.duckdb";
  duckdb_database database = nullptr;
  duckdb_connection handle = nullptr;
  if (duckdb_open(path.c_str(), &database) == DuckDBError) fail("cannot open " + path);
  StoreWorkload workload;
  std::vector<store::RowBatch> batches;
  for (std::uint64_t row = 0; row < options.floor_rows; row += options.batch) {
    std::string lines;
    workload.append_lines(row, options.batch, lines);
    batches.push_back(std::move(store::parse_lines(model::LogType::kFlows, lines, "node", nullptr, 0).batch));
  }
  duckdb_connect(database, &handle);
  store::DuckConnection connection = store::DuckConnection::adopt(handle);
  must(connection.run("SET checkpoint_threshold='1GB'"));
  must(connection.run(store::create_table_sql(model::LogType::kFlows, "flows")));
  const double cpu_before = cpu_seconds();
  const auto begin = Clock::now();
  std::uint64_t rows = 0;
  for (const store::RowBatch& batch : batches) {
    must(connection.run("BEGIN"));
    must(batch.append_to(connection, "flows", rows));
    must(connection.run("COMMIT"));
    rows += batch.rows();
  }
  const IngestFigures figures{static_cast<double>(rows) / seconds_since(begin),
                              static_cast<double>(rows) / (cpu_seconds() - cpu_before)};
  std::printf("engine alone (no parsing, its own file): %.0f rows/s, %.0f rows per CPU second\n",
              figures.rows_per_second, figures.rows_per_cpu);
  { const store::DuckConnection closed = std::move(connection); }
  duckdb_close(&database);
  std::filesystem::remove(path);
  return figures;
}

struct Question {
  const char* name;
  query::Request request;
  /// By hand, with FILES for the files that matter and FROM and TO.
  std::string sql;
  bool last_hour = false;
};

// size: a table of eight questions, each twice
std::vector<Question> questions(const Options& options) {
  using query::Aggregate;
  query::Request all;
  all.from = kStoreBenchStart;
  all.to = StoreWorkload::time_of(options.rows - 1) + 300;
  all.deduplicate = false;
  all.limit = 1000;
  const std::string edge_sql =
      "SELECT source_namespace,source_name_aggr,dest_namespace,dest_name_aggr,dest_port,action,reporter,sum(bytes_in) "
      "b,sum(bytes_out),count(*) FROM FILES WHERE start_time>=FROM AND start_time<TO GROUP BY ALL ORDER BY b DESC "
      "LIMIT "
      "1000";
  std::vector<Question> all_questions;
  const auto add = [&](const char* name, const std::string& sql, bool last_hour, auto&& change) {
    Question question{name, all, sql, last_hour};
    if (last_hour) question.request.from = question.request.to - 3600;
    change(question.request);
    all_questions.push_back(std::move(question));
  };
  const auto edges = [](query::Request& r) {
    r.group_by = {"source_namespace", "source_name_aggr", "dest_namespace", "dest_name_aggr",
                  "dest_port",        "action",           "reporter"};
    r.metrics = {{Aggregate::kSum, "bytes_in"}, {Aggregate::kSum, "bytes_out"}, {}};
  };
  add("Q1 edges, last hour", edge_sql, true, edges);
  add("Q2 edges, all", edge_sql, false, edges);
  add("Q3 top 20 sources of a namespace",
      "SELECT source_name_aggr,sum(bytes_in) b FROM FILES WHERE start_time>=FROM AND start_time<TO AND "
      "dest_namespace='team-7' GROUP BY ALL ORDER BY b DESC LIMIT 20",
      false, [](query::Request& r) {
        r.filter = "dest_namespace = team-7", r.group_by = {"source_name_aggr"}, r.limit = 20;
        r.metrics = {{Aggregate::kSum, "bytes_in"}};
      });
  add("Q4 denied by 5 minutes",
      "SELECT start_time-start_time%300 t,count(*) FROM FILES WHERE start_time>=FROM AND start_time<TO AND "
      "action='deny' "
      "GROUP BY ALL ORDER BY t",
      false, [](query::Request& r) { r.filter = "action = deny", r.interval = 300; });
  add("Q5 latest 100 rows, all columns",
      "SELECT * FROM FILES WHERE start_time>=FROM AND start_time<TO ORDER BY start_time DESC,row_id DESC LIMIT 100",
      false, [](query::Request& r) { r.limit = 100; });
  add("Q6 label selector",
      "SELECT dest_namespace,sum(bytes_in) b FROM FILES WHERE start_time>=FROM AND start_time<TO AND "
      "contains(dest_labels,chr(10)||'app=service-77'||chr(10)) GROUP BY ALL ORDER BY b DESC LIMIT 1000",
      false, [](query::Request& r) {
        r.filter = "dst.label.app = service-77", r.group_by = {"dest_namespace"};
        r.metrics = {{Aggregate::kSum, "bytes_in"}};
      });
  add("Q7 names of a namespace",
      "SELECT dest_name_aggr,count(*) c FROM FILES WHERE start_time>=FROM AND start_time<TO AND "
      "dest_namespace='team-7' "
      "GROUP BY ALL ORDER BY c DESC LIMIT 1000",
      false, [](query::Request& r) { r.filter = "dest_namespace = team-7", r.group_by = {"dest_name_aggr"}; });
  add("Q8 one address, either end",
      "SELECT source_namespace,source_name_aggr,count(*) c FROM FILES WHERE start_time>=FROM AND start_time<TO AND "
      "(source_ip='11.0.3.9' OR dest_ip='11.0.3.9') GROUP BY ALL ORDER BY c DESC LIMIT 1000",
      false, [](query::Request& r) {
        r.filter = "source_ip = 11.0.3.9 OR dest_ip = 11.0.3.9";
        r.group_by = {"source_namespace", "source_name_aggr"};
      });
  return all_questions;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

struct Timing {
  std::vector<double> wall_ms;
  double cpu_ms = 0;
  void print(const char* who) const {
    std::printf("    %-14s p50 %7.1f  p99 %7.1f ms   CPU %7.1f ms\n", who, percentile(wall_ms, 0.5),
                percentile(wall_ms, 0.99), cpu_ms / static_cast<double>(std::max<std::size_t>(wall_ms.size(), 1)));
  }
};

template <typename Run>
void measure(Timing& timing, Run&& run) {
  const double cpu = cpu_seconds();
  const auto begin = Clock::now();
  run();
  timing.wall_ms.push_back(seconds_since(begin) * 1000);
  timing.cpu_ms += (cpu_seconds() - cpu) * 1000;
}

/// In turns, so that what else the machine does hits both. Returns the geometric mean of the p50 ratios, ours over
/// theirs.
double compare(store::Store& store, const Options& options, bool print_cpu) {
  store::DuckDatabase engine = must(store::DuckDatabase::open({0, 640ull << 20, options.folder}));
  store::DuckConnection connection = must(engine.connect());
  double log_sum = 0;
  const std::vector<Question> all = questions(options);
  for (const Question& question : all) {
    std::vector<std::string> files;
    const std::string root = options.folder + "/store/parquet/flows";
    for (const std::string& file : store::files_below(root)) files.push_back(root + "/" + file);
    if (question.last_hour && files.size() > 2) files.erase(files.begin(), files.end() - 2);
    std::string list;
    for (const std::string& file : files) list += (list.empty() ? "" : ",") + store::sql_text(file);
    std::string sql = replaced(question.sql, "FILES", "read_parquet([" + list + "])");
    sql = replaced(sql, "FROM AND", std::to_string(question.request.from) + " AND");
    sql = replaced(replaced(sql, "TO AND", std::to_string(question.request.to) + " AND"), "<TO ",
                   "<" + std::to_string(question.request.to) + " ");
    Timing ours, floor;
    std::size_t rows = 0;
    for (int round = -1; round < options.rounds; ++round) {
      Timing warm_up;
      measure(round < 0 ? warm_up : ours, [&] { rows = must(store.query(question.request)).rows.size(); });
      if (print_cpu) {
        measure(round < 0 ? warm_up : floor, [&] {
          store::DuckResult result = must(connection.query(sql));
          std::size_t floor_rows = 0;
          while (true) {
            const store::DuckChunk chunk = result.next();
            if (chunk.rows() == 0) break;
            floor_rows += chunk.rows();
          }
          if (floor_rows == 0 && rows > 0) fail(std::string(question.name) + ": the floor found nothing");
        });
      }
    }
    std::printf("  %s (%zu rows)\n", question.name, rows);
    ours.print("weir");
    if (print_cpu) {
      floor.print("SQL by hand");
      log_sum += std::log(percentile(ours.wall_ms, 0.5) / percentile(floor.wall_ms, 0.5));
    }
  }
  return std::exp(log_sum / static_cast<double>(all.size()));
}

/// What the same rows take as plain sorted Parquet files: the largest segment without what is ours.
double bytes_against_parquet(const Options& options) {
  const std::string root = options.folder + "/store/parquet/flows";
  std::string largest;
  for (const std::string& file : store::files_below(root)) {
    if (largest.empty() || store::file_size(root + "/" + file) > store::file_size(largest)) largest = root + "/" + file;
  }
  store::DuckDatabase engine = must(store::DuckDatabase::open({0, 640ull << 20, options.folder}));
  store::DuckConnection connection = must(engine.connect());
  const std::string plain = options.folder + "/plain.parquet";
  must(connection.run("COPY (SELECT * EXCLUDE (row_id,extra) FROM read_parquet(" + store::sql_text(largest) +
                      ") ORDER BY " + replaced(std::string(store::sort_key(model::LogType::kFlows)), ",row_id", "") +
                      ") TO " + store::sql_text(plain) +
                      " (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 122880)"));
  const double ratio = static_cast<double>(store::file_size(largest)) / static_cast<double>(store::file_size(plain));
  std::filesystem::remove(plain);
  return ratio;
}

/// Appends 20,000 rows a second while the queries run.
void compare_while_ingesting(store::Store& store, const Options& options, std::atomic<std::int64_t>& now) {
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> appended = 0;
  const auto begin = Clock::now();
  std::thread writer([&] {
    StoreWorkload workload(7);
    constexpr std::uint64_t kBatch = 2000;
    for (std::uint64_t row = options.rows; !stop; row += kBatch) {
      std::string lines;
      workload.append_lines(row, kBatch, lines);
      now = StoreWorkload::time_of(row) + 300;
      append_patiently(store, std::nullopt, lines);
      appended += kBatch;
      std::this_thread::sleep_until(begin + std::chrono::milliseconds((row + kBatch - options.rows) / 20));
    }
  });
  compare(store, options, false);
  stop = true;
  writer.join();
  std::printf("  appended meanwhile: %.0f rows/s\n", static_cast<double>(appended) / seconds_since(begin));
}

int run(const Options& options) {
  std::filesystem::remove_all(options.folder);
  must(store::make_folder(options.folder));
  std::atomic<std::int64_t> now{kStoreBenchStart};
  store::StoreOptions store_options;
  store_options.directory = options.folder + "/store";
  store_options.now = [&] { return now.load(); };
  store_options.note = [](std::string_view text) {
    std::printf("note: %.*s\n", static_cast<int>(text.size()), text.data());
  };
  auto store = must(store::Store::open(store_options));
  const std::uint64_t rss_before = status_kib("VmRSS:");
  std::printf("%llu rows, %.1f hours\n", static_cast<unsigned long long>(options.rows),
              static_cast<double>(options.rows) / static_cast<double>(kRowsOfWindow) / 12);
  const IngestFigures ours = ingest(*store, options, now);
  std::printf("memory: %.0f MB at the most, %.0f MB before; limit %.0f MB\n",
              static_cast<double>(status_kib("VmHWM:")) / 1024, static_cast<double>(rss_before) / 1024,
              static_cast<double>(store_options.memory_bytes >> 20));
  now = StoreWorkload::time_of(options.rows) + 7200;
  must(store->tick(true));
  const store::StoreStats stats = store->stats();
  const auto& flows = stats.logs[0];
  const double per_row = static_cast<double>(flows.segment_bytes) / static_cast<double>(flows.segment_rows);
  std::printf("disk: %.1f bytes a row in %llu segments, roll-ups %.1f\n", per_row,
              static_cast<unsigned long long>(flows.segments),
              static_cast<double>(stats.rollup_bytes) / static_cast<double>(flows.segment_rows));
  std::printf("queries, idle, in turns with SQL by hand over the same files:\n");
  const double idle = compare(*store, options, true);
  const double over_parquet = bytes_against_parquet(options);
  std::printf("queries while 20,000 rows/s come:\n");
  compare_while_ingesting(*store, options, now);
  store.reset();
  const IngestFigures raw = raw_engine(options);
  std::printf("goals:\n");
  // Ours parses, logs, sorts, compresses and merges; theirs has the rows in memory and writes them once.
  goal("append from JSON to merged files, rows per CPU second over raw append", ours.rows_per_cpu / raw.rows_per_cpu,
       ">", 0.35, "x");
  goal("queries, geometric mean of p50 over SQL by hand", idle, "<", 1.25, "x");
  goal("bytes of a row over plain sorted Parquet zstd", over_parquet, "<", 1.25, "x");
  goal("bytes of a row", per_row, "<", 40, "B");
  std::filesystem::remove_all(options.folder);
  return g_missed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int at = 1; at + 1 < argc; at += 2) {
    const std::string name = argv[at], value = argv[at + 1];
    if (name == "--rows") {
      options.rows = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--rounds") {
      options.rounds = std::atoi(value.c_str());
    } else if (name == "--dir") {
      options.folder = value;
    } else {
      fail("usage: store_bench [--rows N] [--rounds N] [--dir FOLDER, which is removed]");
    }
  }
  if (argc % 2 == 0 || options.rows < 10'000 || options.rounds < 1) {
    fail("usage: store_bench [--rows N, at least 10000] [--rounds N] [--dir FOLDER, which is removed]");
  }
  return run(options);
}
