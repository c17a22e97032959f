#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/objects.h"
#include "policy/lint.h"

namespace weir::app {

/// `weir policy lint`: what is odd about the policies among these objects.
Result<std::vector<policy::Finding>> lint_policies(cluster::ClusterObjects objects);

/// A paragraph a finding, and how many there are.
std::string findings_text(const std::vector<policy::Finding>& findings);
/// One array and a newline.
std::string findings_json(const std::vector<policy::Finding>& findings);

}  // namespace weir::app
