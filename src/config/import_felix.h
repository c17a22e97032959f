#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::config {

struct ImportedFelix {
  /// A file for load_settings_file(): the options that Felix sets, each with the Felix name as a comment, and what was
  /// not taken over, with the reason, as comments at its end.
  std::string yaml;
  /// What was not taken over although Weir has such an option: "flowLogsFlushInterval: '15m' is not between 0s and
  /// 10m".
  std::vector<std::string> notes;
};

/// Makes our configuration from Calico's.
///
/// In:      FelixConfiguration objects (projectcalico.org/v3, crd.projectcalico.org/v1; YAML or JSON, also in lists; of
///          several the one named `default`), or an environment file with FELIX_ variables (durations in seconds).
/// Errors:  no YAML, or neither of the two in it. `name` stands for the input in errors and comments.
/// Source:  the names and units of Felix's configuration reference.
Result<ImportedFelix> import_felix(const std::string& name, std::string_view text);

}  // namespace weir::config
