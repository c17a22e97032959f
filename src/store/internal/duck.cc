#include "store/internal/duck.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::store {
namespace {

Error engine_error(duckdb_error_type type, const char* message) {
  ErrorCode code = ErrorCode::kInternal;
  if (type == DUCKDB_ERROR_INTERRUPT) code = ErrorCode::kCancelled;
  if (type == DUCKDB_ERROR_OUT_OF_MEMORY || type == DUCKDB_ERROR_IO) code = ErrorCode::kResourceExhausted;
  std::string text = message != nullptr ? message : "no reason given";
  std::replace(text.begin(), text.end(), '\n', ' ');
  return {code, "engine: " + text.substr(0, 500)};
}

}  // namespace

bool DuckChunk::is_null(std::size_t column, std::size_t row) const {
  std::uint64_t* validity = duck.vector_get_validity(duck.data_chunk_get_vector(chunk_, column));
  return validity != nullptr && !duck.validity_row_is_valid(validity, row);
}
std::int64_t DuckChunk::integer(std::size_t column, std::size_t row) const {
  return static_cast<std::int64_t*>(duck.vector_get_data(duck.data_chunk_get_vector(chunk_, column)))[row];
}
double DuckChunk::real(std::size_t column, std::size_t row) const {
  return static_cast<double*>(duck.vector_get_data(duck.data_chunk_get_vector(chunk_, column)))[row];
}
std::string_view DuckChunk::text(std::size_t column, std::size_t row) const {
  auto* strings = static_cast<duckdb_string_t*>(duck.vector_get_data(duck.data_chunk_get_vector(chunk_, column)));
  return {duck.string_t_data(&strings[row]), duck.string_t_length(strings[row])};
}

Result<DuckResult> DuckConnection::query(const std::string& sql) {
  DuckResult result;
  result.live_ = true;
  if (duck.query(connection_, sql.c_str(), &result.result_) == DuckDBError) {
    return engine_error(duck.result_error_type(&result.result_), duck.result_error(&result.result_));
  }
  return result;
}

Status DuckConnection::run(const std::string& sql) {
  TRY(query(sql));
  return {};
}

Result<std::int64_t> DuckConnection::number(const std::string& sql) {
  TRY_ASSIGN(DuckResult result, query(sql));
  const DuckChunk chunk = result.next();
  if (chunk.rows() == 0 || chunk.is_null(0, 0)) return std::int64_t{0};
  return chunk.integer(0, 0);
}

Result<DuckDatabase> DuckDatabase::open(const Options& options) {
  TRY(load_duck());
  duckdb_config config = nullptr;
  duck.create_config(&config);
  std::vector<std::pair<const char*, std::string>> settings{
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
      {"checkpoint_threshold", "100GB"},  // in memory it only costs
      {"temp_directory", options.temp_directory},
      {"preserve_insertion_order", "false"},
      {"memory_limit", std::to_string(options.memory_bytes >> 20) + "MiB"},
  };
  if (options.threads > 0) settings.emplace_back("threads", std::to_string(options.threads));
  bool known = true;
  for (const auto& [name, value] : settings) known &= duck.set_config(config, name, value.c_str()) == DuckDBSuccess;
  DuckDatabase database;
  char* reason = nullptr;
  const bool opened = known && duck.open_ext(nullptr, &database.database_, config, &reason) == DuckDBSuccess;
  duck.destroy_config(&config);
  if (!opened) {
    Error error = engine_error(DUCKDB_ERROR_INVALID, known ? reason : "unknown setting");
    duck.free(reason);
    return error;
  }
  return database;
}

Result<DuckConnection> DuckDatabase::connect() const {
  DuckConnection connection;
  if (duck.connect(database_, &connection.connection_) == DuckDBError) {
    return Error{ErrorCode::kInternal, "engine: no connection"};
  }
  return connection;
}

namespace {
std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}
}  // namespace

std::string sql_text(std::string_view text) {
  // A literal cannot hold a zero byte.
  if (text.find('\0') == std::string_view::npos) return quoted(text, '\'');
  std::string out = "(";
  while (true) {
    const std::size_t zero = text.find('\0');
    out += quoted(text.substr(0, zero), '\'');
    if (zero == std::string_view::npos) return out + ")";
    out += "||chr(0)||";
    text.remove_prefix(zero + 1);
  }
}
std::string sql_name(std::string_view name) { return quoted(name, '"'); }

}  // namespace weir::store
