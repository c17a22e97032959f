#pragma once

#include <string>

namespace weir::flowlog {

/// docs/fields.md: the field tables of the logs as a Markdown page.
std::string fields_markdown();

}  // namespace weir::flowlog
