#pragma once

#include <string>

namespace weir::flowlog {

/// docs/fields.md: the field table as a Markdown page.
std::string fields_markdown();

}  // namespace weir::flowlog
