#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::app {

/// /api/v1/status of a server as a person reads it. Errors: kDataLoss, it is something else.
Result<std::string> server_status_text(std::string_view json);

}  // namespace weir::app
