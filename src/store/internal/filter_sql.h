#pragma once

#include <string>

#include "filter/expression.h"

namespace weir::store {

/// A filter as an SQL condition over the columns of its log's table (columns_of()). It is true for exactly the rows
/// whose records filter::Filter::matches(); never NULL where it matters (below NOT).
std::string filter_sql(const filter::Expression& expression);

}  // namespace weir::store
