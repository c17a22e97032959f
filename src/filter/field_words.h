#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "filter/expression.h"
#include "model/fields.h"

namespace weir::filter {

/// The target of a field's name (source_namespace), a short word for either end (ns), or one with its end (src.ns).
/// Nothing if there is no such word.
std::optional<Target> find_target(std::string_view word);

/// The known word most like `word`; empty if none is near.
std::string nearest_word(std::string_view word);

/// Kind of a row of model::kFlowFields.
model::FieldKind kind_of_row(std::size_t row);
std::string_view name_of_row(std::size_t row);

}  // namespace weir::filter
