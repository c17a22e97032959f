#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "filter/expression.h"
#include "model/log_fields.h"

namespace weir::filter {

/// The target of a field's name (source_namespace), a short word for either end (ns), or one with its end (src.ns).
/// Nothing if there is no such word.
std::optional<Target> find_target(model::LogType log, std::string_view word);

/// The known word most like `word`; empty if none is near.
std::string nearest_word(model::LogType log, std::string_view word);

/// Of the target's first row, which all rows are like.
model::FieldKind kind_of(const Target& target);
std::string_view name_of(const Target& target);

}  // namespace weir::filter
