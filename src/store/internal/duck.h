#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "query/request.h"
#include "store/internal/duck_api.h"

/// The engine's C interface behind values that clean up after themselves.
namespace weir::store {

/// One row batch of the engine's result, read by column. BIGINT, DOUBLE and VARCHAR only: our SQL casts to them.
class DuckChunk {
 public:
  explicit DuckChunk(duckdb_data_chunk chunk) : chunk_(chunk) {}
  DuckChunk(DuckChunk&& other) noexcept : chunk_(other.chunk_) { other.chunk_ = nullptr; }
  DuckChunk& operator=(DuckChunk&&) = delete;
  ~DuckChunk() {
    if (chunk_ != nullptr) duck.destroy_data_chunk(&chunk_);
  }

  std::size_t rows() const { return chunk_ == nullptr ? 0 : duck.data_chunk_get_size(chunk_); }
  bool is_null(std::size_t column, std::size_t row) const;
  std::int64_t integer(std::size_t column, std::size_t row) const;
  double real(std::size_t column, std::size_t row) const;
  /// Lives as long as the chunk.
  std::string_view text(std::size_t column, std::size_t row) const;

 private:
  duckdb_data_chunk chunk_;
};

class DuckResult {
 public:
  DuckResult() = default;
  DuckResult(DuckResult&& other) noexcept : result_(other.result_), live_(other.live_) { other.live_ = false; }
  DuckResult& operator=(DuckResult&&) = delete;
  ~DuckResult() {
    if (live_) duck.destroy_result(&result_);
  }
  /// No rows at the end.
  DuckChunk next() { return DuckChunk(duck.fetch_chunk(result_)); }

 private:
  friend class DuckConnection;
  duckdb_result result_{};
  bool live_ = false;
};

/// One connection: one thread at a time, but interrupt() from any.
class DuckConnection {
 public:
  DuckConnection(DuckConnection&& other) noexcept : connection_(other.connection_) { other.connection_ = nullptr; }
  DuckConnection& operator=(DuckConnection&&) = delete;
  ~DuckConnection() {
    if (connection_ != nullptr) duck.disconnect(&connection_);
  }

  /// Takes over one that was made elsewhere.
  static DuckConnection adopt(duckdb_connection connection) {
    DuckConnection adopted;
    adopted.connection_ = connection;
    return adopted;
  }

  /// Errors: kCancelled (interrupted), kResourceExhausted (memory, disk), else kInternal with the engine's words.
  Result<DuckResult> query(const std::string& sql);
  Status run(const std::string& sql);
  /// The first value of the first row as a number; 0 if there is none.
  Result<std::int64_t> number(const std::string& sql);
  void interrupt() { duck.interrupt(connection_); }
  duckdb_connection handle() const { return connection_; }

 private:
  friend class DuckDatabase;
  DuckConnection() = default;
  duckdb_connection connection_ = nullptr;
};

/// An engine in memory.
class DuckDatabase {
 public:
  struct Options {
    unsigned threads = 0;
    std::uint64_t memory_bytes = 0;
    /// Where it spills to.
    std::string temp_directory;
  };
  /// Errors: no library or one of another release, no memory.
  static Result<DuckDatabase> open(const Options& options);
  DuckDatabase(DuckDatabase&& other) noexcept : database_(other.database_) { other.database_ = nullptr; }
  DuckDatabase& operator=(DuckDatabase&&) = delete;
  ~DuckDatabase() {
    if (database_ != nullptr) duck.close(&database_);
  }
  Result<DuckConnection> connect() const;

 private:
  DuckDatabase() = default;
  duckdb_database database_ = nullptr;
};

/// `'text'` with its quotes doubled.
std::string sql_text(std::string_view text);
/// `"name"`.
std::string sql_name(std::string_view name);

/// Registers the functions that filters are made of, for all connections of the engine (filter_functions.cc).
Status register_filter_functions(DuckConnection& connection);

}  // namespace weir::store
