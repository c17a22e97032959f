#include "observe/label_selector.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "observe/filter_text.h"

namespace weir::observe {
namespace {

/// At the commas that are not in parentheses.
std::vector<std::string_view> requirements_of(std::string_view selector) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= selector.size(); ++at) {
    if (at == selector.size() || (selector[at] == ',' && depth == 0)) {
      parts.push_back(trim(selector.substr(begin, at - begin)));
      begin = at + 1;
    } else if (selector[at] == '(') {
      ++depth;
    } else if (selector[at] == ')') {
      --depth;
    }
  }
  return parts;
}

std::string_view without_source(std::string_view key) {
  for (const std::string_view source : {"k8s:", "any:", "k8s.", "any."}) {
    if (key.starts_with(source)) return key.substr(source.size());
  }
  return key;
}

bool is_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._/-").find(c) != std::string_view::npos;
  });
}

bool is_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

struct Requirement {
  std::string_view key;
  std::vector<std::string> values;
  bool negated = false, exists = false;
};

/// "(a, b)"
bool read_set(std::string_view text, std::vector<std::string>& values) {
  text = trim(text);
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return false;
  text = text.substr(1, text.size() - 2);
  while (true) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view value = trim(text.substr(0, comma));
    if (!is_value(value)) return false;
    values.emplace_back(value);
    if (comma == text.size()) return true;
    text.remove_prefix(comma + 1);
  }
}

bool read_requirement(std::string_view text, Requirement& out) {
  if (text.starts_with('!')) {
    out = {.key = without_source(trim(text.substr(1))), .values = {}, .negated = true, .exists = true};
    return is_key(out.key);
  }
  if (const std::size_t at = text.find('='); at != std::string_view::npos && text.find('(') == std::string_view::npos) {
    out.negated = at > 0 && text[at - 1] == '!';
    out.key = without_source(trim(text.substr(0, out.negated ? at - 1 : at)));
    const bool twice = !out.negated && at + 1 < text.size() && text[at + 1] == '=';
    out.values.emplace_back(trim(text.substr(at + (twice ? 2 : 1))));
    return is_key(out.key) && is_value(out.values.front());
  }
  const std::size_t end = std::min(text.find_first_of(" \t("), text.size());
  out.key = without_source(text.substr(0, end));
  std::string_view rest = trim(text.substr(end));
  out.exists = rest.empty();
  if (out.exists) return is_key(out.key);
  out.negated = rest.starts_with("notin");
  if (!out.negated && !rest.starts_with("in")) return false;
  rest.remove_prefix(out.negated ? 5 : 2);
  return is_key(out.key) && read_set(rest, out.values);
}

}  // namespace

Result<std::string> label_filter(std::string_view selector, std::string_view field) {
  std::vector<std::string> tests;
  for (const std::string_view part : requirements_of(selector)) {
    Requirement requirement;
    if (!read_requirement(part, requirement)) {
      return invalid_argument("'" + std::string(part) +
                              "' is no label selector: key=value, key!=value, key in (a, b), key notin (a, b), key, or "
                              "!key, joined by commas");
    }
    const std::string key = std::string(field) + "." + std::string(requirement.key);
    if (requirement.exists) {
      tests.push_back((requirement.negated ? "" : "NOT ") + key + " EMPTY");
    } else {
      const std::string test = any_of(key, requirement.values);
      tests.push_back(requirement.negated ? negation_of(test) : test);
    }
  }
  return all_of(tests);
}

}  // namespace weir::observe
