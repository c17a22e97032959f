#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/internal/row_batch.h"
#include "store/internal/source_ranges.h"
#include "store/store.h"

namespace weir::store {

/// The lines of one append, as far as they are accepted.
struct ParsedLines {
  explicit ParsedLines(LogType log) : batch(log) {}
  RowBatch batch;
  /// The accepted lines, each with a newline, where some were left out.
  std::string owned;
  bool is_whole = true;
  std::uint64_t duplicates = 0, refused_lines = 0;
  std::vector<Refused> refused;

  /// What goes to the WAL, of what was parsed.
  std::string_view accepted(std::string_view ndjson) const { return is_whole ? ndjson : std::string_view(owned); }
};

inline constexpr std::size_t kMaxLineBytes = 1024 * 1024;

/// Reads the lines into rows. Lines that begin at a byte that `stored` has (the first byte of `ndjson` is `begin`) are
/// duplicates and skipped; empty lines are skipped unseen. `stored` may be null. `host`: see RowBatch::append.
/// Threads: any.
ParsedLines parse_lines(LogType log, std::string_view ndjson, std::string_view host, const RangeSet* stored,
                        std::uint64_t begin);

}  // namespace weir::store
