// `weir export`: the records of a range into a file; goes on where it was interrupted.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// Errors are values here: what would throw on bad input must not compile.
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include "app/command_line.h"
#include "app/commands.h"
#include "app/observe_files.h"
#include "app/observe_server.h"
#include "app/query_options.h"
#include "base/file.h"
#include "base/json.h"
#include "model/log_fields.h"
#include "observe/flow_flags.h"
#include "observe/json_columns.h"

namespace weir::app {
namespace {

constexpr const char* kCommand = "weir export";
constexpr std::uint64_t kPageRows = 5'000;

struct ExportOptions {
  SourceOptions source;
  TimeOptions times;
  FilterOptions flags{observe::flow_flags(), observe::flow_filter};
  std::string file, format = "json", log = "flows";
  bool resume = false, overwrite = false;
};

/// Beside the file while it is not complete: what is asked, and where to go on.
struct Checkpoint {
  std::string format, log, filter, cursor;
  std::int64_t from = 0, to = 0;
  std::uint64_t bytes = 0, rows = 0;
  bool deduplicate = true;
};

std::string checkpoint_path(const std::string& file) { return file + ".resume"; }

Status save(const Checkpoint& point, const std::string& path) {
  std::string text = "{";
  const std::pair<const char*, const std::string*> texts[] = {
      {"format", &point.format}, {"log", &point.log}, {"filter", &point.filter}, {"cursor", &point.cursor}};
  for (const auto& [name, value] : texts) {
    text.append("\"").append(name).append("\":");
    json::append_string(text, *value);
    text += ',';
  }
  text += "\"from\":" + std::to_string(point.from) + ",\"to\":" + std::to_string(point.to) +
          ",\"bytes\":" + std::to_string(point.bytes) + ",\"rows\":" + std::to_string(point.rows) +
          ",\"deduplicate\":" + (point.deduplicate ? "true}\n" : "false}\n");
  TRY_ASSIGN(OutputFile file, OutputFile::open(path + ".new"));
  file.buffer() = text;
  TRY(file.close());
  if (::rename((path + ".new").c_str(), path.c_str()) != 0) return errno_error("rename", path);
  return {};
}

Result<Checkpoint> load(const std::string& path) {
  TRY_ASSIGN(const FileBytes bytes, FileBytes::open(path));
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  Checkpoint point;
  bool whole = parser.parse(std::string(bytes.text())).get(root) == simdjson::SUCCESS;
  const auto text = [&](const char* name, std::string& out) {
    std::string_view value;
    whole = whole && root[name].get(value) == simdjson::SUCCESS;
    if (whole) out = value;
  };
  const auto number = [&](const char* name, auto& out) { whole = whole && root[name].get(out) == simdjson::SUCCESS; };
  text("format", point.format);
  text("log", point.log);
  text("filter", point.filter);
  text("cursor", point.cursor);
  number("from", point.from);
  number("to", point.to);
  number("bytes", point.bytes);
  number("rows", point.rows);
  number("deduplicate", point.deduplicate);
  if (!whole) return data_loss(path + " is damaged: begin anew with --overwrite");
  return point;
}

std::vector<std::string> columns_of(const std::string& log) {
  std::vector<std::string> names;
  const std::optional<model::LogType> type = model::log_type_named(log);
  for (const model::LogField& field : model::log_fields(type.value_or(model::LogType::kFlows))) {
    if (field.name == field.stored) names.emplace_back(field.name);
  }
  return names;
}

/// The file, behind the last whole page.
class ExportFile {
 public:
  static Result<ExportFile> open(const std::string& path, const Checkpoint& point) {
    std::FILE* file = std::fopen(path.c_str(), point.bytes > 0 ? "r+b" : "wb");
    if (file == nullptr) return errno_error("open", path);
    ExportFile out(file, path, point);
    if (::ftruncate(::fileno(file), static_cast<off_t>(point.bytes)) != 0) return errno_error("truncate", path);
    std::fseek(file, 0, SEEK_END);
    if (point.format == "csv" && point.bytes == 0) {
      const std::vector<std::string>& names = out.columns_.paths();
      for (std::size_t i = 0; i < names.size(); ++i) out.buffer_.append(i > 0 ? "," : "").append(names[i]);
      out.buffer_ += "\r\n";
    }
    return out;
  }
  ExportFile(ExportFile&& other) noexcept
      : file_(std::exchange(other.file_, nullptr)),
        path_(std::move(other.path_)),
        csv_(other.csv_),
        bytes_(other.bytes_),
        columns_(std::move(other.columns_)),
        buffer_(std::move(other.buffer_)) {}
  ExportFile& operator=(ExportFile&&) = delete;
  ExportFile(const ExportFile&) = delete;
  ExportFile& operator=(const ExportFile&) = delete;
  ~ExportFile() {
    if (file_ != nullptr) std::fclose(file_);
  }

  Status add(std::string_view line) {
    if (csv_) {
      TRY(columns_.append_csv(line, buffer_));
      buffer_ += "\r\n";
    } else {
      buffer_.append(line).push_back('\n');
    }
    constexpr std::size_t kFlushBytes = 1024 * 1024;
    return buffer_.size() >= kFlushBytes ? write() : Status();
  }
  /// On the disk; how many bytes the file has.
  Result<std::uint64_t> sync() {
    TRY(write());
    if (std::fflush(file_) != 0 || (::fdatasync(::fileno(file_)) != 0 && errno != EINVAL)) {
      return errno_error("write", path_);
    }
    return bytes_;
  }

 private:
  ExportFile(std::FILE* file, std::string path, const Checkpoint& point)
      : file_(file),
        path_(std::move(path)),
        csv_(point.format == "csv"),
        bytes_(point.bytes),
        columns_(columns_of(point.log)) {}
  Status write() {
    if (std::fwrite(buffer_.data(), 1, buffer_.size(), file_) != buffer_.size()) return errno_error("write", path_);
    bytes_ += buffer_.size();
    buffer_.clear();
    return {};
  }

  std::FILE* file_;
  std::string path_;
  bool csv_;
  std::uint64_t bytes_;
  observe::JsonColumns columns_;
  std::string buffer_;
};

Result<Checkpoint> begin(const CLI::App& app, ExportOptions& options) {
  const std::string path = checkpoint_path(options.file);
  if (options.resume) return load(path);
  if (::access(options.file.c_str(), F_OK) == 0 && !options.overwrite) {
    const bool interrupted = ::access(path.c_str(), F_OK) == 0;
    return invalid_argument(options.file + (interrupted
                                                ? " was not finished: --resume goes on with it, --overwrite begins anew"
                                                : " is there already: --overwrite replaces it"));
  }
  Checkpoint point;
  point.format = options.format;
  point.log = options.log;
  observe::Selection selection;
  TRY_ASSIGN(selection.filter, options.flags.filter(app));
  if (!selection.filter.empty() && options.log != "flows") {
    return invalid_argument("filter flags are of flows; they do not go with --log " + options.log);
  }
  options.times.all = true;
  const std::int64_t now = std::time(nullptr);
  TRY(options.times.select(now, selection));
  point.filter = selection.filter;
  point.from = selection.range.from;
  // Pages must be of one question: what comes while it runs is not part of it.
  point.to = std::min(selection.range.to, now);
  point.deduplicate = !options.source.all_reporters;
  return point;
}

Status from_server(observe::ServerClient& client, Checkpoint& point, ExportFile& file, const std::string& path) {
  ServerQuestion question;
  question.log = point.log;
  question.selection.filter = point.filter;
  question.selection.range = {point.from, point.to};
  question.deduplicate = point.deduplicate;
  observe::ServerClient::Parameters parameters = parameters_of(question);
  parameters.emplace_back("order", point.log == "audit" ? "timestamp" : "start_time");
  Progress progress("exported records:");
  do {
    Status failure;
    TRY_ASSIGN(const observe::ServerReply reply,
               client.get_rows(point.log, parameters, kPageRows, point.cursor, [&](std::string_view line) {
                 failure = file.add(line);
                 point.rows += failure.ok() ? 1 : 0;
                 return failure.ok();
               }));
    TRY(failure);
    TRY_ASSIGN(point.bytes, file.sync());
    if (!point.cursor.empty()) TRY(save(point, path));
    progress.show(point.rows, 0);
  } while (!point.cursor.empty());
  return {};
}

Status from_files(const std::vector<std::string>& names, Checkpoint& point, ExportFile& file) {
  if (point.log != "flows") return invalid_argument("--log goes with a server");
  TRY_ASSIGN(std::vector<observe::LogFiles> logs, observe::find_log_files(names, "flows.log"));
  observe::Selection selection;
  selection.filter = point.filter;
  selection.range = {point.from, point.to};
  TRY_ASSIGN(auto scan, observe::RecordScan<model::LogType::kFlows>::create(std::move(logs), std::move(selection)));
  Progress progress("reading");
  scan.lines().on_progress([&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
  Status failure;
  TRY(scan.run([&](const model::FlowRecord&, std::string_view line) {
    if (failure.ok()) failure = file.add(line);
    ++point.rows;
  }));
  report_bad_lines(kCommand, scan.lines().stats(), false);
  TRY(failure);
  TRY_ASSIGN(point.bytes, file.sync());
  return {};
}

Result<int> run(const CLI::App& app, ExportOptions& options) {
  TRY_ASSIGN(Checkpoint point, begin(app, options));
  TRY_ASSIGN(std::optional<observe::ServerClient> server, options.source.open(kCommand));
  if (options.resume && !server) return invalid_argument("--resume goes with a server");
  const std::string path = checkpoint_path(options.file);
  TRY_ASSIGN(ExportFile file, ExportFile::open(options.file, point));
  if (server) {
    TRY(from_server(*server, point, file, path));
  } else {
    TRY(from_files(options.source.files, point, file));
  }
  std::remove(path.c_str());
  std::fprintf(stderr, "%s: %llu records, %llu bytes in %s\n", kCommand, static_cast<unsigned long long>(point.rows),
               static_cast<unsigned long long>(point.bytes), options.file.c_str());
  return 0;
}

}  // namespace

int run_export(std::span<const char* const> args) {
  ExportOptions options;
  CLI::App app("Writes the records of a range into a file, oldest first.", kCommand);
  app.add_option("file", options.file, "where to")->required()->type_name("FILE");
  app.add_option("-o,--output", options.format, "json (a record a line) or csv")
      ->check(CLI::IsMember({"json", "csv"}))
      ->capture_default_str();
  app.add_option("--log", options.log, "flows, dns, l7, agent or audit (server)")
      ->check(CLI::IsMember({"flows", "dns", "l7", "agent", "audit"}))
      ->capture_default_str();
  app.add_flag("--resume", options.resume, "go on with a file that was not finished");
  app.add_flag("--overwrite", options.overwrite, "replace the file");
  options.source.add_to(app);
  options.times.add_range_to(app);
  options.flags.add_to(app);
  app.footer(
      "While it runs, FILE.resume says where it is; after an interruption --resume goes on from there with what was "
      "asked then.\nExit code: 0 done, 1 failed, 2 usage. docs/cli.md has examples.");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  const Result<int> done = run(app, options);
  return done.ok() ? done.value() : report(kCommand, done.error());
}

}  // namespace weir::app
