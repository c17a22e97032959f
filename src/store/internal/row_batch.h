#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/log_fields.h"
#include "store/internal/duck.h"
#include "store/internal/schema.h"

namespace weir::store {

/// Rows of one log by column, between a parsed line and the engine.
/// Threads: one at a time.
class RowBatch {
 public:
  explicit RowBatch(LogType log);

  LogType log() const { return log_; }
  std::size_t rows() const { return rows_; }
  std::int64_t min_start() const { return min_start_; }
  std::int64_t max_start() const { return max_start_; }

  /// `Record` is that of the log. `unknown`: the JSON object of members that are no fields, empty if none.
  /// `host` is taken where the record has none.
  template <typename Record>
  void append(const Record& record, std::string_view unknown, std::string_view host);

  /// Appends all rows to the table; row i gets the id `first_id` + i. All or nothing.
  Status append_to(DuckConnection& connection, const std::string& table, std::uint64_t first_id) const;

 private:
  struct Cells {
    ColumnType type;
    std::vector<std::int64_t> numbers;
    std::vector<double> reals;
    /// Ends in `bytes`.
    std::vector<std::size_t> ends;
    std::string bytes;
    std::vector<std::uint8_t> nulls;
  };
  /// Puts the values of a row into the columns one after the other.
  class Writer;
  void fill(duckdb_data_chunk chunk, std::size_t first, std::size_t count, std::uint64_t first_id) const;

  LogType log_;
  std::size_t rows_ = 0;
  std::int64_t min_start_ = INT64_MAX, max_start_ = INT64_MIN;
  std::vector<Cells> columns_;
};

}  // namespace weir::store
