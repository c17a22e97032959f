#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Writing expressions of the filter language (docs/filters.md).
namespace weir::observe {

/// A value as it is: a bare word where that is one, else quoted. Wildcards stay wildcards.
std::string filter_value(std::string_view pattern);
/// `text` as a pattern that matches only it: `*`, `?` and backslash escaped.
std::string literal_pattern(std::string_view text);

/// `field = value`, or `field IN {…}` of several; each once.
std::string any_of(std::string_view field, const std::vector<std::string>& patterns);

/// Joined by " AND " or " OR "; parts that hold the other operator get parentheses. One part stays as it is, none give
/// the empty text (everything).
std::string all_of(const std::vector<std::string>& parts);
std::string one_of(const std::vector<std::string>& parts);
std::string negation_of(const std::string& part);

}  // namespace weir::observe
