#include "policy/internal/domains.h"

#include <algorithm>

namespace weir::policy {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view without_final_dot(std::string_view name) {
  return name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

/// "*" stands for characters of one label. Backtracks to the last star only, which is enough for one kind of wildcard.
bool glob(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && lower(pattern[p]) == lower(name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos && name[resume] != '.') {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool domain_matches(std::string_view pattern, std::string_view name) {
  pattern = without_final_dot(pattern);
  name = without_final_dot(name);
  if (pattern.starts_with('~')) {
    pattern.remove_prefix(1);
    return pattern == "*" ? !name.empty() : glob(pattern, name);
  }
  if (!pattern.starts_with("*.")) return equal(pattern, name);
  const std::string_view suffix = pattern.substr(1);
  return name.size() > suffix.size() && equal(name.substr(name.size() - suffix.size()), suffix);
}

}  // namespace weir::policy
