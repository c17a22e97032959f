#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace weir::cluster {

/// The manifests below a folder, sorted by path.
Result<std::vector<std::string>> list_manifest_folder(const std::string& folder);

}  // namespace weir::cluster
