#pragma once

#include <string>

#include "base/result.h"
#include "filter/expression.h"
#include "filter/lexer.h"

namespace weir::filter {

/// Reads one value of `=`, `<`, … or IN, by the class of the test's target, into the test.
Status add_value(Test& test, const Token& value);
/// Compiles the pattern of `=~` into the test.
Status set_regex(Test& test, const Token& value);

}  // namespace weir::filter
