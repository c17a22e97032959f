// What is odd about the policies of a cluster: the checks, one after the other.

#include "policy/lint.h"

#include <algorithm>
#include <tuple>

#include "policy/internal/lint.h"

namespace weir::policy {

const char* to_string(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "";
}

int edit_distance(std::string_view a, std::string_view b, int limit) {
  const auto size = [](std::string_view text) { return static_cast<int>(text.size()); };
  if (std::abs(size(a) - size(b)) > limit) return limit + 1;
  // Three rows of the table of optimal string alignment.
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    int least = row[0];
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
      least = std::min(least, row[j]);
    }
    if (least > limit) return limit + 1;
    before.swap(last);
    last.swap(row);
  }
  return std::min(last[b.size()], limit + 1);
}

Result<std::vector<Finding>> lint(const LintInputs& inputs) {
  const LintWorld world(inputs);
  Findings findings;
  lint_objects(world, findings);
  lint_selectors(world, findings);
  lint_rules(world, findings);
  lint_traffic(world, findings);
  TRY(lint_dns(world, findings));
  const auto key = [](const Finding& f) { return std::tie(f.object, f.path, f.check, f.what); };
  std::sort(findings.begin(), findings.end(), [&](const Finding& a, const Finding& b) { return key(a) < key(b); });
  const auto same = [&](const Finding& a, const Finding& b) { return key(a) == key(b); };
  findings.erase(std::unique(findings.begin(), findings.end(), same), findings.end());
  return findings;
}

}  // namespace weir::policy
