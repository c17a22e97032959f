#pragma once

#include <string>

#include "model/l7_record.h"

namespace weir::flowlog {

/// Appends the record as one line of l7.log, with its newline.
void append_l7_line(std::string& out, const model::L7Record& record);

}  // namespace weir::flowlog
