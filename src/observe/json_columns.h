#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::observe {

/// Members of a JSON object by their paths ("action", "policies.enforced_policies"), for `--field-mask` and CSV.
/// Threads: one.
class JsonColumns {
 public:
  explicit JsonColumns(std::vector<std::string> paths);
  JsonColumns(JsonColumns&&) noexcept;
  JsonColumns& operator=(JsonColumns&&) noexcept;
  ~JsonColumns();

  const std::vector<std::string>& paths() const { return paths_; }

  /// Appends the object with only these members, in its own order, nested as they were.
  Status append_object(std::string_view object, std::string& out);
  /// Appends the members' values in the order of the paths, separated by commas (RFC 4180): text as it is, null and
  /// missing as nothing, lists and objects as JSON. No line break at the end.
  Status append_csv(std::string_view object, std::string& out);

 private:
  struct State;
  std::vector<std::string> paths_;
  std::unique_ptr<State> state_;
};

/// One cell of a CSV row.
void append_csv_cell(std::string& out, std::string_view text);

}  // namespace weir::observe
