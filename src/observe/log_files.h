#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace weir::observe {

/// One log as its writer left it: the active file and the rotated ones.
struct LogFiles {
  /// The active file, "-" for standard input.
  std::string path;
  /// Opened, oldest first, the active one last: NAME.N … NAME.1, NAME. A rotation from now on changes nothing.
  std::vector<InputFile> generations;
  /// The node whose log it is, as agent.log beside it says; empty if there is none.
  std::string node;
};

/// The logs that `names` mean: files, each with its rotated ones, or folders, whose `log_name` ("flows.log") is meant.
/// A rotated file that is named beside its active one is read once.
/// Errors: a name that is not there, with what to do.
Result<std::vector<LogFiles>> find_log_files(const std::vector<std::string>& names, const std::string& log_name);

}  // namespace weir::observe
