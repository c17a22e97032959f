#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/text_table.h"
#include "model/flow_record.h"
#include "observe/json_columns.h"
#include "observe/time_text.h"

namespace weir::observe {

enum class Format : std::uint8_t { kCompact, kTable, kDict, kJson, kJsonpb, kCsv };

struct PrintOptions {
  Format format = Format::kCompact;
  bool colour = false;
  /// Between the time and the source.
  bool node_name = false;
  /// Which rule decided, at the end of the line.
  bool policy_names = true;
  /// Addresses instead of names, where a record has them.
  bool numeric = false;
  TimeFormat time{"%b %e %H:%M:%S", ".000", false};
  /// kJson, kJsonpb: only these members. kCsv: these columns; empty: all fields of the log.
  std::vector<std::string> columns;
};

/// `text` in an ANSI colour ("31").
std::string painted(bool colour, std::string_view code, std::string_view text);
inline constexpr std::string_view kRed = "31", kGreen = "32", kYellow = "33", kCyan = "36", kBold = "1";

/// Prints flow records, as `hubble observe` does flows.
class FlowPrinter {
 public:
  explicit FlowPrinter(PrintOptions options);

  /// What stands before the first record.
  void begin(std::string& out);
  /// Appends a record. `line`: its JSON object, which kJson gives as it is; `node`: who reports, "-" or empty if not
  /// known. kTable keeps it until end().
  void print(const model::FlowRecord& record, std::string_view line, std::string_view node, std::string& out);
  void end(std::string& out);

 private:
  std::string time_text(std::int64_t seconds);
  std::string summary(const model::FlowRecord& record) const;
  std::string verdict(const model::FlowRecord& record) const;
  void print_compact(const model::FlowRecord& record, std::string_view node, std::string& out);
  void print_dict(const model::FlowRecord& record, std::string_view node, std::string& out);
  void add_row(const model::FlowRecord& record, std::string_view node);

  PrintOptions options_;
  JsonColumns columns_;
  TextTable table_;
  bool first_ = true;
  /// Records of a window have one time.
  std::int64_t last_time_ = -1;
  std::string last_time_text_;
};

}  // namespace weir::observe
