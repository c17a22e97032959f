#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "model/flow_record.h"

namespace weir::flowlog {

/// Reads the lines of flows.log, ours and those of older or other writers of the format.
///
/// Fields in any order; a missing or null one keeps its absent form; unknown kinds of trace are skipped,
/// unknown fields kept beside the record; trace entries are text, so those of four parts pass. A line is bounded by
/// kMaxLineBytes. Threads: one, not synchronised.
class FlowLogReader {
 public:
  static constexpr std::size_t kMaxLineBytes = 16 * 1024 * 1024;

  FlowLogReader();
  FlowLogReader(FlowLogReader&&) noexcept;
  FlowLogReader& operator=(FlowLogReader&&) noexcept;
  ~FlowLogReader();

  /// The record of one line, with or without its newline. It lives until the next call.
  /// Errors: kDataLoss, "not JSON: …" or "field packets_in: expected an unsigned integer".
  Result<const model::FlowRecord*> read(std::string_view line);
  /// A JSON object of the last line's members that are no fields of ours (but `@timestamp`); empty if there are none.
  std::string_view unknown_fields() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::flowlog
