#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::observe {

/// A Kubernetes label selector ("app=web,tier in (a, b),!legacy") as an expression over the labels of one end.
/// `field`: "src.label", "dst.label" or "label". Prefixes that name where a label comes from ("k8s:", "any:") are left
/// out. As in Kubernetes, `!=` and `notin` hold where the label is absent.
/// Errors: "'app in a' is no label selector: …".
Result<std::string> label_filter(std::string_view selector, std::string_view field);

}  // namespace weir::observe
