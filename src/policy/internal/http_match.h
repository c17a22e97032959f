#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/calico_policy.h"
#include "policy/engine.h"

namespace weir::policy {

/// A request's path as rules see it: without query and fragment, percent-decoded once, "\" as "/", without parameters
/// (";…") in segments, dots resolved, slashes collapsed. Nothing for a path that hides a dot, slash or backslash behind
/// a second encoding, or holds a NUL: no rule matches it.
std::optional<std::string> normalized_path(std::string_view path);

/// `prefix` holds at whole segments only: "/pub" is no prefix of "/public".
bool path_matches(const model::HttpPath& rule, std::string_view normalized);

bool http_matches(const model::HttpMatch& match, const HttpRequest& request);

}  // namespace weir::policy
