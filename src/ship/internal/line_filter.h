#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "filter/filter.h"
#include "model/log_type.h"

namespace weir::ship {

/// A filter over lines of one log. Threads: one.
class LineFilter {
 public:
  static Result<LineFilter> compile(std::string_view text, model::LogType log);
  LineFilter(LineFilter&&) noexcept;
  LineFilter& operator=(LineFilter&&) noexcept;
  ~LineFilter();

  /// A line that cannot be read passes: whoever gets it says what is wrong with it.
  bool passes(std::string_view line);

 private:
  struct Readers;
  LineFilter(filter::Filter filter, model::LogType log);
  filter::Filter filter_;
  model::LogType log_;
  std::unique_ptr<Readers> readers_;
};

}  // namespace weir::ship
